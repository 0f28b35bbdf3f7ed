//! A progress bar that rewrites its line, on terminals only, and a line of small columns for how something went.
//!
//! ```text
//! epoch 2/5 [###########         ]  53%  0:12 left  loss 0.9541  71204 images/s
//! ```
//!
//! It goes to stderr, so it never mixes with results. Where stderr is no terminal nothing is drawn at all. The terminal's width is
//! asked for at every drawing, so a window may change its size while the program runs, and the line never wraps: the bar gets
//! shorter, then the last facts are left out.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::color::{Color, accent, can_rewrite};
use super::terminal_size::columns;

/// The columns of a bar between its brackets. A longer one would say no more.
const WIDTH: usize = 30;

/// A shorter bar says too little: rather one fact less.
const LEAST: usize = 10;

/// Redrawing more often than the eye follows costs time for nothing.
const EVERY: Duration = Duration::from_millis(50);

pub(super) struct Progress {
    shown: bool,
    coloured: bool,
    drawn: Option<Instant>,
}

impl Progress {
    /// A bar, unless `quiet` or stderr is no terminal.
    pub fn new(quiet: bool, color: Color) -> Progress {
        let stderr = io::stderr();
        Progress { shown: !quiet && can_rewrite(&stderr), coloured: color.is_used_on(&stderr), drawn: None }
    }

    /// Whether it is time for [`draw`](Progress::draw), so that nobody need write facts that are not shown.
    pub fn is_due(&self) -> bool {
        self.shown && self.drawn.is_none_or(|drawn| drawn.elapsed() >= EVERY)
    }

