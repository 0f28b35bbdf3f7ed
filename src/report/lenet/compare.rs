//! Two trainings laid over each other: plain beside batch norm, one learning rate beside another.
//!
//! Next to read: `page.rs`.

use super::History;
use super::curves::percent;
use super::history::DATA;
use super::stall::Stall;
use crate::report::chart::{Chart, digits};
use crate::report::page::{Html, Page};
use crate::save::log::{Epoch, Step};

/// The page that compares two trainings, each with what it is called.
pub fn compare(a: (&str, &History), b: (&str, &History)) -> String {
    let runs = [("A", a.1), ("B", b.1)];
    let lead = format!("A is {}, B is {}.", a.0, b.0);
    let mut page = Page::new("Two trainings compared", &lead);
    page.section("Side by side", Html::new().paragraph(&verdict(a.1, b.1)).then(&facts(a, b)));
    page.section("By step", by_step(&runs));
    page.section("By epoch", by_epoch(&runs));
    for (id, (_, history)) in [DATA, "log-b"].into_iter().zip(runs) {
        page.data(id, &history.lines());
    }
    page.finish()
}

fn verdict(a: &History, b: &History) -> String {
    let (Some(last_a), Some(last_b)) = (a.epochs.last(), b.epochs.last()) else {
        return "One of the two has not done an epoch.".to_string();
    };
    let [first, second] = [last_a, last_b].map(|epoch| percent(epoch.test_accuracy));
    let better = match last_a.test_accuracy.total_cmp(&last_b.test_accuracy) {
        std::cmp::Ordering::Less => "B has more right",
        std::cmp::Ordering::Equal => "both have the same share right",
        std::cmp::Ordering::Greater => "A has more right",
    };
    let stall = |name: &str, history: &History| match Stall::find(history) {
        Some(stall) => format!("{name} stands still until step {}", stall.to),
        None => format!("{name} does not stand still at first"),
    };
    format!(
        "Of the test images {better}: A {first} after epoch {}, B {second} after epoch {}. {}, {}.",
        last_a.epoch,
        last_b.epoch,
        stall("A", a),
        stall("B", b)
    )
}

fn facts(a: (&str, &History), b: (&str, &History)) -> Html {
    let row = |name: &str, value: fn(&History) -> String| [name.to_string(), value(a.1), value(b.1)];
    let last = |history: &History, value: fn(&Epoch) -> f64| {
        history.epochs.last().map_or_else(|| "–".to_string(), |epoch| digits(value(epoch), 6))
    };
    let of_last =
        |name: &str, value: fn(&Epoch) -> f64| [name.to_string(), last(a.1, value), last(b.1, value)];
    let rows = [
        ["file".to_string(), a.0.to_string(), b.0.to_string()],
        row("net", |h| h.start.net.clone()),
        row("parameters", |h| h.start.parameters.to_string()),
        row("optimiser", |h| h.start.optimizer.clone()),
        row("learning rate", |h| digits(h.start.lr, 6)),
        row("batch size", |h| h.start.batch_size.to_string()),
        row("seed", |h| h.start.seed.to_string()),
        row("epochs done", |h| h.epochs.len().to_string()),
        of_last("test accuracy", |epoch| epoch.test_accuracy),
        of_last("training accuracy", |epoch| epoch.accuracy),
        of_last("loss", |epoch| epoch.loss),
        of_last("seconds, last epoch", |epoch| epoch.seconds),
        row("parameter hash", |h| h.parameter_hash.clone().unwrap_or_else(|| "–".to_string())),
    ];
    Html::new().table("The two trainings", &["what", "A", "B"], rows)
}

fn by_step(runs: &[(&str, &History)]) -> Html {
    let figure = |title: &str, unit: &str, text: &str, log: bool, value: fn(&Step) -> f64| {
        let mut chart = Chart::new(title, "step", unit);
        for (name, history) in runs {
            let (steps, _) = history.shown();
            let points = steps.iter().map(|step| (history.number(step) as f64, value(step)));
            chart = chart.line(name, points.collect());
        }
        let chart = if log { chart.logarithmic() } else { chart };
        let text = with_last(text, runs, |history| history.steps.last().map(value));
        Html::new().figure(&chart.svg(&text), &text)
    };
    Html::new().grid(&[
        figure("Loss", "cross-entropy, mean of the batch", "Lower is better.", false, |step| step.loss),
        figure("Accuracy", "share of the batch that is right", "Higher is better.", false, |step| {
            step.accuracy
        }),
        figure(
            "Gradient of the first layer",
            "Euclidean norm",
            "How much of the loss reaches the first layer.",
            true,
            |step| step.gradient_norm.first().map_or(f64::NAN, |(_, norm)| *norm),
        ),
        figure(
            "Gradient of the last layer",
            "Euclidean norm",
            "The same for the last layer.",
            true,
            |step| step.gradient_norm.last().map_or(f64::NAN, |(_, norm)| *norm),
        ),
    ])
}

/// The sentence below a chart, with where its lines end.
fn with_last(text: &str, runs: &[(&str, &History)], last: impl Fn(&History) -> Option<f64>) -> String {
    let ends = runs
        .iter()
        .filter_map(|(name, history)| Some(format!("{name} ends at {}", digits(last(history)?, 4))));
    format!("{text} {}.", ends.collect::<Vec<_>>().join(", "))
}

fn by_epoch(runs: &[(&str, &History)]) -> Html {
    let figure = |title: &str, unit: &str, text: &str, value: fn(&Epoch) -> f64| {
        let mut chart = Chart::new(title, "epoch", unit);
        for (name, history) in runs {
            let points = history.epochs.iter().map(|epoch| (epoch.epoch as f64, value(epoch)));
            chart = chart.line(name, points.collect());
        }
        let text = with_last(text, runs, |history| history.epochs.last().map(value));
        Html::new().figure(&chart.svg(&text), &text)
    };
    let table = |(name, history): &(&str, &History)| {
        let rows = history.epochs.iter().map(|epoch| {
            [
                epoch.epoch.to_string(),
                digits(epoch.loss, 6),
                digits(epoch.accuracy, 6),
                digits(epoch.test_accuracy, 6),
                digits(epoch.seconds, 6),
            ]
        });
        let head = ["epoch", "loss", "training accuracy", "test accuracy", "seconds"];
        Html::new().table(&format!("The epochs of {name}"), &head, rows)
    };
    Html::new()
        .grid(&[
            figure("Test accuracy", "share that is right", "Of images that neither has trained on.", |e| {
                e.test_accuracy
            }),
            figure("Training accuracy", "share that is right", "Of images as they were seen.", |e| {
                e.accuracy
            }),
            figure("Loss", "cross-entropy, mean of the epoch", "Lower is better.", |e| e.loss),
            figure("Time", "seconds", "For each epoch, evaluation included.", |e| e.seconds),
        ])
        .grid(&runs.iter().map(table).collect::<Vec<_>>())
}
