//! The training of `lenet`, from the first note to the last: what it prints, keeps and saves.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

use flate2::Crc;

use super::super::progress::{Progress, accuracy_line, time_left};
use super::super::terminal_size::columns;
use super::super::{Stop, interrupt, note, say};
use super::report::Pages;
use super::train::Plan;
use super::{draw_tape, net_name, new_net};
use crate::data::{DatasetName, FashionMnist};
use crate::nn::Module;
use crate::optim::{Adam, Optimizer};
use crate::profile::{self, Peak, Profile};
use crate::report::lenet::{History, State};
use crate::save::checkpoint::{Checkpoint, Checkpoints};
use crate::save::log::{Line, Log, Probe};
use crate::save::{Metadata, save_model};
use crate::train::{self, Epoch, Moment, Outcome, Position, Score, Step, train_from};
use crate::{Error, file, parallel, simd};

pub(super) fn run(
    plan: &Plan,
    checkpoints: Option<Checkpoints>,
    newest: Option<Checkpoint>,
) -> Result<(), Stop> {
    let Plan { training, quiet, .. } = plan;
    // Before hours of work, not behind them.
    for path in plan.save.iter().chain(&plan.report).chain(&plan.draw_tape) {
        file::check_replaceable(path)?;
    }
    let data = FashionMnist::load(&plan.data)?;
    if !quiet {
        note(&format!(
            "{}: {} training and {} test images, {} threads, {}",
            data.name,
            data.train.len(),
            data.test.len(),
            parallel::threads(),
            simd::level().name()
        ));
    }
    let mut net = new_net(plan.batch_norm, training.seed);
    let mut optimizer = Adam::new(plan.lr);
    let log_start = newest.as_ref().and_then(|newest| newest.option(LOG_START)?.parse().ok());
    let position = match newest {
        Some(newest) => go_on(newest, &data, plan, &mut *net, &mut optimizer)?,
        None => Position::start_of(1),
    };
    if !quiet && position == Position::start_of(1) {
        say(&format!("{net}"))?;
        say(&format!("{} parameters", net.parameter_count()))?;
    }
    if let Some(path) = &plan.draw_tape {
        draw_tape::run(path, plan, &*net, &data, &position)?;
    }
    let mut keeper = Keeper::start(plan, &data, checkpoints, log_start, &position)?;
    keeper.begin(&*net, &optimizer, &data, &position)?;

    let mut bar = Bar::new(plan);
    let mut failure: Result<(), Stop> = Ok(());
    let (mut last, mut test, mut accuracies) = (position, None, Vec::new());
    let stop = interrupt::flag();
    let profile = plan.profile.then(|| (Peak::measure(), Profile::start()));
    let outcome = train_from(&mut *net, &mut optimizer, &data, training, position, stop, |moment| {
        last = moment.position;
        let kept = keeper.moment(&moment).map_err(Stop::from);
        let told = match &moment.progress {
            train::Progress::Step(step) => {
                bar.draw(step);
                Ok(())
            }
            train::Progress::Epoch(epoch) => {
                bar.clear();
                test = Some(epoch.test);
                accuracies.push(epoch.test.accuracy());
                say(&line(epoch))
            }
        };
        // A disk that is full, or nobody reads any more: no reason to go on.
        if let Err(stopped) = kept.and(told) {
            failure = Err(stopped);
            stop.store(true, Ordering::Relaxed);
        }
    });
    bar.clear();
    if failure.is_err() {
        // Best effort: an open page shall not wait for more. What went wrong first is what is told.
        let _ = keeper.last_page(&*net, None, &State::Ended(outcome.to_string()));
    }
    failure?;
    if let Some((peak, profile)) = profile {
        let rows = profile.rows();
        let peak = peak.measured_again();
        say(&profile::table(&rows, &peak))?;
        if let Some(pages) = &mut keeper.pages {
            pages.profile(peak, rows);
        }
    }
    match outcome {
        Outcome::Finished => {
            let end = keeper.end_log(&*net)?;
            if let Some(path) = &plan.save {
                let test = test.unwrap_or_else(|| train::evaluate(&*net, &data.test));
                save_model(&*net, path, &facts(plan, &data, &*net, test))?;
            }
            if accuracies.len() > 1 && !quiet {
                let coloured = plan.color.is_used_on(&io::stdout());
                say(&accuracy_line(&accuracies, training.epochs, columns(), coloured))?;
            }
            say(&format!("parameter hash {:016x}", net.parameter_hash()))?;
            if let (Some(path), false) = (&plan.save, quiet) {
                note(&format!("saved to {}", path.display()));
            }
            // Last, for nothing else shall be lost where there is no room for it.
            keeper.last_page(&*net, Some(end), &State::Finished)?;
            Ok(())
        }
        Outcome::Stopped { .. } => {
            keeper.save(&*net, &optimizer, &last)?;
            match keeper.checkpoints {
                Some(_) => note(&format!("{outcome}; with --resume it goes on from there")),
                None => note(&format!("{outcome}")),
            }
            keeper.last_page(&*net, None, &State::Ended(outcome.to_string()))?;
            Err(Stop::Interrupted)
        }
        Outcome::Diverged { .. } => {
            keeper.last_page(&*net, None, &State::Ended(outcome.to_string()))?;
            Err(Stop::Failed(outcome.to_string()))
        }
    }
}

