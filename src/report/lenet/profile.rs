//! Where the time went: the profile of the training, op by op.
//!
//! Next to read: `machine.rs`.

use std::time::Duration;

use crate::profile::{Pass, Peak, Row};
use crate::report::page::Html;

/// Rows with a smaller share of the time are left out here; the table in the terminal puts them together.
const SMALL: f64 = 0.001;

pub(super) fn section(rows: &[Row], peak: &Peak) -> Html {
    let total: Duration = rows.iter().map(|row| row.time).sum();
    let share = |row: &Row| row.time.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
    let of = |pass: Pass| rows.iter().filter(|row| row.pass == pass).map(share).sum::<f64>();
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let most = rows.iter().find(|row| row.pass != Pass::Outside);
    let most = most.map_or(String::new(), |row| {
        let what = format!("{} {}", row.name, row.pass.name());
        format!(" The most goes to {what}: {} of it, in {} calls.", percent(share(row)), row.calls)
    });
    let lead = format!(
        "Of {:.2} s, forward took {}, backward {}, the test images {}, and what is no op {}.{most}",
        total.as_secs_f64(),
        percent(of(Pass::Forward)),
        percent(of(Pass::Backward)),
        percent(of(Pass::Inference)),
        percent(of(Pass::Outside)),
    );
    let note = format!(
        "The peak is what {} threads do in multiply-adds alone, {:.0} GFLOP/s, measured just before and after. GB/s counts all \
         that goes in and comes out, once: the least that must move. Operations are counted by shapes; where none are, the cell is empty.",
        peak.threads, peak.all_threads
    );
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    let cells = rows.iter().filter(|row| share(row) >= SMALL).map(|row| {
        [
            row.name.to_string(),
            row.pass.name().to_string(),
            row.calls.to_string(),
            format!("{:.1}", 1e3 * row.time.as_secs_f64()),
            percent(share(row)),
            or_empty(row.gflops().map(|rate| format!("{rate:.1}"))),
            or_empty(row.gflops().map(|rate| percent(rate / peak.all_threads))),
            or_empty(row.gigabytes().map(|rate| format!("{rate:.1}"))),
        ]
    });
    let head = ["op", "direction", "calls", "ms", "share", "GFLOP/s", "of peak", "GB/s"];
    Html::new()
        .paragraph(&lead)
        .table("Time by op and direction, the longest first", &head, cells)
        .paragraph(&note)
}
