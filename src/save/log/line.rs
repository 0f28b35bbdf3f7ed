//! The lines of a log: what stands in each, written as JSON and read again.
//!
//! A line that was read and is written again is the same, so whoever shows a training (the report) and whoever logs it use
//! these and cannot differ. Reading knows only these fields and goes over all others; a field that is not there is 0, empty,
//! or NaN.
//!
//! What this is not: the file. Next to read: `measure.rs`, where gradient norms and activation ranges come from.

use std::fmt::{self, Display};

use super::measure::{Probe, gradient_norms};
use crate::error::{Mistake, mistake};
use crate::json::{Number, Quoted, Reader};
use crate::nn::Module;
use crate::optim::Optimizer;
use crate::train::{Moment, Position, Progress, Training};

/// A line of a log. `Display` writes it as JSON, without the line break.
///
/// ```
/// use tapegrad::save::log::Line;
/// let text = r#"{"event":"epoch","epoch":1,"loss":1.76,"accuracy":0.356,"test_accuracy":0.599,"lr":0.001,"seconds":0.82}"#;
/// let Ok(Line::Epoch(epoch)) = Line::parse(text) else { panic!("an epoch") };
/// assert_eq!(epoch.test_accuracy, 0.599);
/// assert_eq!(Line::Epoch(epoch).to_string(), text);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The first line of a training.
    Start(Start),
    /// A step is done.
    Step(Step),
    /// An epoch is done.
    Epoch(Epoch),
    /// The training is done.
    End {
        /// The hash of the net, in 16 digits.
        parameter_hash: String,
    },
}

/// What is trained, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// The version of this crate.
    pub version: String,
    /// The net's name, how many parameters it has, and what trains them.
    pub net: String,
    /// The number of learned numbers.
    pub parameters: u64,
    /// The optimiser's name.
    pub optimizer: String,
    /// Its first learning rate.
    pub lr: f64,
    /// Passes over the training images.
    pub epochs: u64,
    /// Images per step.
    pub batch_size: u64,
    /// What the order of the images comes from.
    pub seed: u64,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The step in its epoch, counted from 1.
    pub step: u64,
    /// How many steps the epoch has; 0 where the log does not say.
    pub steps: u64,
    /// The mean loss of the step's images, before it.
    pub loss: f64,
    /// The share of them that the net had right, before it.
    pub accuracy: f64,
    /// The mean loss of the epoch so far.
    pub epoch_loss: f64,
    /// The share of the epoch's images that the net had right when it saw them.
    pub epoch_accuracy: f64,
    /// The learning rate.
    pub lr: f64,
    /// Seconds from the start of the epoch.
    pub seconds: f64,
    /// The length of the gradient of every layer.
    pub gradient_norm: Vec<(String, f64)>,
    /// The least, the mean and the greatest output of every layer, for a few images after the step. Empty at most steps.
    pub activation: Vec<(String, [f64; 3])>,
}

/// One epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epoch {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The mean loss over the images, each at the time it was seen.
    pub loss: f64,
    /// The share that the net had right, each at the time it was seen.
    pub accuracy: f64,
    /// The share of the test images that it has right at the end.
    pub test_accuracy: f64,
    /// The learning rate.
    pub lr: f64,
    /// How long it took, evaluation included.
    pub seconds: f64,
}

impl Line {
    /// The first line of a training.
    pub fn start(net: &dyn Module, optimizer: &dyn Optimizer, training: &Training) -> Line {
        Line::Start(Start {
            version: env!("CARGO_PKG_VERSION").to_string(),
            net: net.name().to_string(),
            parameters: net.parameter_count() as u64,
            optimizer: optimizer.name().to_string(),
            lr: optimizer.lr(),
            epochs: training.epochs as u64,
            batch_size: training.batch_size as u64,
            seed: training.seed,
        })
    }

