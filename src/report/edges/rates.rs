//! What happens at too high a rate, and why: the same training at several rates, and the eigenvalues of the Hessian.
//!
//! Next to read: `crate::cli`, which calls this.

use super::surface::{Direction, directions, dot};
use super::{Run, Study, Surface, minus, number, square};
use crate::report::chart::{Chart, digits};
use crate::report::contour::Contour;
use crate::report::page::Html;

/// The rate that does not work here, unless the bias is left out.
const TOO_HIGH: f32 = 0.03;

/// The section.
pub(super) fn html(study: &Study, surface: &Surface) -> Html {
    let hessian = surface.hessian();
    let found = directions(hessian);
    // Without a bias only the upper left of the Hessian is left.
    let plain = directions([[hessian[0][0], hessian[0][1]], [hessian[1][0], hessian[1][1]]]);
    let (steepest, limit, plain_limit) = (found[0].value, 2.0 / found[0].value, 2.0 / plain[0].value);
    let steps = study.run.steps.len();
    let runs = Runs::new(study, limit);

    let rows = hessian.iter().zip(["w₁", "w₂", "b"]).map(|(row, name)| {
        [name.to_string()].into_iter().chain(row.iter().map(|value| number(*value, 0))).collect::<Vec<_>>()
    });
    Html::new()
        .paragraph(
            "The loss is a sum of squares of sums, so it has second derivatives that are the same everywhere: the \
             Hessian H = 2 Σ p pᵀ, over all 42 places, with p = (left pixel, right pixel, 1). Each number in it can \
             be counted in the picture.",
        )
        .table("The Hessian H", &["∂² L", "w₁", "w₂", "b"], rows)
        .paragraph(&format!(
            "Along an eigenvector of H nothing pulls sideways. A step of rate η multiplies the distance from the \
             minimum by 1 − η λ there, λ being the eigenvalue: how much the surface curves. With η = {} that is:",
            study.run.lr
        ))
        .then(&eigenvalues(study, &found))
        .paragraph(
            "The last two columns are the prediction and what the run did. Where the prediction is smaller than the \
             rounding of an f32, about 6e-8 of the weights, the run stops there.",
        )
        .paragraph(&format!(
            "The factor must lie between −1 and 1, or the distance grows. The steepest direction decides: λ = {} is \
             stable up to η = 2 / λ = {}. The two rates on either side of it are 2% away. {TOO_HIGH} is {} times the \
             limit.",
            number(steepest, 3),
            number(limit, 5),
            number(f64::from(TOO_HIGH) / limit, 2)
        ))
        .then(&outcomes(&runs, steepest, plain[0].value))
        .then(&runs.charts(steps))
        .paragraph(&format!(
            "Without a bias the steepest direction is less steep: the eigenvalues are {} and {}, so that {TOO_HIGH} \
             is below the limit of {}, and the same training goes well.",
            number(plain[0].value, 0),
            number(plain[1].value, 0),
            number(plain_limit, 4)
        ))
        .then(&swing(&runs, surface, &found[0]))
}

/// The same training from the same start at other rates.
struct Runs<'a> {
    as_it_was: &'a Run,
    below: Run,
    above: Run,
    too_high: Run,
    no_bias: Run,
}

impl Runs<'_> {
    fn new<'a>(study: &Study<'a>, limit: f64) -> Runs<'a> {
        let steps = study.run.steps.len();
        let learn = |bias, lr| study.task.learn(study.seed, bias, lr, steps);
        Runs {
            as_it_was: study.run,
            below: learn(true, (0.98 * limit) as f32),
            above: learn(true, (1.02 * limit) as f32),
            too_high: learn(true, TOO_HIGH),
            no_bias: learn(false, TOO_HIGH),
        }
    }

    fn all(&self) -> [(&Run, String); 5] {
        let name = |run: &Run| digits(run.lr.into(), 3);
        [
            (self.as_it_was, name(self.as_it_was)),
            (&self.below, name(&self.below)),
            (&self.above, name(&self.above)),
            (&self.too_high, name(&self.too_high)),
            (&self.no_bias, format!("{} no bias", name(&self.no_bias))),
        ]
    }

    fn charts(&self, steps: usize) -> Html {
        let all = self.all();
        let chart = |title: &str, some: &[(&Run, String)]| {
            let empty = Chart::new(title, "steps made", "summed square error").logarithmic();
            some.iter().fold(empty, |chart, (run, name)| chart.line(name, run.losses()))
        };
        let end = |i: usize| digits(all[i].0.loss.into(), 3);
        let near = format!(
            "After {steps} steps the loss is {} at {}, {} at {} and {} at {}. Both near the limit jump from side to \
             side; below it the jumps become smaller, above it larger.",
            end(0),
            all[0].1,
            end(1),
            all[1].1,
            end(2),
            all[2].1
        );
        let losses = self.too_high.losses();
        let far = format!(
            "At {} the loss goes to {}; the last step alone made it {} times as large, which is (1 − η λ)². The same \
             rate without a bias takes it to {}.",
            all[3].1,
            end(3),
            number(losses[steps].1 / losses[steps - 1].1, 3),
            end(4)
        );
        Html::new().grid(&[
            Html::new().figure(&chart("Loss near the limit", &all[..3]).svg(&near), &near),
            Html::new().figure(&chart("Loss far above the limit", &all[3..]).svg(&far), &far),
        ])
    }
}

