//! A progress bar that rewrites its line, on terminals only.
//!
//! ```text
//! epoch 2/5 [###########         ]  53%  loss 0.9541  71204 images/s
//! ```
//!
//! It goes to stderr, so it never mixes with results. Where stderr is no terminal nothing is drawn at all.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const WIDTH: usize = 20;

/// Redrawing more often than the eye follows costs time for nothing.
const EVERY: Duration = Duration::from_millis(50);

pub(super) struct Progress {
    shown: bool,
    drawn: Option<Instant>,
}

impl Progress {
    /// A bar, unless `quiet` or stderr is no terminal.
    pub fn new(quiet: bool) -> Progress {
        Progress { shown: !quiet && io::stderr().is_terminal(), drawn: None }
    }

    /// Draws how far things are: `done` of `total`, with a name in front and facts behind.
    pub fn draw(&mut self, name: &str, done: usize, total: usize, facts: &str) {
        if !self.shown || self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = line(name, done, total, facts);
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

fn line(name: &str, done: usize, total: usize, facts: &str) -> String {
    let total = total.max(1);
    let filled = WIDTH * done.min(total) / total;
    let percent = 100 * done.min(total) / total;
    format!("{name} [{}{}] {percent:3}%  {facts}", "#".repeat(filled), " ".repeat(WIDTH - filled))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_shows_how_far_things_are() {
        let line = |done| super::line("epoch 1/5", done, 235, "loss 2.3");
        assert_eq!(line(0), "epoch 1/5 [                    ]   0%  loss 2.3");
        assert_eq!(line(118), "epoch 1/5 [##########          ]  50%  loss 2.3");
        assert_eq!(line(235), "epoch 1/5 [####################] 100%  loss 2.3");
    }
}