    /// The line of a step or an epoch. With a probe, some steps tell the range of every layer's outputs, too.
    pub fn moment(moment: &Moment<'_>, probe: Option<&Probe>) -> Line {
        let lr = moment.optimizer.lr();
        match moment.progress {
            Progress::Step(step) => Line::Step(Step {
                epoch: step.epoch as u64,
                step: step.step as u64,
                steps: step.steps as u64,
                loss: f64::from(step.batch_loss),
                accuracy: step.batch.accuracy(),
                epoch_loss: step.loss,
                epoch_accuracy: step.correct as f64 / step.seen as f64,
                lr,
                seconds: moment.position.seconds,
                gradient_norm: moment.gradients.map_or_else(Vec::new, |g| gradient_norms(moment.net, g)),
                activation: probe
                    .filter(|_| Probe::is_due(step.step))
                    .map_or_else(Vec::new, |probe| probe.ranges(moment.net)),
            }),
            Progress::Epoch(epoch) => Line::Epoch(Epoch {
                epoch: epoch.epoch as u64,
                loss: epoch.loss,
                accuracy: epoch.train.accuracy(),
                test_accuracy: epoch.test.accuracy(),
                lr,
                seconds: epoch.seconds,
            }),
        }
    }

    /// The last line: the training is done.
    pub fn end(net: &dyn Module) -> Line {
        Line::End { parameter_hash: format!("{:016x}", net.parameter_hash()) }
    }

    /// Reads a line. What is wrong with it, if anything, is said in words that begin with what was expected.
    ///
    /// # Errors
    /// It is no JSON, no event, or a field is not what this crate writes there.
    pub fn parse(text: &str) -> Result<Line, String> {
        Line::read(text).map_err(|Mistake { expected, found }| format!("{expected}, found {found}"))
    }

