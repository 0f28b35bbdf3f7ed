//! The profile as a table, in at most 100 columns.

use std::fmt::Write;
use std::time::Duration;

use super::{Pass, Peak, REST, Row, Work};

/// Rows with a smaller share of the time are put together.
const SMALL: f64 = 0.001;

const TOTAL: &str = "total";

/// What the columns do not say themselves.
const NOTES: &str = "\
of peak: of what all threads do in multiply-adds alone; empty where operations are not counted\n\
GB/s: everything that goes in and comes out, once, which is the least that must move";

/// Rows of a profile as a table of at most 100 columns; see [`Row`]. Those with less than a thousandth of the time share the last line
/// but one.
pub fn table(rows: &[Row], peak: &Peak) -> String {
    let total = sum(TOTAL, rows);
    let share = |row: &Row| row.time.as_secs_f64() / total.time.as_secs_f64().max(f64::MIN_POSITIVE);
    let (large, small): (Vec<Row>, Vec<Row>) = rows.iter().partition(|row| share(row) >= SMALL);

    let threads = match peak.threads {
        1 => String::new(),
        threads => format!(", {:.0} on {threads}", peak.all_threads),
    };
    let mut text = format!(
        "profile of {:.2} s; the peak is {:.0} GFLOP/s on 1 thread{threads}\n",
        total.time.as_secs_f64(),
        peak.one_thread
    );
    let _ = writeln!(
        text,
        "{:<22} {:<9} {:>8} {:>10} {:>7} {:>8} {:>8} {:>7}",
        "op", "direction", "calls", "ms", "share", "GFLOP/s", "of peak", "GB/s"
    );
    let mut line = |row: &Row, name: &str| {
        let empty_or = |text: Option<String>| text.unwrap_or_default();
        let cells = format!(
            "{:<22.22} {:<9} {:>8} {:>10.1} {:>6.1}% {:>8} {:>8} {:>7}",
            name,
            row.pass.name(),
            // Laps of the rest are no calls of anything.
            empty_or((row.name != REST && row.name != TOTAL).then(|| row.calls.to_string())),
            1e3 * row.time.as_secs_f64(),
            100.0 * share(row),
            empty_or(row.gflops().map(|rate| format!("{rate:.1}"))),
            empty_or(row.gflops().map(|rate| format!("{:.1}%", 100.0 * rate / peak.all_threads))),
            empty_or(row.gigabytes().map(|rate| format!("{rate:.1}"))),
        );
        let _ = writeln!(text, "{}", cells.trim_end());
    };
    large.iter().for_each(|row| line(row, row.name));
    match small[..] {
        [] => {}
        [row] => line(&row, row.name),
        _ => line(&sum("", &small), &format!("{} others", small.len())),
    }
    line(&total, total.name);
    text + NOTES
}

fn sum(name: &'static str, rows: &[Row]) -> Row {
    let start = Row { name, pass: Pass::Outside, calls: 0, time: Duration::ZERO, work: Work::default() };
    rows.iter().fold(start, |mut sum, row| {
        sum.calls += row.calls;
        sum.time += row.time;
        sum.work += row.work;
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_rows_share_a_line() {
        let row = |name, milliseconds, flop| Row {
            name,
            pass: Pass::Forward,
            calls: 2,
            time: Duration::from_millis(milliseconds),
            work: Work { flop, bytes: 0.0 },
        };
        let peak = Peak { one_thread: 10.0, all_threads: 20.0, threads: 2 };
        let large = row("linear", 5000, 5e10);
        let cells = |rows: &[Row]| -> Vec<String> {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            table(rows, &peak).lines().skip(2).map(words).collect()
        };
        // Two that take less than a thousandth each, and one alone, which keeps its name.
        let (a, b) = (row("exp", 4, 0.0), row("ln", 3, 0.0));
        let found = cells(&[large, a, b]);
        assert_eq!(found[0], "linear forward 2 5000.0 99.9% 10.0 50.0%");
        assert_eq!(found[1], "2 others 4 7.0 0.1%");
        assert_eq!(found[2], "total 5007.0 100.0% 10.0 49.9%");
        assert_eq!(cells(&[large, a])[1], "exp forward 2 4.0 0.1%");
    }
}
