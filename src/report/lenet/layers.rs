//! The gradients and the outputs of every layer by step, and why the net stands still at first.
//!
//! Next to read: `classes.rs`.

use super::History;
use super::curves::percent;
use super::stall::{self, Stall, median};
use crate::nn::{Kind, Module, leaves};
use crate::report::chart::{Chart, digits};
use crate::report::page::Html;

pub(super) fn section(history: &History, stall: Option<&Stall>, net: &dyn Module) -> Html {
    let marked = |chart: Chart, label: &str| match stall {
        Some(Stall { from, to, .. }) => chart.shade(*from as f64, *to as f64, label),
        None => chart,
    };
    let (steps, _) = history.shown();
    let leaves = leaves(net);
    let Some(first) = steps.first() else { return Html::new().paragraph("No step is done yet.") };

    let mut chart =
        marked(Chart::new("Gradient norm of each layer", "step", "Euclidean norm"), "stands still");
    for (layer, _) in &first.gradient_norm {
        let named = |name: &String| name == layer;
        let points = steps.iter().filter_map(|step| {
            let (_, norm) = step.gradient_norm.iter().find(|(name, _)| named(name))?;
            Some((history.number(step) as f64, *norm))
        });
        chart = chart.line(layer, points.collect());
    }
    let sigmoids = leaves.iter().filter(|(_, layer)| matches!(layer.kind(), Kind::Sigmoid)).count();
    let mut html = Html::new().paragraph(&explanation(history, stall, sigmoids));
    if !first.gradient_norm.is_empty() {
        let text = "How long the gradient of each layer's weights and biases is, on a logarithmic scale. What is long moves \
                    the loss much; Adam divides by it, so even a short one moves its weights.";
        html =
            html.raw("<div class=\"large\">\n").figure(&chart.logarithmic().svg(text), text).raw("</div>\n");
    }

    let measured: Vec<_> = steps.iter().filter(|step| !step.activation.is_empty()).collect();
    let Some(last) = measured.last() else { return html };
    let figures = last.activation.iter().map(|(layer, [low, mean, high])| {
        let points: Vec<(f64, [f64; 3])> = measured
            .iter()
            .filter_map(|step| {
                let (_, range) = step.activation.iter().find(|(name, _)| name == layer)?;
                Some((history.number(step) as f64, *range))
            })
            .collect();
        let kind = leaves.iter().find(|(name, _)| name == layer).map_or("", |(_, leaf)| leaf.name());
        let title = format!("{layer} ({kind})");
        let text = format!(
            "At step {} from {} to {}, {} on average.",
            history.number(last),
            digits(*low, 3),
            digits(*high, 3),
            digits(*mean, 3)
        );
        let chart = marked(Chart::new(&title, "step", "output: least, mean, greatest"), "");
        Html::new().figure(&chart.band("mean", &points).svg(&text), &text)
    });
    html.heading("What each layer gives")
        .paragraph(
            "The outputs of every layer for 16 test images, at every tenth step: the line is their mean, the shade reaches \
             from the least to the greatest. A sigmoid whose outputs are all alike tells the next layer nothing; one whose \
             outputs lie at 0 and 1 hardly lets a gradient through.",
        )
        .grid(&figures.collect::<Vec<_>>())
}

/// Why it stands still, in this run's own numbers.
fn explanation(history: &History, stall: Option<&Stall>, sigmoids: usize) -> String {
    let window = stall::WINDOW;
    let Some(stall) = stall else {
        return match history.steps.first() {
            Some(first) if history.number(first) == 1 && history.steps.len() >= 2 * window => format!(
                "This net learns at once: within the first {} steps the accuracy of {window} steps together exceeds {}.",
                2 * window,
                percent(stall::THRESHOLD)
            ),
            Some(first) if history.number(first) > 1 => {
                "How the training began is not known here, so neither is whether it stood still at first."
                    .to_string()
            }
            _ => "Too few steps are done to say whether the net stands still at first.".to_string(),
        };
    };
    let until = match stall.over {
        true => format!("Until step {} the net stands still", stall.to),
        false => format!("Up to step {}, the last, the net stands still", stall.to),
    };
    let mut text = format!(
        "{until}: it has {} of the images right, about what guessing among ten gives. ",
        percent(stall.accuracy)
    );
    if let ([(first, small), .., (last, large)], true) = (&stall.gradients[..], sigmoids > 0) {
        text += &format!(
            "The gradient of its first layer, {first}, is {} long there, that of its last, {last}, {} (medians): {} times as \
             much. On the way back from the loss a sigmoid with the output s multiplies every gradient by s (1 − s), which is \
             1/4 at most, and {sigmoids} of them lie between the two. So the first layers learn what to look for only slowly, \
             and the last ones can meanwhile only learn how often each class comes (Glorot and Bengio 2010, “Understanding \
             the difficulty of training deep feedforward neural networks”).",
            digits(*small, 2),
            digits(*large, 2),
            digits(large / small, 2)
        );
        let after: Vec<f64> = history
            .steps
            .iter()
            .filter(|step| history.number(step) > stall.to)
            .filter_map(|step| Some(step.gradient_norm.first()?.1))
            .collect();
        if stall.over && !after.is_empty() {
            text += &format!(
                " Afterwards the gradient of {first} is {} long (median).",
                digits(median(after), 2)
            );
        }
    }
    text
}
