//! The page of `edge_kernel --report`: how a kernel of two weights learned to see edges, with every number.
//!
//! Everything on it comes from the run that the program made, and from the same run at other rates; the sentences, too,
//! are made of those numbers.
//!
//! Reading order: `learn.rs` (the task and the steps), `surface.rs` (the loss, exactly), `../contour.rs` (drawing it),
//! `step.rs` (one step by hand), `rates.rs` (what is too fast), and this file, which lays them out.

mod learn;

mod surface;

mod step;

mod rates;

pub use learn::{Kernel, Run, Step, Task, corr2d};
pub use step::{Node, Tour};
pub use surface::{Direction, Surface, directions, dot};

use super::chart::Chart;
use super::contour::Contour;
use super::heat_map::heat_map;
use super::page::{Html, Page};
use crate::Tensor;
use crate::image::GrayImage;

/// Larger pictures are shown shrunk to this many pixels a side, which keeps the page small.
const LARGEST: usize = 448;

/// What the page is made of.
pub struct Study<'a> {
    /// What was to be learned.
    pub task: &'a Task,
    /// Where the first values came from.
    pub seed: u64,
    /// The run that the program made.
    pub run: &'a Run,
    /// A real picture, what it is called, and what the learned kernel makes of it.
    pub picture: (&'a GrayImage, &'a str, &'a GrayImage),
}