    pub(crate) fn read(text: &str) -> Result<Line, Mistake> {
        // The event says which fields count, but may stand anywhere: read all fields of all events, then choose.
        let (mut event, mut parameter_hash) = (String::new(), String::new());
        let mut start = Start { lr: f64::NAN, ..Start::default() };
        let nan = f64::NAN;
        let mut step =
            Step { loss: nan, accuracy: nan, epoch_loss: nan, epoch_accuracy: nan, ..Step::default() };
        let (mut seconds, mut test_accuracy) = (nan, nan);
        let mut reader = Reader::new(text);
        reader.object(|reader, key| {
            match key.as_str() {
                "event" => event = reader.string()?,
                "version" => start.version = reader.string()?,
                "net" => start.net = reader.string()?,
                "parameters" => start.parameters = reader.whole()?,
                "optimizer" => start.optimizer = reader.string()?,
                "lr" => start.lr = reader.number()?,
                "epochs" => start.epochs = reader.whole()?,
                "batch_size" => start.batch_size = reader.whole()?,
                "seed" => start.seed = reader.whole()?,
                "epoch" => step.epoch = reader.whole()?,
                "step" => step.step = reader.whole()?,
                "steps" => step.steps = reader.whole()?,
                "loss" => step.loss = reader.number()?,
                "accuracy" => step.accuracy = reader.number()?,
                "epoch_loss" => step.epoch_loss = reader.number()?,
                "epoch_accuracy" => step.epoch_accuracy = reader.number()?,
                "test_accuracy" => test_accuracy = reader.number()?,
                "seconds" => seconds = reader.number()?,
                "gradient_norm" => reader.object(|reader, layer| {
                    step.gradient_norm.push((layer, reader.number()?));
                    Ok(())
                })?,
                "activation" => reader.object(|reader, layer| {
                    step.activation.push((layer, three_numbers(reader)?));
                    Ok(())
                })?,
                "parameter_hash" => parameter_hash = reader.string()?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        reader.end()?;
        match event.as_str() {
            "start" => Ok(Line::Start(start)),
            "step" => Ok(Line::Step(Step { lr: start.lr, seconds, ..step })),
            "epoch" => {
                let Step { epoch, loss, accuracy, .. } = step;
                Ok(Line::Epoch(Epoch { epoch, loss, accuracy, test_accuracy, lr: start.lr, seconds }))
            }
            "end" => Ok(Line::End { parameter_hash }),
            other => mistake("an event start, step, epoch or end", format!("{other:?}")),
        }
    }

    /// Whether a training that is at `position` has yet to come to this line.
    pub(super) fn is_behind(&self, position: &Position) -> bool {
        let at = (position.epoch as u64, position.step as u64);
        match self {
            Line::Start(_) | Line::End { .. } => true,
            Line::Step(step) => (step.epoch, step.step) > at,
            Line::Epoch(epoch) => epoch.epoch >= at.0,
        }
    }

    /// What the line calls its event.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Line::Start(_) => "start",
            Line::Step(_) => "step",
            Line::Epoch(_) => "epoch",
            Line::End { .. } => "end",
        }
    }
}

fn three_numbers(reader: &mut Reader<'_>) -> Result<[f64; 3], Mistake> {
    let (mut three, mut count) = ([f64::NAN; 3], 0);
    reader.array(|reader| {
        if count == 3 {
            return reader.refuse("three numbers");
        }
        three[count] = reader.number()?;
        count += 1;
        Ok(())
    })?;
    if count == 3 { Ok(three) } else { reader.refuse("three numbers") }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"event\":{}", Quoted(self.event()))?;
        match self {
            Line::Start(start) => {
                write!(f, ",\"version\":{},\"net\":{}", Quoted(&start.version), Quoted(&start.net))?;
                write!(f, ",\"parameters\":{}", start.parameters)?;
                write!(f, ",\"optimizer\":{},\"lr\":{}", Quoted(&start.optimizer), Number(start.lr))?;
                write!(f, ",\"epochs\":{},\"batch_size\":{}", start.epochs, start.batch_size)?;
                write!(f, ",\"seed\":{}", start.seed)?;
            }
            Line::Step(step) => {
                write!(f, ",\"epoch\":{},\"step\":{}", step.epoch, step.step)?;
                if step.steps > 0 {
                    write!(f, ",\"steps\":{}", step.steps)?;
                }
                write!(f, ",\"loss\":{},\"accuracy\":{}", Number(step.loss), Number(step.accuracy))?;
                write!(f, ",\"epoch_loss\":{}", Number(step.epoch_loss))?;
                write!(f, ",\"epoch_accuracy\":{}", Number(step.epoch_accuracy))?;
                write!(f, ",\"lr\":{},\"seconds\":{}", Number(step.lr), Number(step.seconds))?;
                f.write_str(",\"gradient_norm\":{")?;
                for (i, (layer, norm)) in step.gradient_norm.iter().enumerate() {
                    write!(f, "{}{}:{}", if i > 0 { "," } else { "" }, Quoted(layer), Number(*norm))?;
                }
                f.write_str("}")?;
                if !step.activation.is_empty() {
                    f.write_str(",\"activation\":{")?;
                    for (i, (layer, [low, mean, high])) in step.activation.iter().enumerate() {
                        let comma = if i > 0 { "," } else { "" };
                        let [low, mean, high] = [low, mean, high].map(|value| Number(*value));
                        write!(f, "{comma}{}:[{low},{mean},{high}]", Quoted(layer))?;
                    }
                    f.write_str("}")?;
                }
            }
            Line::Epoch(epoch) => {
                write!(f, ",\"epoch\":{},\"loss\":{}", epoch.epoch, Number(epoch.loss))?;
                write!(f, ",\"accuracy\":{}", Number(epoch.accuracy))?;
                write!(f, ",\"test_accuracy\":{}", Number(epoch.test_accuracy))?;
                write!(f, ",\"lr\":{},\"seconds\":{}", Number(epoch.lr), Number(epoch.seconds))?;
            }
            Line::End { parameter_hash } => write!(f, ",\"parameter_hash\":{}", Quoted(parameter_hash))?,
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        let step = Step {
            epoch: 2,
            step: 11,
            steps: 235,
            loss: 0.1,
            accuracy: 0.25,
            epoch_loss: 1e-7,
            epoch_accuracy: 1.0,
            lr: 0.001,
            seconds: 0.5,
            gradient_norm: vec![("conv.0".into(), 3.0), ("\"".into(), 1e300)],
            activation: vec![("conv.0".into(), [-1.5, 0.0, 2.0])],
        };
        let start = Start { net: "LeNet".into(), seed: u64::MAX, lr: 0.1, ..Start::default() };
        for line in [Line::Step(step), Line::Start(start), Line::End { parameter_hash: "00ff".into() }] {
            assert_eq!(Line::parse(&line.to_string()), Ok(line));
        }
        let Ok(Line::Step(step)) = Line::parse("{\"loss\":null,\"event\":\"step\"}") else {
            panic!("a step")
        };
        assert!(step.loss.is_nan() && step.epoch == 0);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for (text, expected) in [
            ("{}", "an event start, step, epoch or end, found \"\""),
            ("{\"event\":\"step\",\"loss\":\"x\"}", "JSON with a number"),
            ("{\"event\":\"step\",\"activation\":{\"a\":[1,2]}}", "JSON with three numbers"),
            ("{\"event\":\"step\",\"activation\":{\"a\":[1,2,3,4]}}", "JSON with three numbers"),
            ("{\"event\":\"step\",\"step\":-1}", "JSON with a whole number"),
        ] {
            let error = Line::parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
