//! Numbers in rows and columns as squares of colour: kernels, their gradients.
//!
//! Zero is white, what is above it becomes blue, what is below orange, each in proportion; the two differ for colour-blind
//! readers, too, and what is clearly below zero bears a dash, which is left where there is no colour at all. The value of a
//! square shows when the pointer rests on it; of [`heat_maps`] also under the arrow keys.
//!
//! Next to read: `page.rs`, if you have not.

use std::fmt::Write;

use super::page::Escaped;
use super::ticks;

/// What is below zero by more than this part of the deepest colour bears a dash.
const CLEARLY: f32 = 0.1;

/// An SVG of `values`, row by row, `columns` to a row. The deepest colour stands for `largest`; `size` is the side of a square.
///
/// ```
/// use tapegrad::report::heat_map::heat_map;
/// let svg = heat_map("the kernel", &[1.0, -1.0, -0.1, -0.2], 2, 1.0, 20);
/// assert!(svg.contains("<title>-1</title>") && svg.contains("aria-label=\"the kernel\""));
/// // Dashes in the second square of both rows: −0.1 is not clearly below zero.
/// assert!(svg.contains("<path class=\"below\" d=\"M1.25 0.5h.5M1.25 1.5h.5\"/>"));
/// ```
///
/// # Panics
/// Where the values are no whole number of rows.
#[track_caller]
pub fn heat_map(label: &str, values: &[f32], columns: usize, largest: f32, size: usize) -> String {
    assert!(
        columns > 0 && values.len().is_multiple_of(columns),
        "heat_map: {} values are no whole number of rows of {columns}",
        values.len()
    );
    draw(label, values, (values.len() / columns, columns), 1, largest, size, "")
}

/// Several of them, each of `(rows, columns)`, one after the other in `values`: `across` side by side, the others below. With the field
/// where the page's script writes the value under the pointer, or, with the arrow keys, of any square.
///
/// # Panics
/// Where the values are no whole number of maps.
#[track_caller]
pub fn heat_maps(
    label: &str,
    values: &[f32],
    (rows, columns): (usize, usize),
    across: usize,
    largest: f32,
    size: usize,
) -> String {
    assert!(
        rows * columns > 0 && across > 0 && values.len().is_multiple_of(rows * columns),
        "heat_maps: {} values are no whole number of maps of {rows} x {columns}",
        values.len()
    );
    let more =
        format!(" tabindex=\"0\" data-rows=\"{rows}\" data-columns=\"{columns}\" data-across=\"{across}\"");
    draw(label, values, (rows, columns), across, largest, size, &more) + "<output></output>\n"
}

/// The drawing, with `more` attributes.
fn draw(
    label: &str,
    values: &[f32],
    (rows, columns): (usize, usize),
    across: usize,
    largest: f32,
    size: usize,
    more: &str,
) -> String {
    let maps = values.len() / (rows * columns);
    // One square between two maps.
    let (width, height) = (maps.min(across) * (columns + 1), maps.div_ceil(across) * (rows + 1));
    let (width, height) = (width.saturating_sub(1), height.saturating_sub(1));
    let mut svg = format!(
        "<svg class=\"heat\" role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\"{more}>",
        Escaped(label),
        width * size,
        height * size
    );
    let mut dashes = String::new();
    for (i, &value) in values.iter().enumerate() {
        let (map, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
        let (x, y) = (map % across * (columns + 1) + column, map / across * (rows + 1) + row);
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\" fill=\"{}\"><title>{}</title></rect>",
            colour(value, largest),
            ticks::digits(f64::from(value), 4)
        );
        if value < -CLEARLY * largest {
            let _ = write!(dashes, "M{x}.25 {y}.5h.5");
        }
    }
    if !dashes.is_empty() {
        let _ = write!(svg, "<path class=\"below\" d=\"{dashes}\"/>");
    }
    svg.push_str("</svg>\n");
    svg
}

/// White for zero, to blue above it and to orange below. What is no number is black.
pub fn colour(value: f32, largest: f32) -> String {
    let part = if largest > 0.0 { value / largest } else { 0.0 };
    if value.is_nan() {
        return "#000".to_string();
    }
    let end = if part < 0.0 { [193.0, 84.0, 12.0] } else { [9.0, 86.0, 138.0] };
    let depth = part.abs().clamp(0.0, 1.0);
    let channel = |end: f32| (250.0 + (end - 250.0) * depth).round() as u8;
    let [r, g, b] = end.map(channel);
    format!("#{r:02x}{g:02x}{b:02x}")
}