/// Takes a training up where its checkpoint left it.
fn go_on(
    mut newest: Checkpoint,
    data: &FashionMnist,
    plan: &Plan,
    net: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
) -> crate::Result<Position> {
    let (kept, found) = (newest.option("train_images"), checksum(data));
    if kept != Some(&found) {
        let expected = format!("the training images of the checkpoint {}", newest.path().display());
        return Err(Error::format(&plan.data, expected, "others, by their checksum"));
    }
    let position = newest.position();
    let steps = data.train.len().div_ceil(plan.training.batch_size);
    if position.step > steps {
        let expected = format!("a checkpoint after at most {steps} steps of an epoch");
        return Err(Error::format(newest.path(), expected, position.step.to_string()));
    }
    if !plan.quiet {
        let (path, epochs) = (newest.path().display(), plan.training.epochs);
        note(&match position {
            Position { epoch, .. } if epoch > epochs => format!("{path}: all {epochs} epochs are done"),
            Position { epoch, step: 0, .. } => format!("{path}: going on with epoch {epoch}"),
            Position { epoch, step, .. } => {
                format!("{path}: going on in epoch {epoch}, after {step} of {steps} steps")
            }
        });
    }
    newest.restore(net, optimizer)
}

/// The CRC-32 of training images and labels: with others a training would not go on but become another.
fn checksum(data: &FashionMnist) -> String {
    let mut crc = Crc::new();
    crc.update(data.train.pixels());
    crc.update(data.train.labels());
    format!("{:08x}", crc.sum())
}

/// Writes down, while a training runs, what must outlive it.
struct Keeper<'a> {
    plan: &'a Plan,
    steps: usize,
    checkpoints: Option<Checkpoints>,
    options: Metadata,
    log: Option<Log>,
    pages: Option<Pages<'a>>,
    /// What measures the layers, where somebody hears of it.
    probe: Option<Probe>,
    kept: Option<Position>,
}

/// The option of a checkpoint that says where in the log its training begins.
const LOG_START: &str = "log_start";

impl<'a> Keeper<'a> {
    /// Opens the log. `log_start` is where the checkpoint says that the training's own lines begin.
    fn start(
        plan: &'a Plan,
        data: &FashionMnist,
        checkpoints: Option<Checkpoints>,
        log_start: Option<u64>,
        position: &Position,
    ) -> crate::Result<Keeper<'a>> {
        let log = match (&plan.log, log_start) {
            (None, _) => None,
            (Some(path), None) => Some(Log::append(path)?),
            (Some(path), Some(start)) => Some(Log::resume(path, start, position)?),
        };
        let mut options = Metadata::new();
        let mut option = |key: &str, value: String| drop(options.insert(key.to_string(), value));
        option("net", net_name(plan.batch_norm).to_string());
        option("data", data_name(data));
        option("train_images", checksum(data));
        if let Some(every) = plan.every {
            option("checkpoint_every", every.to_string());
        }
        let length = log.as_ref().and_then(Log::len);
        let goes_on = log_start.filter(|&start| length.is_some_and(|length| start < length));
        // A training that goes on without its log may find it again later.
        if let Some(start) = goes_on.or(length).or(log_start.filter(|_| plan.log.is_none())) {
            option(LOG_START, start.to_string());
        }
        let steps = data.train.len().div_ceil(plan.training.batch_size);
        let probe = (plan.log.is_some() || plan.report.is_some()).then(|| Probe::new(&data.test));
        Ok(Keeper { plan, steps, checkpoints, options, log, pages: None, probe, kept: None })
    }

    /// Writes the first checkpoint, which shows at once whether it can be written, and then the first line of the log: a line
    /// must not be there that no checkpoint knows of. Then the first page.
    fn begin(
        &mut self,
        net: &dyn Module,
        optimizer: &dyn Optimizer,
        data: &'a FashionMnist,
        position: &Position,
    ) -> crate::Result<()> {
        self.save(net, optimizer, position)?;
        let start = self.options.get(LOG_START).and_then(|start| start.parse::<u64>().ok());
        let mut earlier = None;
        match &mut self.log {
            Some(log) if log.len() == start => log.start(net, optimizer, &self.plan.training)?,
            // What is in the log now, `Log::resume` has found to be this training up to its position.
            Some(log) if log.len().is_some() && self.plan.report.is_some() => {
                earlier = self.plan.log.as_deref().map(History::read).transpose()?;
            }
            _ => {}
        }
        let line = Line::start(net, optimizer, &self.plan.training);
        self.pages = Pages::new(self.plan, data, line, earlier, position);
        self.pages.as_ref().map_or(Ok(()), |pages| pages.write(net, &State::Running))
    }

    fn moment(&mut self, moment: &Moment<'_>) -> crate::Result<()> {
        if self.log.is_some() || self.pages.is_some() {
            let line = Line::moment(moment, self.probe.as_ref());
            if let Some(log) = &mut self.log {
                log.write(&line)?;
            }
            if let Some(pages) = &mut self.pages {
                pages.add(line, moment.net, moment.test_logits)?;
            }
        }
        let due = match moment.progress {
            train::Progress::Epoch(_) => true,
            train::Progress::Step(Step { epoch, step, .. }) => {
                self.plan.every.is_some_and(|every| ((epoch - 1) * self.steps + step).is_multiple_of(every))
            }
        };
        if due { self.save(moment.net, moment.optimizer, &moment.position) } else { Ok(()) }
    }

    /// Writes a checkpoint, unless there is one of this position.
    fn save(
        &mut self,
        net: &dyn Module,
        optimizer: &dyn Optimizer,
        position: &Position,
    ) -> crate::Result<()> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        if self.kept == Some(*position) {
            return Ok(());
        }
        if let Some(log) = &self.log {
            log.sync()?;
        }
        checkpoints.save(net, optimizer, &self.plan.training, position, &self.options)?;
        self.kept = Some(*position);
        Ok(())
    }

    /// Writes the last line of the log: the training is done.
    fn end_log(&mut self, net: &dyn Module) -> crate::Result<Line> {
        let end = Line::end(net);
        self.log.as_mut().map_or(Ok(()), |log| log.write(&end))?;
        Ok(end)
    }

    /// Writes the last page and says where it is.
    fn last_page(&mut self, net: &dyn Module, end: Option<Line>, state: &State) -> crate::Result<()> {
        let Some(pages) = &mut self.pages else { return Ok(()) };
        pages.finish(end, net, state)?;
        if !self.plan.quiet {
            note(&pages.note());
        }
        Ok(())
    }
}

