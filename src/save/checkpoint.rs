//! Checkpoints: a training stops, by intent or by a power cut, and goes on later as if it had not.
//!
//! ```text
//! DIR/epoch-0002-step-000120.safetensors    the newest
//! DIR/epoch-0002-step-000110.safetensors    the one before
//! DIR/lock                                  held while a training writes here
//! ```
//!
//! A checkpoint is a [safetensors file](super::safetensors). Beside the net's tensors it holds the optimiser's, as
//! `optimizer.conv.0.weight.exp_avg`, and in its metadata the position of the training, its options, and a checksum of the
//! whole file. Numbers come back as the bits that they were, and the order of the pictures depends on seed and epoch alone, so
//! the training ends with the same bits as one that was not interrupted.
//!
//! A new checkpoint is written under another name, flushed, and renamed ([`crate::file::replace`]). The one
//! before stays beside it until the next is whole, so there is always one to go on from: a kill leaves a temporary file, which
//! is removed later, and a file that a disk has damaged is found by its checksum and passed over.
//!
//! Next to read: `log.rs`.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Metadata, OPTIMIZER, SafeTensors, read_model, safetensors, set_model, tensors_of};
use crate::error::{Error, Result};
use crate::nn::Module;
use crate::optim::{Optimizer, ParamState};
use crate::train::{Position, Score, Training};
use crate::{Tensor, file};

/// What the metadata of every checkpoint says under `format`.
const FORMAT: &str = "tapegrad checkpoint 1";

/// The caller's own entries of the metadata begin so.
const OPTION: &str = "option.";