/// Each direction, what a step does to the distance along it, and what the run's steps did.
fn eigenvalues(study: &Study, found: &[Direction<3>; 3]) -> Html {
    let (path, lr) = (study.run.path(), f64::from(study.run.lr));
    let steps = study.run.steps.len();
    let truth = [1.0, -1.0, 0.0];
    let distance = |kernel: &[f64; 3], direction: &Direction<3>| {
        dot(&direction.vector, &std::array::from_fn(|i| kernel[i] - truth[i]))
    };
    let rows = found.iter().map(|direction| {
        let factor = 1.0 - lr * direction.value;
        vec![
            number(direction.value, 3),
            format!("({})", direction.vector.map(|part| number(part, 3)).join(", ")),
            number(factor, 3),
            number(distance(&path[0], direction), 4),
            minus(&digits(distance(&path[0], direction) * factor.powi(steps as i32), 3)),
            minus(&digits(distance(&path[steps], direction), 3)),
        ]
    });
    Html::new().table(
        "The eigenvalues of H, and the distance from the true kernel along each eigenvector",
        &[
            "λ",
            "eigenvector (w₁, w₂, b)",
            "1 − η λ",
            "distance at first",
            &format!("times (1 − η λ) to the {steps}"),
            "distance in the end",
        ],
        rows,
    )
}

fn outcomes(runs: &Runs, steepest: f64, plain: f64) -> Html {
    let rows = runs.all().map(|(run, name)| {
        let curve = if std::ptr::eq(run, &runs.no_bias) { plain } else { steepest };
        let losses = run.losses();
        let verdict = if losses[losses.len() - 1].1 < losses[losses.len() - 2].1 { "falls" } else { "grows" };
        let factor = 1.0 - f64::from(run.lr) * curve;
        [
            name,
            number(f64::from(run.lr) * curve, 3),
            number(factor, 3),
            digits(losses[0].1, 4),
            minus(&digits(run.loss.into(), 4)),
            verdict.to_string(),
        ]
    });
    Html::new().table(
        "The same training at five rates; λ is the largest eigenvalue",
        &["rate η", "η λ", "1 − η λ", "loss at first", "loss in the end", "with the last step it"],
        rows,
    )
}

/// Two paths in the plane where the steepest direction lies: along the sum of the weights, and the bias.
fn swing(runs: &Runs, surface: &Surface, steepest: &Direction<3>) -> Html {
    let of = |run: &Run| -> Vec<(f64, f64)> {
        run.path().iter().map(|kernel| ((kernel[0] + kernel[1]) / 2.0, kernel[2])).collect()
    };
    let (good, bad) = (of(runs.as_it_was), of(&runs.above));
    let (x, y) = square(good.iter().chain(&bad).copied(), 0.25);
    let plot = Contour::new(
        "Loss over weights and bias, and two rates",
        ("half the sum of the weights", x.0, x.1),
        ("bias", y.0, y.1),
    )
    .path(&format!("rate {}", digits(runs.as_it_was.lr.into(), 3)), good)
    .path(&format!("rate {}", digits(runs.above.lr.into(), 3)), bad)
    .mark("minimum", 0.0, 0.0);
    let swings: Vec<f64> = runs
        .above
        .path()
        .iter()
        .map(|kernel| dot(&steepest.vector, &[kernel[0] - 1.0, kernel[1] + 1.0, kernel[2]]))
        .collect();
    let turns = swings.windows(2).filter(|pair| pair[0] * pair[1] < 0.0).count();
    let [first, .., last] = swings[..] else { return Html::new() };
    let said = format!(
        "At {} the steps swing across the valley: the distance along the steepest direction changed its sign in \
         {turns} of {} steps and went from {} to {}. At {} it settles.",
        digits(runs.above.lr.into(), 3),
        swings.len() - 1,
        number(first.abs(), 3),
        number(last.abs(), 3),
        digits(runs.as_it_was.lr.into(), 3),
    );
    let drawing = plot.svg(|sum, bias| surface.loss([sum + 1.0, sum - 1.0, bias]), &said);
    Html::new()
        .paragraph(
            "The steepest direction changes both weights and the bias at once, all the same way. This cut shows it: \
             to the right both weights are larger by the same, their difference being right.",
        )
        .figure(&drawing, &said)
}
