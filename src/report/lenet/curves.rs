//! Loss, accuracy, learning rate and time, by step and by epoch.
//!
//! Next to read: `layers.rs`.

use super::History;
use super::stall::Stall;
use crate::report::chart::{Chart, digits};
use crate::report::page::Html;
use crate::save::log::{Epoch, Step};

pub(super) fn section(history: &History, stall: Option<&Stall>) -> Html {
    let (steps, every) = history.shown();
    let by_step = |value: fn(&Step) -> f64| -> Vec<(f64, f64)> {
        steps.iter().map(|step| (history.number(step) as f64, value(step))).collect()
    };
    let by_epoch = |value: fn(&Epoch) -> f64| -> Vec<(f64, f64)> {
        history.epochs.iter().map(|epoch| (epoch.epoch as f64, value(epoch))).collect()
    };
    let figure = |chart: Chart, text: &str| Html::new().figure(&chart.svg(text), text);
    let marked = |chart: Chart| match stall {
        Some(Stall { from, to, .. }) => chart.shade(*from as f64, *to as f64, "stands still"),
        None => chart,
    };
    let mut figures = Vec::new();
    if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
        let loss = marked(Chart::new("Loss by step", "step", "cross-entropy, mean of the batch"));
        let text = format!(
            "From {} at step {} to {} at step {}, each the mean of one batch before the step.",
            digits(first.loss, 4),
            history.number(first),
            digits(last.loss, 4),
            history.number(last)
        );
        figures.push(figure(loss.line("loss", by_step(|step| step.loss)), &text));
        let accuracy = marked(Chart::new("Accuracy by step", "step", "share of the batch that is right"));
        let text = format!(
            "From {} at step {} to {} at step {}. The line jumps because a batch is small.",
            percent(first.accuracy),
            history.number(first),
            percent(last.accuracy),
            history.number(last)
        );
        figures.push(figure(accuracy.range(0.0, 1.0).line("accuracy", by_step(|step| step.accuracy)), &text));
    }
    if let Some(last) = history.epochs.last() {
        let chart = Chart::new("Accuracy by epoch", "epoch", "share that is right")
            .line("training", by_epoch(|epoch| epoch.accuracy))
            .line("test", by_epoch(|epoch| epoch.test_accuracy));
        let text = format!(
            "After epoch {}: {} of the test images, {} of the training images, each at the time it was seen. The training \
             line lags behind, since most of an epoch's images are seen by a net that has not finished it.",
            last.epoch,
            percent(last.test_accuracy),
            percent(last.accuracy)
        );
        figures.push(figure(chart, &text));
        let chart = Chart::new("Loss by epoch", "epoch", "cross-entropy, mean of the epoch");
        let text = format!("The mean over the images of epoch {} is {}.", last.epoch, digits(last.loss, 4));
        figures.push(figure(chart.line("loss", by_epoch(|epoch| epoch.loss)), &text));
        let seconds: f64 = history.epochs.iter().map(|epoch| epoch.seconds).sum();
        let chart = Chart::new("Time by epoch", "epoch", "seconds, evaluation included").range(0.0, 0.0);
        let text = format!(
            "{} seconds for {} epochs, {} for each on average.",
            digits(seconds, 4),
            history.epochs.len(),
            digits(seconds / history.epochs.len() as f64, 3)
        );
        figures.push(figure(chart.line("seconds", by_epoch(|epoch| epoch.seconds)), &text));
    }
    if let Some(last) = steps.last() {
        let rates = by_step(|step| step.lr);
        let constant = rates.iter().all(|(_, lr)| *lr == last.lr);
        let text = match constant {
            true => {
                format!("{} at every step; Adam itself adapts the length of the steps.", digits(last.lr, 6))
            }
            false => format!("{} at the last step.", digits(last.lr, 6)),
        };
        let chart = Chart::new("Learning rate by step", "step", "learning rate").range(0.0, 0.0);
        figures.push(figure(chart.line("lr", rates), &text));
    }
    let mut html = Html::new();
    if every > 1 {
        html = html.paragraph(&format!("Of {} steps one in {every} is shown.", history.steps.len()));
    }
    let rows = history.epochs.iter().map(|epoch| {
        [
            epoch.epoch.to_string(),
            digits(epoch.loss, 6),
            digits(epoch.accuracy, 6),
            digits(epoch.test_accuracy, 6),
            digits(epoch.lr, 6),
            digits(epoch.seconds, 6),
        ]
    });
    let head = ["epoch", "loss", "training accuracy", "test accuracy", "learning rate", "seconds"];
    html = html.grid(&figures);
    if history.epochs.is_empty() { html } else { html.table("The epochs as numbers", &head, rows) }
}

/// A share in percent, to a tenth.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}
