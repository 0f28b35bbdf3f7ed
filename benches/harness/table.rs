//! The table: a line for each case, and the columns that its cases have something for.

use super::baseline::Baseline;
use super::case::Prepared;
use super::measure::Times;

/// A title and a cell for each case, empty where there is nothing to say.
struct Column {
    title: String,
    cells: Vec<String>,
}

/// The table of one number of threads. `peak` is in GFLOP/s, `old` a baseline with its name.
pub fn table(
    cases: &[Prepared],
    times: &[Times],
    threads: usize,
    peak: f64,
    old: Option<(&str, &Baseline)>,
) -> String {
    let column = |title: &str, cell: &dyn Fn(&Prepared, &Times) -> Option<String>| Column {
        title: title.to_string(),
        cells: cases.iter().zip(times).map(|(case, times)| cell(case, times).unwrap_or_default()).collect(),
    };
    let rate = |amount: Option<f64>, times: &Times| amount.map(|amount| amount / times.median / 1e9);
    let mut columns = vec![
        column("", &|case, _| Some(case.name.clone())),
        column("median", &|_, times| Some(duration(times.median, times.median))),
        column("min", &|_, times| Some(duration(times.min, times.median))),
        column("max", &|_, times| Some(duration(times.max, times.median))),
        column("per image", &|case, times| {
            let each = times.median / case.work.images? as f64;
            Some(duration(each, each))
        }),
        column("GFLOP/s", &|case, times| Some(format!("{:.1}", rate(case.work.flop, times)?))),
        column("peak", &|case, times| Some(format!("{:.0}%", 100.0 * rate(case.work.flop, times)? / peak))),
        column("GB/s", &|case, times| Some(format!("{:.1}", rate(case.work.bytes, times)?))),
    ];
    if let Some((name, old)) = old {
        columns.push(column(&format!("than {name}"), &|case, times| {
            Some(compare(old.get(threads, &case.name), times))
        }));
    }
    columns.retain(|column| column.cells.iter().any(|cell| !cell.is_empty()));
    lay_out(&columns)
}

/// What the new median is beside the old one. Where the old one could be a time of today, the two may differ by chance.
fn compare(old: Option<f64>, new: &Times) -> String {
    let Some(old) = old else { return "new".to_string() };
    let ratio = old / new.median;
    let doubtful = if (new.min..=new.max).contains(&old) { "~" } else { "" };
    let better = if ratio >= 1.005 { " faster" } else { "" };
    format!("{doubtful}{ratio:.2}x{better}")
}

/// A time in the unit that suits `like`, so that the times of a line share one.
fn duration(seconds: f64, like: f64) -> String {
    if like < 1e-3 { format!("{:.2} µs", seconds * 1e6) } else { format!("{:.3} ms", seconds * 1e3) }
}

/// Names to the left, the rest to the right.
fn lay_out(columns: &[Column]) -> String {
    let width =
        |column: &Column| column.cells.iter().chain([&column.title]).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = columns.iter().map(|column| width(column).unwrap_or(0)).collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let mut line = String::new();
        for (i, (column, width)) in columns.iter().zip(&widths).enumerate() {
            match i {
                0 => line += &format!("{:width$}", cell(column)),
                _ => line += &format!("  {:>width$}", cell(column)),
            }
        }
        line.trim_end().to_string()
    };
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let mut lines = vec![line(&|column| column.title.clone())];
    lines.extend((0..rows).map(|row| line(&|column| column.cells[row].clone())));
    lines.join("\n")
}

pub fn thread_text(threads: usize) -> String {
    if threads == 1 { "1 thread".to_string() } else { format!("{threads} threads") }
}
