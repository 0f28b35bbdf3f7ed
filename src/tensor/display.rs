//! Printing a tensor as PyTorch prints it, to the letter.
//!
//! One format is chosen for all numbers of a tensor, by the finite ones that are not zero:
//!
//! ```text
//! all whole             1.    12.       unless the largest is above 10^8 or above 1000 times the smallest
//! otherwise         0.5000    -2.2500   unless so, or the smallest is below 10^-4
//! else           5.0000e-01
//! ```
//!
//! Every number is padded to the widest of those that chose. A line holds as many as fit in 80 columns; rows of a matrix
//! are on lines of their own, matrices one blank line apart, and so on by one more for every axis. Above 1000
//! elements only three at each end of an axis are shown, and only they choose the format.
//!
//! What this is not: a way to store numbers. Four digits do not bring an `f32` back.
//!
//! This is the last file of the chapter; go on with `simd/mod.rs`.

use std::fmt;

use super::Tensor;

/// Digits behind the point.
const PRECISION: usize = 4;
/// Columns of a line.
const LINE_WIDTH: usize = 80;
/// Tensors with more elements are summarised.
const THRESHOLD: usize = 1000;
/// Entries shown at each end of a summarised axis.
const EDGE: usize = 3;
const PREFIX: &str = "tensor(";

impl fmt::Display for Tensor {
    /// As PyTorch does. Width and precision of the format string are not used.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.numel() == 0 {
            return write_empty(self, out);
        }
        let summarise = self.numel() > THRESHOLD;
        let shown = Shown { summarise, format: Format::choose(&shown_numbers(self, summarise)) };
        write!(out, "{PREFIX}{})", shown.text(self, PREFIX.len()))
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Without elements there are no rows to see the shape from, so it is printed, as a Python tuple.
fn write_empty(tensor: &Tensor, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if tensor.rank() == 1 {
        return write!(out, "{PREFIX}[])");
    }
    let sizes: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    write!(out, "{PREFIX}[], size=({}))", sizes.join(", "))
}

/// The indices of one axis that are shown; `None` stands for the dots.
fn shown_indices(len: usize, summarise: bool) -> Vec<Option<usize>> {
    if summarise && len > 2 * EDGE {
        (0..EDGE).map(Some).chain([None]).chain((len - EDGE..len).map(Some)).collect()
    } else {
        (0..len).map(Some).collect()
    }
}

/// The numbers that are shown.
fn shown_numbers(tensor: &Tensor, summarise: bool) -> Vec<f32> {
    if tensor.rank() == 0 {
        return vec![tensor.item()];
    }
    let indices = shown_indices(tensor.size(0), summarise);
    indices.into_iter().flatten().flat_map(|i| shown_numbers(&tensor.select(0, i), summarise)).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Whole,
    Fixed,
    Exponent,
}

/// How every number of a tensor is written.
struct Format {
    style: Style,
    width: usize,
}

impl Format {
    fn choose(numbers: &[f32]) -> Format {
        let deciding: Vec<f64> =
            numbers.iter().filter(|x| x.is_finite() && **x != 0.0).map(|&x| f64::from(x)).collect();
        let smallest = deciding.iter().fold(f64::INFINITY, |least, x| least.min(x.abs()));
        let largest = deciding.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let whole = deciding.iter().all(|x| x.fract() == 0.0);
        let style = match () {
            // Only zeros, NaN and infinities.
            _ if deciding.is_empty() => Style::Whole,
            _ if largest / smallest > 1000.0 || largest > 1e8 => Style::Exponent,
            _ if whole => Style::Whole,
            _ if smallest < 1e-4 => Style::Exponent,
            _ => Style::Fixed,
        };
        let width = deciding.iter().map(|&x| style.write(x).len()).max().unwrap_or(0);
        Format { style, width }
    }

    fn write(&self, x: f32) -> String {
        format!("{:>width$}", self.style.write(f64::from(x)), width = self.width)
    }
}

impl Style {
    fn write(self, x: f64) -> String {
        if x.is_nan() {
            return "nan".to_string();
        }
        if x.is_infinite() {
            return if x > 0.0 { "inf" } else { "-inf" }.to_string();
        }
        match self {
            Style::Whole => format!("{x:.0}."),
            Style::Fixed => format!("{x:.PRECISION$}"),
            // Rust writes 1.0000e8 and 1.0000e-8 where C and Python write e+08 and e-08.
            Style::Exponent => match format!("{x:.PRECISION$e}").split_once('e') {
                Some((digits, exponent)) => {
                    let (sign, exponent) =
                        exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
                    format!("{digits}e{sign}{exponent:0>2}")
                }
                None => unreachable!("the format has an e"),
            },
        }
    }
}

struct Shown {
    summarise: bool,
    format: Format,
}

impl Shown {
    /// The brackets and what is in them. `indent` is the column of the first bracket.
    fn text(&self, tensor: &Tensor, indent: usize) -> String {
        let rank = tensor.rank();
        if rank == 0 {
            return self.format.write(tensor.item());
        }
        let indices = shown_indices(tensor.size(0), self.summarise);
        let inside = " ".repeat(indent + 1);
        if rank > 1 {
            let parts: Vec<String> = indices
                .into_iter()
                .map(|i| i.map_or("...".to_string(), |i| self.text(&tensor.select(0, i), indent + 1)))
                .collect();
            let separator = format!(",{}{inside}", "\n".repeat(rank - 1));
            return format!("[{}]", parts.join(&separator));
        }
        let numbers: Vec<String> = indices
            .into_iter()
            // The dots of a row have a space of their own in front.
            .map(|i| i.map_or(" ...".to_string(), |i| self.format.write(tensor.get([i]))))
            .collect();
        // A number, a comma and a space each.
        let per_line = (LINE_WIDTH.saturating_sub(indent) / (self.format.width + 2)).max(1);
        let lines: Vec<String> = numbers.chunks(per_line).map(|line| line.join(", ")).collect();
        format!("[{}]", lines.join(&format!(",\n{inside}")))
    }
}