impl Study<'_> {
    /// The whole file.
    pub fn page(&self) -> String {
        let surface = Surface::new(self.task);
        let steps = self.run.steps.len();
        let lead = format!(
            "A convolution with two weights and a bias learns to see edges: {steps} steps of gradient descent, with \
            every number."
        );
        let mut page = Page::new("The edge kernel", &lead);
        page.style(include_str!("edges.css"));
        page.section("What there is to learn", self.given());
        page.section(&format!("The {steps} steps"), self.steps());
        page.section("On the loss surface", self.on_surface(&surface));
        page.section("One step by hand", self.by_hand());
        page.section("When the rate is too high", rates::html(self, &surface));
        page.section("On a real picture", self.real());
        page.finish()
    }

    fn given(&self) -> Html {
        let Task { x, k, y } = self.task;
        let pixels = GrayImage::new(8, 6, x.to_vec());
        let learned = self.run.learned;
        let first = self.run.steps.first().map_or(self.run.loss, |step| step.loss);
        Html::new()
            .facts(&[
                ("learned kernel", pair(learned.weight)),
                ("true kernel", "[1, −1]".to_string()),
                ("learned bias", number(learned.bias.into(), 4)),
                ("loss at first", number(first.into(), 3)),
                ("loss at last", number(self.run.loss.into(), 3)),
                ("steps", self.run.steps.len().to_string()),
                ("learning rate", self.run.lr.to_string()),
                ("seed", self.seed.to_string()),
            ])
            .grid(&[
                Html::new().figure(
                    Html::new()
                        .picture(&pixels, 24, "6 rows of 8 pixels: the middle four columns are black, the others white")
                        .as_str(),
                    "x, the picture: white is 1, black is 0. All rows are the same.",
                ),
                Html::new().figure(
                    &heat_map("the true response: column 1 is 1, column 5 is −1, others 0", &y.to_vec(), 7, 1.0, 24),
                    "y, its edges: 1 (blue) where white turns black, −1 (orange, with dashes) where black turns \
                     white. The kernel that made it, [1, −1], is not told to the net.",
                ),
                Html::new().figure(
                    &heat_map("the true kernel: 1 and −1", &k.to_vec(), 2, 1.0, 24),
                    "The true kernel: the left pixel less its right neighbour.",
                ),
                Html::new().figure(
                    &heat_map("the learned response", &self.run.response.to_vec(), 7, 1.0, 24),
                    &format!(
                        "ŷ, what the learned kernel makes of x in the end. Its edges are {} and {}.",
                        number(self.run.response.to_vec()[1].into(), 3),
                        number(self.run.response.to_vec()[5].into(), 3)
                    ),
                ),
            ])
    }

    fn steps(&self) -> Html {
        let run = self.run;
        let losses = run.losses();
        let before: Vec<(Kernel, &Tensor, f32)> = run
            .steps
            .iter()
            .map(|step| (step.kernel, &step.response, step.loss))
            .chain([(run.learned, &run.response, run.loss)])
            .collect();
        let mut moments = Html::new().raw("<div class=\"row moment\">\n");
        for (n, (kernel, response, loss)) in before.iter().enumerate() {
            let row = &response.to_vec()[..7];
            let said: Vec<String> = row.iter().map(|&value| number(value.into(), 2)).collect();
            let kernel_said = format!("kernel {} after {n} steps", pair(kernel.weight));
            let drawing = heat_map(&kernel_said, &kernel.weight, 2, 1.0, 20)
                + &heat_map(&format!("response, every row: {}", said.join(", ")), row, 7, 1.0, 20);
            moments = moments.figure(
                &drawing,
                &format!("after {n}\n{}\nloss {}", short(kernel.weight), number((*loss).into(), 3)),
            );
        }
        let moments = moments.raw("</div>\n");
        let rows = run.steps.iter().enumerate().map(|(n, step)| {
            let Step { kernel, loss, gradient, .. } = step;
            let [w0, w1, b] = kernel.parts().map(|value| number(value, 4));
            let [d0, d1, db] = gradient.parts().map(|value| number(value, 4));
            [(n + 1).to_string(), w0, w1, b, number((*loss).into(), 4), d0, d1, db]
        });
        let [w0, w1, b] = run.learned.parts().map(|value| number(value, 4));
        let none = String::new;
        let last = ["learned".to_string(), w0, w1, b, number(run.loss.into(), 4), none(), none(), none()];
        let rows: Vec<[String; 8]> = rows.chain([last]).collect();

        let (first, end) = (losses[0].1, f64::from(run.loss));
        let early = losses[losses.len() / 4].1;
        let said = format!(
            "The loss falls from {} to {}. A quarter of the steps takes it to {}. In the end each step takes off the \
             same share, the last one {} percent, which makes a straight line on this axis.",
            number(first, 2),
            number(end, 3),
            number(early, 2),
            number(100.0 * (1.0 - end / losses[losses.len() - 2].1), 1)
        );
        let loss = Chart::new("Loss", "steps made", "summed square error").logarithmic().line("loss", losses);
        let of = |part: usize| -> Vec<(f64, f64)> {
            run.path().iter().enumerate().map(|(n, kernel)| (n as f64, kernel[part])).collect()
        };
        let weights = Chart::new("Weights and bias", "steps made", "value")
            .line("left weight", of(0))
            .line("right weight", of(1))
            .line("bias", of(2));
        let learned = run.learned.parts().map(|value| number(value, 3));
        let weights_said = format!(
            "The left weight goes to {}, the right to {}, the bias to {}: on the way to 1, −1 and 0.",
            learned[0], learned[1], learned[2]
        );
        Html::new()
            .paragraph(
                "Each step compares the response with the true one and moves the two weights and the bias a little \
                 against the gradient of the loss. Above, the two weights; below, the response, whose rows are all \
                 alike: blue above zero, orange with a dash below, white at zero.",
            )
            .then(&moments)
            .grid(&[
                Html::new().figure(&loss.svg(&said), &said),
                Html::new().figure(&weights.svg(&weights_said), &weights_said),
            ])
            .table(
                "What each step begins with, its loss, and the derivatives of the loss by the weights and the bias",
                &["step", "w₁", "w₂", "b", "loss", "dw₁", "dw₂", "db"],
                rows,
            )
    }

    fn on_surface(&self, surface: &Surface) -> Html {
        let path: Vec<(f64, f64)> = self.run.path().iter().map(|kernel| (kernel[0], kernel[1])).collect();
        let bias = f64::from(self.run.learned.bias);
        // The same length on both axes, so that the path crosses the lines at right angles where the bias stays.
        let (x, y) = square(path.iter().copied().chain([(1.4, -1.4)]), 0.35);
        let plot = Contour::new(
            "Loss over the two weights",
            ("left weight w₁", x.0, x.1),
            ("right weight w₂", y.0, y.1),
        )
        .path("start", path)
        .mark("true kernel", 1.0, -1.0);
        let [start, .., end] = &self.run.path()[..] else { return Html::new() };
        let along = |kernel: &[f64; 3]| ((kernel[0] - kernel[1]) / 2.0, (kernel[0] + kernel[1]) / 2.0);
        let ((d0, s0), (d1, s1)) = (along(start), along(end));
        let white = places(self.task, |left, right| left > 0.0 && right > 0.0);
        let edge = places(self.task, |left, right| left != right);
        let said = format!(
            "From [{}, {}] the path runs down into a long valley and along it to [{}, {}], near the true kernel [1, \
             −1]. Across the valley it is there soon; along it, where the ground is flat, the steps become small.",
            number(start[0], 2),
            number(start[1], 2),
            number(end[0], 2),
            number(end[1], 2)
        );
        Html::new()
            .paragraph(&format!(
                "The loss is a surface over three numbers. This is a cut through it where the bias is {}, as learned: \
                 all kernels on a line have the loss that is written in it.",
                number(bias, 4)
            ))
            .figure(&plot.svg(|w0, w1| surface.loss([w0, w1, bias]), &said), &said)
            .paragraph(&format!(
                "The valley runs where the sum of the weights stays the same. Half the difference of the weights goes \
                 from {} to {} (it should be 1), half their sum from {} to {} (it should be 0), and the bias from {} \
                 to {}.",
                number(d0, 3),
                number(d1, 3),
                number(s0, 3),
                number(s1, 3),
                number(start[2], 3),
                number(end[2], 3),
            ))
            .paragraph(&format!(
                "Why is it narrow? The picture has {white} places where both pixels are white and {edge} where one \
                 is. If half the sum is off by ε, the response is off by 2 ε at the former and by ε at the latter, \
                 and the loss is (4 · {white} + {edge}) ε² = {sum} ε². If half the difference is off by ε, only the \
                 places with one white pixel show it, and the loss is {edge} ε². So the sum is corrected first.",
                sum = 4 * white + edge,
            ))
    }

    fn by_hand(&self) -> Html {
        let tour = Tour::new(self.task, self.seed);
        Html::new()
            .paragraph(
                "The first step as the tape records it. Read it downwards for the values, from the input to the loss \
                 (forward), and then upwards for the gradients, from the loss to the parameters (backward): the \
                 derivative of the loss by each of those values. d before a name means that derivative.",
            )
            .then(&self.drawn())
            .paragraph(
                "Numbers are rounded to 4 places here and not in the computation, so a sum by hand may differ in the \
                last places.",
            )
            .then(&tour.html(self.task, self.run.lr))
            .paragraph("The table above has these three in the row of step 2.")
    }

    /// The whole tape at a glance.
    fn drawn(&self) -> Html {
        // Inside of a page an SVG needs no address of what it is.
        let drawing = Tour::drawing(self.task, self.seed).to_svg().replacen(
            " xmlns=\"http://www.w3.org/2000/svg\"",
            "",
            1,
        );
        Html::new()
            .raw("<figure>\n<div class=\"wide drawn\" role=\"group\" tabindex=\"0\" aria-label=\"The tape, drawn\">\n")
            .raw(&drawing)
            .raw("</div>\n<figcaption>")
            .text(
                "What tape.to_svg() draws of this step: who was made of whom, what each op keeps for backward, and how long each gradient \
                 is. Below, the same values in the same order, with every number.",
            )
            .raw("</figcaption>\n</figure>\n")
    }

    fn real(&self) -> Html {
        let (picture, name, found) = self.picture;
        let shown = |image: &GrayImage, alt: &str| {
            let largest = image.width().max(image.height());
            let small = match largest > LARGEST {
                true => {
                    let side = |side: usize| (side * LARGEST / largest).max(1);
                    image.resized(side(image.width()), side(image.height()))
                }
                false => image.clone(),
            };
            Html::new().picture(&small, (280 / small.width().max(small.height())).max(1), alt)
        };
        let size = format!("{} x {} pixels", picture.width(), picture.height());
        Html::new()
            .paragraph(
                "The kernel has seen one picture of 6 x 8 pixels. It looks at two neighbours only, so what it has \
                 learned holds for any picture.",
            )
            .grid(&[
                Html::new().figure(shown(picture, name).as_str(), &format!("The picture: {name}, {size}.")),
                Html::new().figure(
                    shown(found, "its vertical edges, as the learned kernel finds them").as_str(),
                    "What the learned kernel sees: white where neighbours in a row differ most, whichever is the \
                    lighter.",
                ),
            ])
    }
}