fn data_name(data: &FashionMnist) -> String {
    match data.name {
        DatasetName::FashionMnist => data.name.to_string(),
        DatasetName::Other => "other".to_string(),
    }
}

/// What a saved net says of itself.
fn facts(plan: &Plan, data: &FashionMnist, net: &dyn Module, test: Score) -> Metadata {
    let facts = [
        ("made_by", concat!("tapegrad ", env!("CARGO_PKG_VERSION")).to_string()),
        ("net", net_name(plan.batch_norm).to_string()),
        ("data", data_name(data)),
        ("seed", plan.training.seed.to_string()),
        ("epochs", plan.training.epochs.to_string()),
        ("batch_size", plan.training.batch_size.to_string()),
        ("lr", plan.lr.to_string()),
        ("accuracy", test.accuracy().to_string()),
        ("parameter_hash", format!("{:016x}", net.parameter_hash())),
    ];
    facts.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}

/// The notebook's line, and what it leaves out.
fn line(epoch: &Epoch) -> String {
    format!(
        "epoch {}, loss {:.4}, train acc {:.3}, test acc {:.3}, time {:.2} ({} of {} test images, {:.0} images/s)",
        epoch.epoch,
        epoch.loss,
        epoch.train.accuracy(),
        epoch.test.accuracy(),
        epoch.seconds,
        epoch.test.correct,
        epoch.test.total,
        (epoch.train.total + epoch.test.total) as f64 / epoch.seconds
    )
}

/// The progress of an epoch.
struct Bar {
    progress: Progress,
    epochs: usize,
    /// When the epoch's first step was done, and how many images it had seen then.
    first: Option<(Instant, usize)>,
    /// When the first step of all was done, and which one it was: an estimate of what is left covers evaluations, too.
    start: Option<(Instant, usize)>,
}

impl Bar {
    fn new(plan: &Plan) -> Bar {
        Bar {
            progress: Progress::new(plan.quiet, plan.color),
            epochs: plan.training.epochs,
            first: None,
            start: None,
        }
    }

    fn draw(&mut self, step: &Step) {
        let (start, before) = *self.first.get_or_insert_with(|| (Instant::now(), step.seen));
        let done = (step.epoch - 1) * step.steps + step.step;
        let (began, first) = *self.start.get_or_insert_with(|| (Instant::now(), done));
        if !self.progress.is_due() {
            return;
        }
        let rate = (step.seen - before) as f64 / start.elapsed().as_secs_f64().max(1e-9);
        let name = format!("epoch {}/{}", step.epoch, self.epochs);
        let left = time_left(began.elapsed(), done - first, self.epochs * step.steps - done);
        let others = [format!("loss {:.4}", step.loss), format!("{rate:.0} images/s")];
        let facts: Vec<String> = left.into_iter().chain(others).collect();
        self.progress.draw(&name, step.step, step.steps, &facts);
    }

    fn clear(&mut self) {
        self.first = None;
        self.progress.clear();
    }
}
