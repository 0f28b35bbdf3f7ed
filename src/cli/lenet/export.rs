//! `lenet export`: a saved net for other programs.

use super::super::args::{Args, Command, Opt};
use super::super::{Stop, note};
use super::{LOAD, load_net};
use crate::save::onnx;

pub(super) const COMMAND: Command = Command {
    name: "lenet export",
    about: "Writes a saved net as an ONNX model, which other programs run.",
    operands: "",
    options: &[LOAD, Opt { name: "--onnx", value: "FILE", help: "where to write the model" }],
    notes: "The model takes images as `input`, [batch, 1, 28, 28], each byte divided by 255, and gives their logits as `output`,\n\
            [batch, 10]. A batch may have any size.",
};

pub(super) fn run(args: &Args) -> Result<(), Stop> {
    let (load, path) = (args.needed_path("--load")?, args.needed_path("--onnx")?);
    let (net, _) = load_net(&load)?;
    onnx::export(&*net, &[1, 1, 28, 28], &path)?;
    note(&format!("written to {}", path.display()));
    Ok(())
}
