//! ONNX: a net as a graph that other runtimes run, ONNX Runtime for one.
//!
//! The file is a protobuf message, `ModelProto` (`onnx.proto` in the ONNX repository), of IR version 8 with the operators of
//! set 17, which runtimes have read since 2022. Its graph goes from `input` to `output`, both with a first axis `batch` of
//! any length. Parameters have the names that they have in the net (`conv.0.weight`), and their bytes.
//!
//! What a net computes, [`Module::kind`] says. That is a second description beside `forward`, and the two could differ. So
//! the layers are run as the graph has them, `forward` is run too, and a net whose results differ in a bit is refused.
//!
//! This file reads no ONNX, and what it writes is for use, not for training. Next to read: `layers.rs` (which operator each
//! layer is), `graph.rs` (operators, values and parameters as messages), `protobuf.rs` (messages as bytes).

mod graph;
mod layers;
mod protobuf;

use std::path::Path;

use graph::Graph;
use protobuf::Message;

use crate::error::{Error, Result};
use crate::file;
use crate::nn::Module;
use crate::{Shape, Tape, Tensor};

const IR_VERSION: i64 = 8;
const OPERATOR_SET: i64 = 17;
/// How many inputs a net is run on. With one, a ReLU that is nowhere below zero would not show.
const PROBES: usize = 16;

/// Writes the net to `path` as an ONNX model. What was at `path` is replaced only when the new file is complete.
///
/// # Errors
/// As [`encode`], and where the file cannot be written.
///
/// # Panics
/// As [`encode`].
#[track_caller]
pub fn export(net: &dyn Module, input: &[usize], path: impl AsRef<Path>) -> Result<()> {
    file::replace(path.as_ref(), &encode(net, input)?)
}

/// The net as the bytes of an ONNX model. `input` is the shape of an input, batch first, as for
/// [`summary`](Module::summary); the model takes batches of any size, whatever stands there.
///
/// # Errors
/// A module in the net is [`Kind::Other`](crate::nn::Kind::Other); a layer in a [`Kind::Chain`](crate::nn::Kind::Chain) is
/// not among the net's [`parts`](Module::parts); the chain is not what `forward` computes; or the model has 2 GiB or more.
///
/// # Panics
/// Where the shape does not fit the net, or a layer of the chain not what the one before it gives.
///
/// ```
/// use tapegrad::nn::{Init, LeNet};
/// use tapegrad::save::onnx;
/// let net = LeNet::new(&mut Init::new(0));
/// let bytes = onnx::encode(&net, &[1, 1, 28, 28])?;
/// assert!(bytes.windows(13).any(|name| name == b"conv.0.weight"));
/// # Ok::<(), tapegrad::Error>(())
/// ```
#[track_caller]
pub fn encode(net: &dyn Module, input: &[usize]) -> Result<Vec<u8>> {
    assert!(!input.is_empty(), "onnx: needs the shape of an input, its first axis the batch, got []");
    let tape = Tape::inference();
    // A shape that does not fit panics here, with the numbers that were given.
    net.forward(tape.input(&Tensor::zeros(input)));
    let x = tape.input(&varied(Shape::from(input).with(0, PROBES)));
    let mut graph = Graph::new(net, x.shape());
    let y = layers::add(&mut graph, net, x)?;
    if !same_bits(&y.value(), &net.forward(x).value()) {
        let expected = "a chain of layers (Module::kind) that computes what forward does";
        return Err(Error::argument("net", expected, format!("other numbers from {}", net.name())));
    }
    let model = Message::default()
        .int(1, IR_VERSION)
        .text(2, env!("CARGO_PKG_NAME"))
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, graph.finish(net.name()))
        .message(8, Message::default().text(1, "").int(2, OPERATOR_SET));
    let bytes = model.finish();
    // Readers of protobuf refuse longer messages.
    if bytes.len() > i32::MAX as usize {
        let found = format!("{} bytes", bytes.len());
        return Err(Error::argument("net", "a model below 2 GiB, the most that protobuf allows", found));
    }
    Ok(bytes)
}

/// Numbers from -1 to 1 that no two layers treat alike: multiples of the golden ratio without their whole part.
fn varied(shape: Shape) -> Tensor {
    let values: Vec<f32> =
        (0..shape.numel()).map(|i| ((i as f64 * 0.618_033_988_75).fract() * 2.0 - 1.0) as f32).collect();
    Tensor::from_slice(&values, shape)
}

/// Bits, because a net whose training went wrong gives NaN, which equals nothing.
fn same_bits(a: &Tensor, b: &Tensor) -> bool {
    a.shape() == b.shape() && a.to_vec().iter().zip(b.to_vec()).all(|(a, b)| a.to_bits() == b.to_bits())
}
