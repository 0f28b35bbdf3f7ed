//! What `--report` adds to a training: a page, written when it starts, after every epoch, and when it ends.
//!
//! Next to read: `compare.rs`.

use std::path::PathBuf;

use super::train::Plan;
use super::{net_name, new_net};
use crate::data::FashionMnist;
use crate::file;
use crate::nn::Module;
use crate::profile::{Peak, Row};
use crate::report::lenet::{History, Report, State};
use crate::save::log::Line;
use crate::train::{self, Position};

/// A report and the file that it goes to.
pub(super) struct Pages<'a> {
    path: PathBuf,
    report: Report<'a>,
}

impl<'a> Pages<'a> {
    /// A report, where the plan asks for one. `earlier` is what the log knows of a training that goes on.
    pub fn new(
        plan: &Plan,
        data: &'a FashionMnist,
        start: Line,
        earlier: Option<History>,
        position: &Position,
    ) -> Option<Pages<'a>> {
        let path = plan.report.clone()?;
        let Position { epoch, step, .. } = position;
        let again = format!("This training was taken up again in epoch {epoch} after {step} steps");
        let begins_at = match &earlier {
            _ if *position == Position::start_of(1) => None,
            None => Some(format!(
                "{again}, without a log (--log) of what was before: all that happened by step or epoch begins there."
            )),
            // It went on without its log for a while.
            Some(earlier) if !earlier.reaches(position) => {
                Some(format!("{again}; its log (--log) ends before that, so a part is missing here."))
            }
            Some(_) => None,
        };
        let mut history = earlier.unwrap_or_default();
        if let Line::Start(start) = start {
            // The options are those of now: there may be more epochs than at first.
            history.start = start;
        }
        let report = Report {
            history,
            name: net_name(plan.batch_norm).to_string(),
            data,
            before: new_net(plan.batch_norm, plan.training.seed),
            options: plan.options(),
            begins_at,
            test_logits: Vec::new(),
            profile: None,
        };
        Some(Pages { path, report })
    }

    /// Takes a line of the log, and after an epoch the outputs for the test images, with which a page is written.
    pub fn add(&mut self, line: Line, net: &dyn Module, test_logits: Option<&[f32]>) -> crate::Result<()> {
        self.report.history.add(line);
        let Some(logits) = test_logits else { return Ok(()) };
        self.report.test_logits.clear();
        self.report.test_logits.extend_from_slice(logits);
        self.write(net, &State::Running)
    }

    /// Takes the profile of the training, for the last page.
    pub fn profile(&mut self, peak: Peak, rows: Vec<Row>) {
        self.report.profile = Some((peak, rows));
    }

    /// Writes the page, whole or not at all.
    pub fn write(&self, net: &dyn Module, state: &State) -> crate::Result<()> {
        file::replace(&self.path, self.report.page(net, state).as_bytes())
    }

    /// Takes the last line and writes the last page.
    pub fn finish(&mut self, end: Option<Line>, net: &dyn Module, state: &State) -> crate::Result<()> {
        if let Some(end) = end {
            self.report.history.add(end);
            // A training that was done already when it was taken up.
            if self.report.test_logits.is_empty() {
                self.report.test_logits = train::logits(net, &self.report.data.test).to_vec();
            }
        }
        self.write(net, state)
    }

    /// Where the report is, in a line for the user.
    pub fn note(&self) -> String {
        format!("report: {}", self.path.display())
    }
}