/// How many places of the response see two pixels like that.
fn places(task: &Task, like: impl Fn(f32, f32) -> bool) -> usize {
    let x = task.x.to_vec();
    x.chunks(8).flat_map(|row| row.windows(2)).filter(|pair| like(pair[0], pair[1])).count()
}

/// Both ranges of points, with room around them and equally long.
fn square(points: impl Iterator<Item = (f64, f64)>, room: f64) -> ((f64, f64), (f64, f64)) {
    let mut x = (f64::INFINITY, f64::NEG_INFINITY);
    let mut y = x;
    for (px, py) in points {
        x = (x.0.min(px), x.1.max(px));
        y = (y.0.min(py), y.1.max(py));
    }
    let half = (x.1 - x.0).max(y.1 - y.0) / 2.0 + room;
    let around = |(low, high): (f64, f64)| ((low + high) / 2.0 - half, (low + high) / 2.0 + half);
    (around(x), around(y))
}

/// A number with so many places behind the point, and a real minus sign. Zero has none.
fn number(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let is_zero = text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    if is_zero { text.trim_start_matches('-').to_string() } else { minus(&text) }
}

/// The text with real minus signs.
fn minus(text: &str) -> String {
    text.replace('-', "−")
}

fn short(weight: [f32; 2]) -> String {
    let [left, right] = weight.map(|value| number(value.into(), 2));
    format!("[{left}, {right}]")
}

fn pair(weight: [f32; 2]) -> String {
    let [left, right] = weight.map(|value| number(value.into(), 4));
    format!("[{left}, {right}]")
}