    /// Draws how far things are: `done` of `total`, with a name in front and facts behind, the most important first.
    pub fn draw(&mut self, name: &str, done: usize, total: usize, facts: &[String]) {
        if !self.is_due() {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = line(name, done, total, facts, columns(), self.coloured);
        // \x1b[K clears what a longer line left behind.
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }

    /// Takes the bar away, so that a line of results can take its place.
    pub fn clear(&mut self) {
        if self.shown && self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// A line of fewer than `columns` characters: in the last column the cursor would wait to wrap.
fn line(name: &str, done: usize, total: usize, facts: &[String], columns: usize, coloured: bool) -> String {
    let (total, room) = (total.max(1), columns.saturating_sub(1));
    let done = done.min(total);
    let percent = format!("{:3}%", 100 * done / total);
    let joined = |count: usize| facts[..count].iter().map(|fact| format!("  {fact}")).collect::<String>();
    // Name, space, brackets, space, percent.
    let frame = name.chars().count() + 4 + percent.len();
    for count in (0..=facts.len()).rev() {
        let text = joined(count);
        let Some(width) = room.checked_sub(frame + text.chars().count()) else { continue };
        if width >= LEAST || (count == 0 && width > 0) {
            let width = width.min(WIDTH);
            let filled = width * done / total;
            let bar = accent(&"#".repeat(filled), coloured);
            return format!("{name} [{bar}{}] {percent}{text}", " ".repeat(width - filled));
        }
    }
    format!("{name} {percent}").chars().take(room).collect()
}

/// How long something will take that has come this far, in a few characters: `0:07 left`.
pub(super) fn time_left(elapsed: Duration, done: usize, left: usize) -> Option<String> {
    let seconds = elapsed.as_secs_f64() * left as f64 / done as f64;
    // Nothing done yet; and what takes a year is not worth an estimate.
    if !seconds.is_finite() || seconds > 3e7 {
        return None;
    }
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(match hours {
        0 => format!("{minutes}:{seconds:02} left"),
        _ => format!("{hours}:{minutes:02}:{seconds:02} left"),
    })
}

/// How the accuracy went in the last epochs of a training, which has as many.
pub(super) fn accuracy_line(accuracies: &[f64], epochs: usize, columns: usize, coloured: bool) -> String {
    let [first, .., last] = accuracies else { return String::new() };
    let from = epochs + 1 - accuracies.len();
    let (before, behind) =
        (format!("test acc, epochs {from} to {epochs}: "), format!(" {first:.3} to {last:.3}"));
    let room = columns.saturating_sub(before.len() + behind.len() + 1);
    format!("{before}{}{behind}", accent(&sparkline(accuracies, room), coloured))
}

/// Numbers as small columns, the lowest number the lowest of eight: `▁▅▇█`. Of more numbers than `columns`, each column is the last of
/// several.
pub(super) fn sparkline(numbers: &[f64], columns: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let count = numbers.len().min(columns);
    let shown = (1..=count).map(|i| numbers[numbers.len() * i / count - 1]);
    let low = shown.clone().fold(f64::INFINITY, f64::min);
    let range = shown.clone().fold(f64::NEG_INFINITY, f64::max) - low;
    // Where all are the same, 0 / 0 is no number, which `as` makes 0.
    shown.map(|number| LEVELS[((number - low) / range * 7.0).round() as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Vec<String> {
        ["0:12 left", "loss 0.9541", "71204 images/s"].map(str::to_string).into()
    }

    fn drawn(done: usize, columns: usize) -> String {
        line("epoch 1/5", done, 235, &facts(), columns, false)
    }

    #[test]
    fn a_line_shows_how_far_things_are() {
        let bar = |done| line("epoch 1/5", done, 235, &["loss 2.3".to_string()], 48, false);
        assert_eq!(bar(0), "epoch 1/5 [                    ]   0%  loss 2.3");
        assert_eq!(bar(118), "epoch 1/5 [##########          ]  50%  loss 2.3");
        assert_eq!(bar(235), "epoch 1/5 [####################] 100%  loss 2.3");
        assert_eq!(line("", 3, 0, &[], 19, false), " [##########] 100%");
    }

    #[test]
    fn a_line_fits_the_terminal_and_leaves_out_the_last_facts_first() {
        for columns in 0..200 {
            for done in [0, 1, 100, 234, 235] {
                let line = drawn(done, columns);
                assert!(line.chars().count() <= columns.saturating_sub(1), "{columns}: {line:?}");
            }
        }
        assert_eq!(
            drawn(118, 200),
            "epoch 1/5 [###############               ]  50%  0:12 left  loss 0.9541  71204 images/s"
        );
        assert_eq!(
            drawn(118, 80),
            "epoch 1/5 [###########           ]  50%  0:12 left  loss 0.9541  71204 images/s"
        );
        assert_eq!(drawn(118, 60), "epoch 1/5 [#########         ]  50%  0:12 left  loss 0.9541");
        assert_eq!(drawn(118, 40), "epoch 1/5 [#####      ]  50%  0:12 left");
        assert_eq!(drawn(118, 28), "epoch 1/5 [#####     ]  50%");
        assert_eq!(drawn(118, 16), "epoch 1/5  50%");
        assert_eq!(drawn(118, 8), "epoch 1");
    }

    #[test]
    fn a_colour_takes_no_room() {
        let plain = drawn(118, 80);
        let coloured = line("epoch 1/5", 118, 235, &facts(), 80, true);
        assert_ne!(plain, coloured);
        assert_eq!(coloured.replace("\x1b[36m", "").replace("\x1b[0m", ""), plain);
        // Nothing to colour, no escape sequence.
        assert_eq!(line("", 0, 9, &[], 80, true), line("", 0, 9, &[], 80, false));
    }

    #[test]
    fn the_time_left_is_in_proportion() {
        let left = |seconds, done, left| time_left(Duration::from_secs(seconds), done, left);
        assert_eq!(left(10, 100, 200).as_deref(), Some("0:20 left"));
        assert_eq!(left(10, 1, 6).as_deref(), Some("1:00 left"));
        assert_eq!(left(3661, 1, 2).as_deref(), Some("2:02:02 left"));
        assert_eq!(left(9, 3, 0).as_deref(), Some("0:00 left"));
        assert_eq!((left(5, 0, 3), left(0, 0, 0), left(u64::MAX, 1, 2)), (None, None, None));
    }

    #[test]
    fn a_sparkline_goes_from_the_lowest_to_the_highest() {
        assert_eq!(sparkline(&[0.1, 0.8, 0.5, 0.4], 80), "▁█▅▄");
        assert_eq!(sparkline(&[0.5, 0.5], 80), "▁▁");
        assert_eq!(sparkline(&[0.0, 7.0, 1.0, 6.0, 2.0, 5.0], 3), "█▅▁");
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(sparkline(&many, 8), "▁▂▃▄▅▆▇█");
        assert_eq!((sparkline(&[], 80), sparkline(&many, 0)), (String::new(), String::new()));
    }

    #[test]
    fn the_line_of_accuracies_names_its_epochs() {
        for columns in [50, 60, 120] {
            assert_eq!(accuracy_line(&[0.5; 500], 500, columns, false).chars().count(), columns - 1);
        }
        assert_eq!(accuracy_line(&[0.25, 0.5], 7, 80, false), "test acc, epochs 6 to 7: ▁█ 0.250 to 0.500");
    }
}
