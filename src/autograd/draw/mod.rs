//! The tape as a picture: which op was fed with what, what each keeps for backward, and what gradients came.
//!
//! ```
//! use tapegrad::{Tape, Tensor};
//! let tape = Tape::training().watched();
//! let x = tape.variable(&Tensor::new([3.0, 4.0]));
//! let loss = (x * x).sum();
//! loss.backward();
//! let picture = tape.to_svg();                     // or to_dot(), for Graphviz
//! assert!(picture.contains("gradient norm 10"));   // (6, 8)
//! ```
//!
//! A tape can be drawn before backward and after. After it, a tape that was [`watched`](Tape::watched) knows the norm of every
//! gradient; one that was not does without.
//!
//! This file gathers what is to be seen and puts it into words. Two files write it down: `dot.rs` as text that Graphviz lays out, `svg.rs`
//! as a picture, whose boxes `layout.rs` puts in their places.
//!
//! What this is not: a view of values. A picture shows shapes and sizes, and one number for each gradient.

mod dot;
mod layout;
mod svg;

use std::collections::HashMap;

use super::param::ParamId;
use super::{Kept, Param, Role, Tape};
use crate::Shape;

/// How many nodes are drawn at most. A picture of more is no help to anybody.
pub const MOST_NODES: usize = 300;

/// What there is to see of a tape.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// The nodes, in the order in which they were recorded; the first [`MOST_NODES`] of a longer tape.
    pub nodes: Vec<Node>,
    /// How many nodes the whole tape has.
    pub total: usize,
    /// Ops, parameters, and other leaves of the whole tape.
    counts: [usize; 3],
    /// Bytes that the whole tape keeps beside its values.
    extra: usize,
    /// Whether backward has passed and noted the norms of gradients.
    has_norms: bool,
}

/// One value of a tape, and how it came about.
#[derive(Clone, Debug)]
pub struct Node {
    /// The op that made it, or `param`, `variable` or `input`.
    pub op: &'static str,
    /// What it is.
    pub role: Role,
    /// The parameter's name, where one was given to [`Drawing::named`].
    pub name: Option<String>,
    /// The shape of the value.
    pub shape: Shape,
    /// The numbers of the nodes that it was computed from, each below its own.
    pub inputs: Vec<usize>,
    /// Whether backward computes its gradient.
    pub wants_grad: bool,
    /// What the op keeps for backward.
    pub kept: Kept,
    /// The Euclidean norm of its gradient, after backward on a [watched](Tape::watched) tape, where one came.
    pub gradient_norm: Option<f64>,
    param: Option<ParamId>,
}

impl Tape {
    /// What there is to see of this tape, to be given names and written as SVG or DOT.
    pub fn draw(&self) -> Drawing {
        let records = self.records.borrow();
        let node = |(number, record): (usize, &super::record::Record)| Node {
            op: record.op,
            role: record.role,
            name: None,
            shape: record.shape,
            inputs: records.inputs(number).to_vec(),
            wants_grad: record.wants_grad,
            kept: record.kept,
            gradient_norm: record.gradient_norm,
            param: record.param,
        };
        let mut counts = [0; 3];
        for record in &records.list {
            counts[match record.role {
                Role::Op => 0,
                Role::Param => 1,
                Role::Input | Role::Variable => 2,
            }] += 1;
        }
        Drawing {
            nodes: records.list.iter().enumerate().take(MOST_NODES).map(node).collect(),
            total: records.list.len(),
            counts,
            extra: records.list.iter().map(|record| record.kept.own).sum(),
            has_norms: self.is_watched && self.spent.get(),
        }
    }

    /// This tape as a picture: [`Drawing::to_svg`].
    pub fn to_svg(&self) -> String {
        self.draw().to_svg()
    }

    /// This tape for Graphviz: [`Drawing::to_dot`].
    pub fn to_dot(&self) -> String {
        self.draw().to_dot()
    }
}

