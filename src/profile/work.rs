//! What an op computes and moves, from its shapes.
//!
//! ```text
//!            forward                    backward, for each input that wants a gradient
//! matmul     2 · outputs · k            the same again
//! linear     2 · outputs · inputs       the same again; for the bias, a sum of dy
//! conv2d     2 · outputs · taps         the same again; for the bias, a sum of dy         taps = c / groups · kh · kw
//! ```
//!
//! A multiply-add counts two, every other sum, product and quotient of an element one; copies and comparisons none. Taps that fall
//! on padding count, since they are computed. exp and its relatives count what `simd/math.rs` does for an element. Other ops (pooling, batch
//! norm, losses) are bound by memory, and their operations are not counted; for them there are the bytes.
//!
//! Bytes are a lower bound: everything that goes in is read once and everything that comes out is written once, as if caches were
//! endless. A view moves nothing. In backward what goes in is dy and those values that the formula asks for.
//!
//! What this is not: a counter of what the CPU does. Ops do more where they copy or read again, and less where caches help.

use std::ops::AddAssign;

use crate::Shape;

const BYTES: f64 = size_of::<f32>() as f64;

/// What was computed and moved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Floating-point operations; 0 where they are not counted.
    pub flop: f64,
    /// Bytes that had to be read or written at least.
    pub bytes: f64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        self.flop += other.flop;
        self.bytes += other.bytes;
    }
}

/// An input: its shape, and whether it wants a gradient.
type Input = (Shape, bool);

impl Work {
    /// The work of an op from inputs to output.
    pub(super) fn forward(op: &str, inputs: &[Input], output: &Shape) -> Work {
        let y = numel(output);
        let elements = if is_view(op) { 0.0 } else { inputs.iter().map(|(x, _)| numel(x)).sum::<f64>() + y };
        let flop = match (op, inputs) {
            ("matmul" | "linear" | "conv2d", [x, w, ..]) => 2.0 * y * length(op, &x.0, &w.0),
            ("sum" | "mean", [(x, _)]) => numel(x),
            _ => y * per_element(op).0,
        };
        Work { flop, bytes: BYTES * elements }
    }

    /// The work from the gradient of the output to the gradients that are wanted.
    pub(super) fn backward(op: &str, inputs: &[Input], output: &Shape) -> Work {
        let dy = numel(output);
        let wanted = || inputs.iter().filter(|(_, wants_grad)| *wants_grad).map(|(x, _)| x);
        let written: f64 = wanted().map(numel).sum();
        let (flop, read) = match (op, inputs) {
            ("matmul" | "linear" | "conv2d", [(x, x_wants), (w, w_wants), bias @ ..]) => {
                let product = 2.0 * dy * length(op, x, w);
                // The gradient of each factor is a product with the other one.
                let factor = |wants: bool, other| if wants { (product, numel(other)) } else { (0.0, 0.0) };
                let (for_x, for_w) = (factor(*x_wants, w), factor(*w_wants, x));
                let for_bias = if bias.iter().any(|(_, wants_grad)| *wants_grad) { dy } else { 0.0 };
                (for_x.0 + for_w.0 + for_bias, for_x.1 + for_w.1)
            }
            // Where nothing was broadcast, dy is the gradient, handed on as it is.
            ("add", _) if wanted().all(|x| x == output) => return Work::default(),
            _ if is_relabelled(op) => return Work::default(),
            _ => (dy * per_element(op).1, kept(op, inputs, dy)),
        };
        Work { flop, bytes: BYTES * (dy + read + written) }
    }
}

fn numel(shape: &Shape) -> f64 {
    shape.numel() as f64
}

/// How many products make one element of the output.
fn length(op: &str, x: &Shape, w: &Shape) -> f64 {
    match op {
        // [oc, c / groups, kh, kw]: all but the filters.
        "conv2d" => w.iter().skip(1).product::<usize>() as f64,
        // [out, in]
        "linear" => w.last().map_or(1.0, |&inputs| inputs as f64),
        // The left side's columns.
        _ => x.last().map_or(1.0, |&k| k as f64),
    }
}

/// Operations for an element of the output, forward and backward.
fn per_element(op: &str) -> (f64, f64) {
    match op {
        "add" => (1.0, 0.0),
        "sub" | "neg" | "mul" | "div" => (1.0, 1.0),
        "square" => (1.0, 2.0),
        // Eleven multiply-adds and four other operations.
        "exp" => (26.0, 1.0),
        "ln" => (24.0, 1.0),
        // exp; -x, 1 + …, 1 / …; and dy · y · (1 - y).
        "sigmoid" => (29.0, 3.0),
        // Both branches are computed; and dy · (1 - y²).
        "tanh" => (42.0, 3.0),
        _ => (0.0, 0.0),
    }
}

/// How many elements beside dy backward has to read.
fn kept(op: &str, inputs: &[Input], dy: f64) -> f64 {
    match op {
        "sigmoid" | "tanh" | "relu" | "exp" | "sqrt" | "softmax" | "log_softmax" => dy,
        "mul" | "div" | "ln" | "square" | "abs" | "pow" | "mse_loss" | "norm" | "batch_norm"
        | "cross_entropy" => inputs.first().map_or(0.0, |(x, _)| numel(x)),
        _ => 0.0,
    }
}

/// Views: their forward makes another look at the same memory.
fn is_view(op: &str) -> bool {
    is_relabelled(op) || matches!(op, "narrow" | "slice" | "select" | "expand" | "unfold")
}

/// Views of all elements, each once: backward is a view, too. (`contiguous` copies, where it must.)
fn is_relabelled(op: &str) -> bool {
    matches!(
        op,
        "reshape"
            | "view"
            | "flatten"
            | "squeeze"
            | "unsqueeze"
            | "transpose"
            | "t"
            | "permute"
            | "contiguous"
    )
}
