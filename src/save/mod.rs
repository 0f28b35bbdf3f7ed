//! Keeping nets: in files that others read too, and in checkpoints from which a training goes on as if it had never stopped.
//!
//! ```
//! use tapegrad::nn::{Init, LeNet, Module};
//! use tapegrad::save::{Metadata, load_model, save_model};
//!
//! # fn main() -> tapegrad::Result<()> {
//! # let folder = std::env::temp_dir().join(format!("tapegrad-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder).unwrap();
//! # let path = folder.join("lenet.safetensors");
//! let net = LeNet::new(&mut Init::new(0));
//! save_model(&net, &path, &Metadata::from([("author".to_string(), "me".to_string())]))?;
//!
//! let mut other = LeNet::new(&mut Init::new(1));
//! let metadata = load_model(&mut other, &path)?;
//! assert_eq!(other.parameter_hash(), net.parameter_hash());
//! assert_eq!(metadata["author"], "me");
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! Whatever is written replaces what was there as a whole or not at all ([`file::replace`]). Whatever is read is looked at
//! before anything is changed: a file that does not fit leaves the net as it was.
//!
//! Reading order: `safetensors/mod.rs` (the format), this file (nets), `checkpoint.rs` (nets with everything that training them
//! needs), `log.rs` (what training said on its way), `onnx/mod.rs` (nets for other programs).

pub mod checkpoint;

pub mod log;

pub mod onnx;

pub mod safetensors;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Error, Result};
use crate::nn::{Leaf, Module, check_parts};
use crate::{Tensor, file};

pub use safetensors::{Metadata, SafeTensors};

/// Names of tensors that begin so belong to an optimiser: a checkpoint holds them beside the net's.
const OPTIMIZER: &str = "optimizer.";

/// Writes the parameters and buffers of a net under their names (`conv.0.weight`) into a safetensors file, with texts of the
/// caller's choice beside them.
///
/// # Errors
/// The file cannot be written. What was at `path` is then unchanged.
///
/// # Panics
/// When two parameters or buffers have the same name.
#[track_caller]
pub fn save_model(net: &dyn Module, path: impl AsRef<Path>, metadata: &Metadata) -> Result<()> {
    file::replace(path.as_ref(), &safetensors::encode(&tensors_of(net), metadata))
}

/// Reads the parameters and buffers of a net from a safetensors file, and gives back the texts beside them. A checkpoint is
/// such a file too; what it holds of the optimiser is left aside.
///
/// # Errors
/// The file cannot be read, or does not hold exactly the tensors of this net, each in its shape. The net is then unchanged.
///
/// # Panics
/// When a module's [`parts_mut`](Module::parts_mut) leaves out a parameter of its [`parts`](Module::parts).
#[track_caller]
pub fn load_model(net: &mut dyn Module, path: impl AsRef<Path>) -> Result<Metadata> {
    let mut file = SafeTensors::open(path)?;
    load_model_from(net, &mut file)?;
    Ok(file.metadata().clone())
}

/// [`load_model`] for a file that is open.
///
/// # Errors
/// As there.
///
/// # Panics
/// As there.
#[track_caller]
pub fn load_model_from(net: &mut dyn Module, file: &mut SafeTensors) -> Result<()> {
    let values = read_model(net, file)?;
    set_model(net, &values);
    Ok(())
}

/// Every parameter and buffer with its name. The tensors share memory with the net's.
fn tensors_of(net: &dyn Module) -> Vec<(String, Tensor)> {
    let mut tensors = Vec::new();
    net.visit("", &mut |name, leaf| tensors.push((name, value_of(leaf))));
    tensors
}

fn value_of(leaf: Leaf<'_>) -> Tensor {
    match leaf {
        Leaf::Param(param) => param.value().clone(),
        Leaf::Buffer(buffer) => buffer.value(),
    }
}

/// The values that a file has for the parameters and buffers of a net, all of them.
fn read_model(net: &dyn Module, file: &mut SafeTensors) -> Result<BTreeMap<String, Tensor>> {
    check_names(net, file)?;
    let mut values = BTreeMap::new();
    for (name, old) in tensors_of(net) {
        let shape = &file.tensors()[&name].shape;
        if old.shape()[..] != shape[..] {
            let expected = format!("{name} of shape {}", old.shape());
            return Err(Error::format(file.path(), expected, format!("shape {shape:?}")));
        }
    }
    for (name, _) in tensors_of(net) {
        let value = file.tensor(&name)?;
        values.insert(name, value);
    }
    Ok(values)
}

fn check_names(net: &dyn Module, file: &SafeTensors) -> Result<()> {
    let names: BTreeSet<String> = tensors_of(net).into_iter().map(|(name, _)| name).collect();
    let missing: Vec<&str> =
        names.iter().filter(|&name| !file.tensors().contains_key(name)).map(String::as_str).collect();
    let unknown: Vec<&str> = file
        .tensors()
        .keys()
        .filter(|&name| !name.starts_with(OPTIMIZER) && !names.contains(name.as_str()))
        .map(String::as_str)
        .collect();
    if missing.is_empty() && unknown.is_empty() {
        return Ok(());
    }
    let mut found = Vec::new();
    if !missing.is_empty() {
        found.push(format!("no {}", some_of(&missing)));
    }
    if !unknown.is_empty() {
        found.push(format!("beside them {}", some_of(&unknown)));
    }
    let expected = format!("the {} tensors of {}", names.len(), net.name());
    Err(Error::format(file.path(), expected, found.join(", ")))
}

/// The first few names; a message of a hundred is no help.
fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let short = |name: &&str| name.chars().take(60).collect::<String>();
    let shown = names.iter().take(SHOWN).map(short).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Gives a net the values that [`read_model`] found for it.
#[track_caller]
fn set_model(net: &mut dyn Module, values: &BTreeMap<String, Tensor>) {
    let count = net.named_parameters().len();
    let params = net.named_parameters_mut();
    // Those that are left out would keep their first values without a word.
    check_parts("load_model", count, params.len());
    for (name, param) in params {
        match values.get(&name) {
            Some(value) => param.set(value),
            None => {
                panic!("load_model: this net's parts_mut() list a parameter {name}, which its parts() do not")
            }
        }
    }
    for (name, buffer) in net.named_buffers() {
        buffer.set(&values[&name]);
    }
}
