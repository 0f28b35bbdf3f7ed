//! The report of a training of LeNet: one page, written again after every epoch.
//!
//! | section | file |
//! |---|---|
//! | the numbers that count, the net, the options, the machine | here |
//! | loss and accuracy | `curves.rs` |
//! | gradients and activations, and why it stands still at first | `layers.rs`, `stall.rs` |
//! | what it takes for what | `classes.rs` |
//! | kernels and feature maps | `kernels.rs` |
//! | where the time went | `profile.rs` |
//!
//! All numbers of the training come from its [`History`], which is the log. The page carries it along, so that
//! [`compare()`] can lay two pages over each other. Next to read: `history.rs`.

mod classes;
mod compare;
mod curves;
mod history;
mod kernels;
mod layers;
mod machine;
mod profile;
mod stall;

use crate::data::CLASSES;
use crate::data::{DatasetName, FashionMnist};
use crate::nn::Module;
use crate::profile::{Peak, Row};
use crate::report::chart::digits;
use crate::report::page::{Html, Page};
use crate::{parallel, simd};

pub use compare::compare;
pub use history::History;

/// How a training stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is more to come; an open page reads itself again.
    Running,
    /// All epochs are done.
    Finished,
    /// It ended before: why, in a few words.
    Ended(String),
}

/// A report as it grows.
pub struct Report<'a> {
    /// What the training has told.
    pub history: History,
    /// What the page calls the net: "LeNet with batch norm".
    pub name: String,
    /// The pictures.
    pub data: &'a FashionMnist,
    /// The net with its first values.
    pub before: Box<dyn Module>,
    /// The options of the training, by name.
    pub options: Vec<(&'static str, String)>,
    /// Where the history begins, if not at the start: a training that goes on and has no log of what was before.
    pub begins_at: Option<String>,
    /// The net's outputs for the test images at the end of the last epoch; empty before the first.
    pub test_logits: Vec<f32>,
    /// Where the time went, and what the machine can do at most: at the end of a training that was profiled.
    pub profile: Option<(Peak, Vec<Row>)>,
}

/// Seconds after which an open page looks for a new one.
const REFRESH: u32 = 5;

impl Report<'_> {
    /// The page, of the net as it is now.
    pub fn page(&self, net: &dyn Module, state: &State) -> String {
        let history = &self.history;
        let epochs =
            format!("{} of {} epochs", history.epochs.len().max(self.last_epoch()), history.start.epochs);
        let how = match state {
            State::Running => format!("still training, {epochs} done; this page follows it"),
            State::Finished => format!("trained, {epochs}"),
            State::Ended(why) => format!("not finished: {why}"),
        };
        let lead = format!("{} on {}, {how}.", self.name, self.data.name);
        let mut page = Page::new(&format!("{}: what it learned", self.name), &lead);
        if *state == State::Running {
            page.refresh_every(REFRESH);
        }
        let stall = stall::Stall::find(history);
        page.section("The training", self.headline(net, state));
        page.section("Loss and accuracy", curves::section(history, stall.as_ref()));
        page.section("Inside the layers", layers::section(history, stall.as_ref(), net));
        let names = self.class_names();
        if !self.test_logits.is_empty() {
            page.section(
                "What it takes for what",
                classes::section(&self.test_logits, &self.data.test, &names),
            );
        }
        if let Some(kernels) = kernels::section(&*self.before, net) {
            page.section("Kernels", kernels);
        }
        if let Some(maps) = kernels::maps(net, &self.data.test, &names) {
            page.section("Feature maps", maps);
        }
        if let Some((peak, rows)) = &self.profile {
            page.section("Where the time went", profile::section(rows, peak));
        }
        page.section("Net, options, machine", self.circumstances(net));
        page.data(history::DATA, &history.lines());
        page.finish()
    }

    fn last_epoch(&self) -> usize {
        self.history.epochs.last().map_or(0, |epoch| epoch.epoch as usize)
    }

    fn headline(&self, net: &dyn Module, state: &State) -> Html {
        let history = &self.history;
        let mut facts = Vec::new();
        if let Some(last) = history.epochs.last() {
            facts.push(("test accuracy", digits(last.test_accuracy, 6)));
            facts.push(("training accuracy", digits(last.accuracy, 6)));
            facts.push(("loss", digits(last.loss, 6)));
        }
        facts.push(("parameters", net.parameter_count().to_string()));
        let seconds: f64 = history.epochs.iter().map(|epoch| epoch.seconds).sum();
        if !history.epochs.is_empty() {
            facts.push(("seconds", digits(seconds, 4)));
        }
        if let Some(hash) = &history.parameter_hash {
            facts.push(("parameter hash", hash.clone()));
        }
        let mut html = Html::new().facts(&facts);
        if let Some(begin) = &self.begins_at {
            html = html.paragraph(begin);
        }
        match (history.epochs.last(), state) {
            (Some(last), _) => {
                let (count, share) = (self.data.test.len(), last.test_accuracy);
                let right = (share * count as f64).round();
                html.paragraph(&format!(
                    "After epoch {} it has {right} of {count} test images right, which it has never trained on.",
                    last.epoch
                ))
            }
            (None, State::Running) => html.paragraph("The first epoch is not done yet."),
            (None, _) => html.paragraph("No epoch was done."),
        }
    }

    fn circumstances(&self, net: &dyn Module) -> Html {
        let summary = net.summary(&[1, 1, 28, 28]);
        let dash = || "–".to_string();
        let rows = summary.rows.iter().map(|row| {
            let path = if row.path.is_empty() { "(all)".to_string() } else { row.path.clone() };
            let output = row.output.map_or_else(dash, |shape| shape.to_string());
            let parameters = row.parameters.map_or_else(dash, |count| count.to_string());
            [path, row.name.clone(), output, parameters]
        });
        let options = self.options.iter().map(|(name, value)| [(*name).to_string(), value.clone()]);
        let machine = [
            ["CPU".to_string(), machine::cpu_name().unwrap_or_else(|| "not known".to_string())],
            ["instructions".to_string(), simd::level().name().to_string()],
            ["threads".to_string(), parallel::threads().to_string()],
            ["system".to_string(), format!("{}, {}", std::env::consts::OS, std::env::consts::ARCH)],
        ];
        Html::new()
            .heading("The net, as PyTorch prints it")
            .preformatted(&net.repr())
            .table("Its layers, for one image", &["layer", "type", "output shape", "parameters"], rows)
            .paragraph("With the same options the parameter hash is the same on every machine, with any number of threads.")
            .table("Options", &["option", "value"], options)
            .table("Machine", &["what", "value"], machine)
    }

    fn class_names(&self) -> Vec<String> {
        match self.data.name {
            DatasetName::FashionMnist => CLASSES.map(str::to_string).to_vec(),
            DatasetName::Other => (0..CLASSES.len()).map(|class| class.to_string()).collect(),
        }
    }
}