impl Drawing {
    /// The drawing with names for parameters, as a net has them:
    ///
    /// ```
    /// use tapegrad::nn::{Init, LeNet, Module};
    /// use tapegrad::{Tape, Tensor};
    /// let net = LeNet::new(&mut Init::new(0));
    /// let tape = Tape::training();
    /// net.forward(tape.input(&Tensor::zeros([1, 1, 28, 28])));
    /// let drawing = tape.draw().named(net.named_parameters());
    /// assert!(drawing.to_svg().contains("conv.0.weight"));
    /// ```
    pub fn named<'a>(mut self, names: impl IntoIterator<Item = (String, &'a Param)>) -> Drawing {
        let names: HashMap<ParamId, String> =
            names.into_iter().map(|(name, param)| (param.id(), name)).collect();
        for node in &mut self.nodes {
            node.name = node.param.and_then(|param| names.get(&param).cloned());
        }
        self
    }

    /// What holds for the whole tape, in a few short lines.
    fn summary(&self) -> Vec<String> {
        let [ops, params, others] = self.counts;
        let mut lines = vec![
            format!(
                "{}, {}, {}",
                counted(ops, "op"),
                counted(params, "parameter"),
                counted(others, "other value")
            ),
            format!("for backward, the ops keep {} extra beside the values", bytes(self.extra)),
        ];
        if self.nodes.len() < self.total {
            lines.push(format!("drawn are the first {} values of {}", self.nodes.len(), self.total));
        }
        lines
    }

    /// What is to be read in a node's box, the first line its name.
    fn lines(&self, node: &Node) -> Vec<String> {
        let mut lines = vec![node.title().to_string(), node.shape.to_string()];
        let Kept { inputs, value, own } = node.kept;
        for (whose, count) in [("inputs", inputs), ("value", value), ("extra", own)] {
            if count > 0 {
                lines.push(format!("keeps {whose} {}", bytes(count)));
            }
        }
        if node.role == Role::Op && node.kept == Kept::default() {
            lines.push("keeps nothing".to_string());
        }
        lines.push(match node.gradient_norm {
            Some(norm) => format!("gradient norm {}", short(norm)),
            None if !node.wants_grad => "wants no gradient".to_string(),
            None if self.has_norms => "no gradient came".to_string(),
            None => "wants a gradient".to_string(),
        });
        lines
    }
}

impl Node {
    /// The name of a parameter, or the op.
    fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(self.op)
    }

    /// Its inputs, each once, and how often it is used.
    fn distinct_inputs(&self) -> Vec<(usize, usize)> {
        let mut distinct: Vec<(usize, usize)> = Vec::new();
        for &input in &self.inputs {
            match distinct.iter_mut().find(|(seen, _)| *seen == input) {
                Some((_, count)) => *count += 1,
                None => distinct.push((input, 1)),
            }
        }
        distinct
    }
}

/// `1 op`, `2 ops`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes to be read at a glance: `3.5 MB`.
fn bytes(count: usize) -> String {
    let mut size = count as f64;
    for unit in ["B", "kB", "MB"] {
        // 999.95 would be rounded to 1000.0.
        if size < 999.95 {
            return if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} GB")
}

/// A number with four digits that count, and no zeros behind them.
fn short(number: f64) -> String {
    let magnitude = number.abs();
    if !number.is_finite() || magnitude == 0.0 {
        return number.to_string();
    }
    if !(1e-3..1e5).contains(&magnitude) {
        return format!("{number:.3e}");
    }
    let decimals = (3 - magnitude.log10().floor() as isize).max(0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_numbers_are_short() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1049, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_951, "1.0 MB"),
            (256 * 6 * 24 * 24 * 4, "3.5 MB"),
            (7_250_000_000, "7.2 GB"),
            (4_000_000_000_000, "4000.0 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (number, text) in [
            (0.0, "0"),
            (10.0, "10"),
            (0.012_345, "0.01235"),
            (1.5, "1.5"),
            (99_999.4, "99999"),
            (123_456.0, "1.235e5"),
            (0.000_999, "9.990e-4"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