/// A folder of checkpoints, held by one training.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// Whole ones that this training wrote or went on from, the newest last.
    whole: Vec<PathBuf>,
    /// Held as long as this lives; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Checkpoints {
    /// A folder for a new training; it is made where there is none.
    ///
    /// # Errors
    /// The folder holds checkpoints already, cannot be written, or another process writes there.
    pub fn create(folder: impl AsRef<Path>) -> Result<Checkpoints> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, "a folder for checkpoints", e))?;
        let checkpoints = Checkpoints::open(folder)?;
        match checkpoints.list()?.first() {
            None => Ok(checkpoints),
            Some((_, found)) => {
                let expected = "a folder without checkpoints (or --resume, to go on from the last)";
                Err(Error::format(folder, expected, file_name(found)))
            }
        }
    }

    /// The folder of a training that is to go on.
    ///
    /// # Errors
    /// There is no such folder, it cannot be written, or another process writes there.
    pub fn open(folder: impl AsRef<Path>) -> Result<Checkpoints> {
        let folder = folder.as_ref();
        let failed = |e| Error::io(folder, "a folder of checkpoints that can be written", e);
        if !fs::metadata(folder).map_err(failed)?.is_dir() {
            return Err(Error::format(folder, "a folder of checkpoints", "a file"));
        }
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let expected = "a folder that no other training uses";
                return Err(Error::format(folder, expected, "one that is in use (by its file 'lock')"));
            }
            // A file system without locks: then this is the user's to see to.
            Err(TryLockError::Error(_)) => {}
        }
        let checkpoints = Checkpoints { folder: folder.to_path_buf(), whole: Vec::new(), _lock: lock };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_str().is_some_and(file::is_left_behind) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(checkpoints)
    }

    /// The newest whole checkpoint, and what is wrong with those that are newer; no checkpoint where there is none at all.
    ///
    /// # Errors
    /// The folder cannot be read, or it holds checkpoints and none of them is whole.
    pub fn newest(&mut self) -> Result<(Option<Checkpoint>, Vec<Error>)> {
        let mut damaged = Vec::new();
        for (_, path) in self.list()?.into_iter().rev() {
            match SafeTensors::open(&path).and_then(Checkpoint::read) {
                Ok(checkpoint) => {
                    self.whole = vec![path];
                    return Ok((Some(checkpoint), damaged));
                }
                Err(error) => damaged.push(error),
            }
        }
        match damaged.first() {
            None => Ok((None, damaged)),
            Some(newest) => {
                let found = format!("{} damaged; the newest: {newest}", damaged.len());
                Err(Error::format(&self.folder, "a whole checkpoint", found))
            }
        }
    }

    /// Writes a checkpoint. The one before is kept, older ones are removed.
    ///
    /// # Errors
    /// The file cannot be written. The checkpoints before are then unchanged.
    pub fn save(
        &mut self,
        net: &dyn Module,
        optimizer: &dyn Optimizer,
        training: &Training,
        position: &Position,
        options: &Metadata,
    ) -> Result<()> {
        let (tensors, metadata) = content(net, optimizer, training, position, options);
        let name = format!("epoch-{:04}-step-{:06}.safetensors", position.epoch, position.step);
        let path = self.folder.join(name);
        file::replace(&path, &safetensors::encode_with_checksum(&tensors, &metadata))?;
        self.whole.retain(|old| *old != path);
        self.whole.push(path);
        if self.whole.len() > 2 {
            self.whole.remove(0);
            for (_, path) in self.list()? {
                if !self.whole.contains(&path) {
                    // It does no harm where it is; the next time it may go.
                    let _ = fs::remove_file(path);
                }
            }
        }
        Ok(())
    }

    /// All files that have the name of a checkpoint, the newest last.
    fn list(&self) -> Result<Vec<((u64, u64), PathBuf)>> {
        let failed = |e| Error::io(&self.folder, "a folder of checkpoints", e);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if let Some(place) = place_in_name(&path) {
                found.push((place, path));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Epoch and step, as the name of a checkpoint says them.
fn place_in_name(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?;
    let (epoch, step) = name.strip_prefix("epoch-")?.strip_suffix(".safetensors")?.split_once("-step-")?;
    Some((epoch.parse().ok()?, step.parse().ok()?))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The tensors and texts of a checkpoint.
fn content(
    net: &dyn Module,
    optimizer: &dyn Optimizer,
    training: &Training,
    position: &Position,
    options: &Metadata,
) -> (Vec<(String, Tensor)>, Metadata) {
    let mut tensors = tensors_of(net);
    let mut metadata = Metadata::new();
    let mut text = |key: &str, value: String| drop(metadata.insert(key.to_string(), value));
    for (name, param) in net.named_parameters() {
        let Some(state) = optimizer.state(param) else { continue };
        text(&step_key(&name), state.step.to_string());
        for (list, numbers) in state.lists {
            let tensor = Tensor::from_slice(&numbers, param.value().shape());
            tensors.push((format!("{OPTIMIZER}{name}.{list}"), tensor));
        }
    }
    text("format", FORMAT.to_string());
    text("epoch", position.epoch.to_string());
    text("step", position.step.to_string());
    // The shortest digits that read back as the same bits.
    text("loss_sum", format!("{:?}", position.loss_sum));
    text("correct", position.score.correct.to_string());
    text("seen", position.score.total.to_string());
    text("seconds", format!("{:?}", position.seconds));
    text("epochs", training.epochs.to_string());
    text("batch_size", training.batch_size.to_string());
    text("seed", training.seed.to_string());
    text("lr", format!("{:?}", optimizer.lr()));
    text("optimizer", describe(optimizer));
    for (key, value) in options {
        text(&format!("{OPTION}{key}"), value.clone());
    }
    (tensors, metadata)
}

fn step_key(param: &str) -> String {
    format!("{OPTIMIZER}{param}.step")
}

/// An optimiser as one text, without its learning rate, which may change from step to step.
fn describe(optimizer: &dyn Optimizer) -> String {
    let numbers = optimizer.hyperparameters();
    let numbers: Vec<String> = numbers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}({})", optimizer.name(), numbers.join(", "))
}

/// A checkpoint that is found to be whole.
pub struct Checkpoint {
    file: SafeTensors,
    training: Training,
    position: Position,
    lr: f64,
}

impl Checkpoint {
    /// Holds a file against its checksum and reads what it says of the training.
    ///
    /// # Errors
    /// The file is damaged, or none of [`Checkpoints::save`].
    pub fn read(mut file: SafeTensors) -> Result<Checkpoint> {
        let format = file.metadata().get("format");
        if format.is_none_or(|format| format != FORMAT) {
            let found = format.map_or("none".to_string(), |format| format!("{format:.40?}"));
            return Err(Error::format(file.path(), format!("a format {FORMAT:?} in the metadata"), found));
        }
        file.verify_checksum()?;
        let position = Position {
            epoch: number(&file, "epoch", |&epoch| epoch >= 1)?,
            step: number(&file, "step", |_| true)?,
            loss_sum: number(&file, "loss_sum", |sum: &f64| sum.is_finite())?,
            score: Score {
                correct: number(&file, "correct", |_| true)?,
                total: number(&file, "seen", |_| true)?,
            },
            seconds: number(&file, "seconds", |seconds: &f64| seconds.is_finite())?,
        };
        let training = Training {
            epochs: number(&file, "epochs", |_| true)?,
            batch_size: number(&file, "batch_size", |&size| size >= 1)?,
            seed: number(&file, "seed", |_| true)?,
        };
        let lr = number(&file, "lr", |lr: &f64| *lr >= 0.0 && lr.is_finite())?;
        Ok(Checkpoint { file, training, position, lr })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// How the training was to go.
    pub fn training(&self) -> Training {
        self.training
    }

    /// How far it had come.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The learning rate that it had.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// One of the options that were given to [`Checkpoints::save`].
    pub fn option(&self, name: &str) -> Option<&str> {
        self.file.metadata().get(&format!("{OPTION}{name}")).map(String::as_str)
    }

    /// Makes a net and an optimiser what they were, its learning rate included, and tells the position to go on from.
    ///
    /// # Errors
    /// The checkpoint is one of another net, or of an optimiser with other options. Both are then unchanged.
    pub fn restore(&mut self, net: &mut dyn Module, optimizer: &mut dyn Optimizer) -> Result<Position> {
        let expected = self.file.metadata().get("optimizer").cloned().unwrap_or_default();
        if expected != describe(optimizer) {
            let found = format!("one of {expected:.200}");
            return Err(Error::format(
                self.path(),
                format!("a checkpoint of {}", describe(optimizer)),
                found,
            ));
        }
        let values = read_model(net, &mut self.file)?;
        let states = self.read_states(net)?;
        let params = net.named_parameters();
        let before: Vec<_> = params.iter().map(|(_, param)| optimizer.state(param)).collect();
        for ((_, param), state) in params.iter().zip(states) {
            if let Err(error) = optimizer.set_state(param, state) {
                for ((_, param), old) in params.iter().zip(before) {
                    // It was its own state a moment ago.
                    let _ = optimizer.set_state(param, old);
                }
                return Err(Error::format(self.path(), "the optimiser's state", error.to_string()));
            }
        }
        optimizer.set_lr(self.lr);
        set_model(net, &values);
        Ok(self.position)
    }

    /// What the file holds of the optimiser for each parameter.
    fn read_states(&mut self, net: &dyn Module) -> Result<Vec<Option<ParamState>>> {
        let mut states = Vec::new();
        let mut used = 0;
        for (param, value) in net.named_parameters().iter().map(|(name, param)| (name, param.value())) {
            if !self.file.metadata().contains_key(&step_key(param)) {
                states.push(None);
                continue;
            }
            let mut state =
                ParamState { step: number(&self.file, &step_key(param), |_| true)?, lists: vec![] };
            let prefix = format!("{OPTIMIZER}{param}.");
            let lists: Vec<String> = self
                .file
                .tensors()
                .keys()
                .filter_map(|name| name.strip_prefix(&prefix))
                .map(String::from)
                .collect();
            for list in lists {
                let name = format!("{prefix}{list}");
                let shape = &self.file.tensors()[&name].shape;
                if shape[..] != value.shape()[..] {
                    let expected = format!("{name} of shape {}", value.shape());
                    return Err(Error::format(self.path(), expected, format!("shape {shape:?}")));
                }
                state.lists.push((list, self.file.tensor(&name)?.to_vec()));
                used += 1;
            }
            states.push(Some(state));
        }
        let all = self.file.tensors().keys().filter(|name| name.starts_with(OPTIMIZER)).count();
        if used != all {
            let expected = format!("tensors of the optimiser for the parameters of {} alone", net.name());
            return Err(Error::format(self.path(), expected, format!("{} others", all - used)));
        }
        Ok(states)
    }
}

/// A number in the metadata.
fn number<T: FromStr>(file: &SafeTensors, key: &str, valid: impl Fn(&T) -> bool) -> Result<T> {
    let text = file.metadata().get(key);
    let parsed = text.and_then(|text| text.parse().ok()).filter(valid);
    parsed.ok_or_else(|| {
        let found = text.map_or("none".to_string(), |text| format!("{text:.40?}"));
        Error::format(file.path(), format!("a number {key} in the metadata"), found)
    })
}
