//! What the net takes for what: confusion matrix, precision and recall, and the images of which it is surest.
//!
//! The probabilities are the softmax of the outputs that the evaluation of the last epoch gave.
//!
//! Next to read: `kernels.rs`.

use std::fmt::Write;

use super::curves::percent;
use crate::data::Images;
use crate::data::{HEIGHT, WIDTH};
use crate::image::GrayImage;
use crate::report::page::{Escaped, Html};

/// What the net says of one image.
struct Verdict {
    image: usize,
    label: usize,
    guess: usize,
    probability: f64,
}

/// So many images of each class are shown.
const SHOWN: usize = 3;

/// `logits` has a row for each of the images. `names` has a name for each class.
pub(super) fn section(logits: &[f32], images: &Images, names: &[String]) -> Html {
    let classes = logits.len() / images.len();
    let verdicts: Vec<Verdict> =
        logits.chunks_exact(classes).enumerate().map(|(i, row)| verdict(i, images, row)).collect();
    let mut counts = vec![vec![0_usize; classes]; classes];
    for verdict in &verdicts {
        counts[verdict.label][verdict.guess] += 1;
    }
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let mut worst = (0, 0, 0);
    for (label, row) in counts.iter().enumerate() {
        for (guess, &count) in row.iter().enumerate() {
            if label != guess && count > worst.2 {
                worst = (label, guess, count);
            }
        }
    }
    let mut html = Html::new();
    if worst.2 > 0 {
        html = html.paragraph(&format!(
            "Most often it takes {} for {}: {} of {} times.",
            name(worst.0),
            name(worst.1),
            worst.2,
            counts[worst.0].iter().sum::<usize>()
        ));
    }
    html = html.raw(&matrix(&counts, &name)).table(
        "Precision (of those it calls so, how many are) and recall (of those that are, how many it calls so)",
        &["class", "precision", "recall", "images"],
        (0..classes).map(|class| {
            let called: usize = counts.iter().map(|row| row[class]).sum();
            let are: usize = counts[class].iter().sum();
            let share = |of: usize| match of {
                0 => "–".to_string(),
                _ => percent(counts[class][class] as f64 / of as f64),
            };
            [named(class, &name), share(called), share(are), are.to_string()]
        }),
    );
    html = html.heading("The images of which it is surest").paragraph(
        "For each class the images that it has right with the highest probability, and those that it has wrong although it \
         is sure. Not every label of the latter would be yours.",
    );
    let cells: Vec<Html> = (0..classes).map(|class| surest(class, &verdicts, images, &name)).collect();
    html.grid(&cells)
}

fn verdict(image: usize, images: &Images, row: &[f32]) -> Verdict {
    let mut guess = 0;
    for (class, value) in row.iter().enumerate() {
        if value > &row[guess] {
            guess = class;
        }
    }
    let largest = f64::from(row[guess]);
    let sum: f64 = row.iter().map(|&value| (f64::from(value) - largest).exp()).sum();
    Verdict { image, label: images.label(image).into(), guess, probability: 1.0 / sum }
}

/// The number of a class and its name, where it has another one.
fn named(class: usize, name: &dyn Fn(usize) -> String) -> String {
    let name = name(class);
    if name == class.to_string() { name } else { format!("{class} {name}") }
}

/// The confusion matrix. The darker, the more; the number says it, too.
fn matrix(counts: &[Vec<usize>], name: &dyn Fn(usize) -> String) -> String {
    let caption = "Confusion matrix: a row for what the images are, a column for what the net says";
    let mut html = format!(
        "<div class=\"wide\" role=\"group\" tabindex=\"0\" aria-label=\"Confusion matrix\">\n<table class=\"matrix\">\n\
         <caption>{caption}</caption>\n<thead><tr><th scope=\"col\">class</th>"
    );
    for class in 0..counts.len() {
        let _ = write!(
            html,
            "<th scope=\"col\" class=\"n\"><abbr title=\"{}\">{class}</abbr></th>",
            Escaped(&name(class))
        );
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (label, row) in counts.iter().enumerate() {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", Escaped(&named(label, name)));
        let total = row.iter().sum::<usize>().max(1);
        for (guess, count) in row.iter().enumerate() {
            let depth = (count * 40).div_ceil(total);
            let cell = if label == guess { format!("<strong>{count}</strong>") } else { count.to_string() };
            let _ = match depth {
                0 => write!(html, "<td class=\"n\">{cell}</td>"),
                _ => write!(html, "<td class=\"n\" style=\"--depth:{depth}%\">{cell}</td>"),
            };
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody>\n</table>\n</div>\n"
}

fn surest(class: usize, verdicts: &[Verdict], images: &Images, name: &dyn Fn(usize) -> String) -> Html {
    let mut html = Html::new().raw(&format!("<h4>{}</h4>\n", Escaped(&name(class))));
    for right in [true, false] {
        let mut found: Vec<&Verdict> = verdicts
            .iter()
            .filter(|verdict| verdict.label == class && (verdict.guess == class) == right)
            .collect();
        found.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.image.cmp(&b.image)));
        html = html.raw(&format!("<p class=\"small\">{}</p>\n", if right { "right" } else { "wrong" }));
        if found.is_empty() {
            html = html.paragraph("none");
        }
        html = html.raw("<div class=\"row\">\n");
        for verdict in found.into_iter().take(SHOWN) {
            let (guess, sure) = (name(verdict.guess), percent(verdict.probability));
            let alt = format!("test image {}, {}", verdict.image, name(class));
            html = html
                .raw("<figure>\n")
                .picture(&GrayImage::from_bytes(WIDTH, HEIGHT, images.image(verdict.image)), 3, &alt)
                .raw(&format!("<figcaption>{}, {sure}</figcaption>\n</figure>\n", Escaped(&guess)));
        }
        html = html.raw("</div>\n");
    }
    html
}
