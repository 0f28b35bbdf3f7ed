//! `edge_kernel --report`: every number on the page, computed once more in f64 by nested loops.
//!
//! Only the first kernel comes from the crate, since a seed means it. From there on nothing here uses the engine.

mod program;
mod scratch;
mod web_page;

use std::fs;

use program::{edge_kernel, ends_with, path, refuses};
use scratch::Scratch;
use tapegrad::image::GrayImage;
use tapegrad::nn::{Conv2d, Init};
use web_page::{between, check, numbers, pictures, table, text};

const STEPS: usize = 20;
const STEPS_TABLE: &str =
    "What each step begins with, its loss, and the derivatives of the loss by the weights and the bias";

/// A page, what the program printed, and the first kernel of this seed.
fn report(scratch: &Scratch, seed: u64) -> (String, String, [f64; 3]) {
    let picture = scratch.file("picture.pgm", b"P2 4 3 255\n0 10 200 255\n0 0 0 255\n90 80 70 60\n");
    let out = scratch.dir().join("page.html");
    let seed_text = seed.to_string();
    let args = ["--seed", &seed_text, "--image", path(&picture), "--report", path(&out)];
    let (stdout, stderr) = ends_with(0, &mut edge_kernel(&args));
    assert_eq!(stderr, format!("report: {}\n", path(&out)));
    let conv = Conv2d::new(1, 1, (1, 2), &mut Init::new(seed));
    let (w, b) = (conv.weight.value().to_vec(), conv.bias.value().to_vec());
    (fs::read_to_string(out).expect("written"), stdout, [w[0], w[1], b[0]].map(f64::from))
}

// The task once more, in f64.

fn x(_row: usize, column: usize) -> f64 {
    if (2..6).contains(&column) { 0.0 } else { 1.0 }
}

fn y(row: usize, column: usize) -> f64 {
    x(row, column) - x(row, column + 1)
}

fn y_hat(kernel: [f64; 3], row: usize, column: usize) -> f64 {
    kernel[0] * x(row, column) + kernel[1] * x(row, column + 1) + kernel[2]
}

fn places() -> impl Iterator<Item = (usize, usize)> {
    (0..6).flat_map(|row| (0..7).map(move |column| (row, column)))
}

fn loss(kernel: [f64; 3]) -> f64 {
    places().map(|(i, j)| (y_hat(kernel, i, j) - y(i, j)).powi(2)).sum()
}

fn gradient(kernel: [f64; 3]) -> [f64; 3] {
    let mut gradient = [0.0; 3];
    for (i, j) in places() {
        let dy = 2.0 * (y_hat(kernel, i, j) - y(i, j));
        gradient[0] += dy * x(i, j);
        gradient[1] += dy * x(i, j + 1);
        gradient[2] += dy;
    }
    gradient
}

/// The kernels before each step, and after the last.
fn descend(first: [f64; 3], rate: f64) -> Vec<[f64; 3]> {
    let mut path = vec![first];
    for step in 0..STEPS {
        let (kernel, gradient) = (path[step], gradient(path[step]));
        path.push(std::array::from_fn(|i| kernel[i] - rate * gradient[i]));
    }
    path
}

/// The same without a bias, which stays 0.
fn descend_without_bias(first: [f64; 3], rate: f64) -> Vec<[f64; 3]> {
    let mut path = vec![[first[0], first[1], 0.0]];
    for step in 0..STEPS {
        let (kernel, gradient) = (path[step], gradient(path[step]));
        path.push([kernel[0] - rate * gradient[0], kernel[1] - rate * gradient[1], 0.0]);
    }
    path
}

/// H[i][j] = L(e_i + e_j) - L(e_i) - L(e_j) + L(0), without any remainder since L is quadratic.
fn hessian() -> [[f64; 3]; 3] {
    let at = |axes: &[usize]| {
        let mut kernel = [0.0; 3];
        axes.iter().for_each(|&axis| kernel[axis] += 1.0);
        loss(kernel)
    };
    std::array::from_fn(|i| std::array::from_fn(|j| at(&[i, j]) - at(&[i]) - at(&[j]) + at(&[])))
}

/// The roots of the characteristic polynomial, found by halving between points where it changes its sign; largest
/// first.
fn eigenvalues(h: [[f64; 3]; 3]) -> Vec<f64> {
    let minor = |a: usize, b: usize| h[a][a] * h[b][b] - h[a][b] * h[b][a];
    let trace = h[0][0] + h[1][1] + h[2][2];
    let minors = minor(0, 1) + minor(0, 2) + minor(1, 2);
    let determinant = h[0][0] * minor(1, 2) - h[0][1] * (h[1][0] * h[2][2] - h[1][2] * h[2][0])
        + h[0][2] * (h[1][0] * h[2][1] - h[1][1] * h[2][0]);
    let polynomial = |l: f64| ((l - trace) * l + minors) * l - determinant;
    let mut roots = Vec::new();
    for start in 0..trace as usize {
        let (mut low, mut high) = (start as f64 + 0.37, start as f64 + 1.37);
        if polynomial(low) * polynomial(high) > 0.0 {
            continue;
        }
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            let is_below = polynomial(low) * polynomial(middle) > 0.0;
            (low, high) = if is_below { (middle, high) } else { (low, middle) };
        }
        roots.push(low);
    }
    roots.reverse();
    roots
}

/// Panics unless the numbers are these, rounded to some places, and computed in f32.
#[track_caller]
fn assert_close(what: &str, got: &[f64], want: &[f64], places: i32) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        let far = 0.5 * 10f64.powi(-places) + 4e-6 * want.abs() + 4e-6;
        assert!((got - want).abs() <= far, "{what}: {got}, expected {want}");
    }
}

/// Panics unless the first significant digits are the same.
#[track_caller]
fn assert_digits(what: &str, got: &str, want: f64, digits: i32) {
    let got: f64 = got.parse().unwrap_or_else(|_| panic!("{what}: {got}"));
    let far = want.abs() * 10f64.powi(1 - digits) * 0.51 + 1e-7;
    assert!((got - want).abs() <= far, "{what}: {got}, expected {want}");
}

#[test]
fn the_page_stands_alone_and_is_well_formed() {
    let scratch = Scratch::new("edge-report-form");
    let (page, _, _) = report(&scratch, 0);
    check(&page);
    assert_eq!(page.matches("<h1>").count(), 1);
    for (n, title) in ["What there is to learn", "The 20 steps", "On the loss surface", "One step by hand"]
        .iter()
        .enumerate()
    {
        assert!(page.contains(&format!("<h2 id=\"h{}\">{title}</h2>", n + 1)), "{title}");
    }
    // Numbers stand to the right, negative ones, too.
    assert!(page.contains("<td class=\"n\">−") && !page.contains("<td>−"));
    // The same run gives the same page, to the byte.
    assert!(page == report(&scratch, 0).0);
}

#[test]
fn each_step_is_what_loops_in_f64_make_of_it() {
    let scratch = Scratch::new("edge-report-steps");
    for seed in [0, 1, 7] {
        let (page, stdout, first) = report(&scratch, seed);
        let rows = table(&page, STEPS_TABLE);
        let path = descend(first, 0.01);
        assert_eq!(rows.len(), STEPS + 1);
        for (step, (row, &kernel)) in rows.iter().zip(&path).enumerate() {
            let name = if step == STEPS { "learned".to_string() } else { (step + 1).to_string() };
            assert_eq!(row[0], name);
            let mut want = kernel.to_vec();
            want.push(loss(kernel));
            if step < STEPS {
                want.extend(gradient(kernel));
            }
            let got: Vec<f64> = row[1..].iter().filter_map(|cell| cell.parse().ok()).collect();
            assert_close(&format!("seed {seed}, step {name}"), &got, &want, 4);
        }
        // What is printed, as the notebook prints it, is on the page, too.
        let printed: Vec<&str> = stdout.lines().filter(|line| line.starts_with("step ")).collect();
        assert_eq!(printed.len(), 4);
        for (line, step) in printed.iter().zip([5, 10, 15, 20]) {
            let number: f64 = between(&format!("{line}\n"), &format!("step {step}, loss "), "\n")
                .parse()
                .expect("a number");
            assert_close(line, &[number], &[rows[step - 1][4].parse().expect("a loss")], 3);
        }
        let curve = between(between(&page, "aria-label=\"Loss. ", "</g>"), "data-y=\"", "\"");
        let curve: Vec<&str> = curve.split(' ').collect();
        assert_eq!(curve.len(), STEPS + 1);
        for (got, &kernel) in curve.iter().zip(&path) {
            assert_digits("the curve", got, loss(kernel), 5);
        }
    }
}

#[test]
fn every_value_and_gradient_of_one_step_is_right() {
    let scratch = Scratch::new("edge-report-tape");
    let (page, _, kernel) = report(&scratch, 3);
    let difference = |i: usize, j: usize| y_hat(kernel, i, j) - y(i, j);
    type Value<'a> = Box<dyn Fn(usize, usize) -> f64 + 'a>;
    let nodes: [(&str, usize, Value); 8] = [
        ("x", 8, Box::new(x)),
        ("y", 7, Box::new(y)),
        ("ŷ", 7, Box::new(|i, j| y_hat(kernel, i, j))),
        ("d", 7, Box::new(difference)),
        ("s", 7, Box::new(|i, j| difference(i, j).powi(2))),
        ("ds", 7, Box::new(|_, _| 1.0)),
        ("dd", 7, Box::new(|i, j| 2.0 * difference(i, j))),
        ("dŷ", 7, Box::new(|i, j| 2.0 * difference(i, j))),
    ];
    for (name, columns, value) in nodes {
        let rows = numbers(&page, &format!("{name}[i, j]"));
        assert_eq!(rows.len(), 6, "{name}");
        for (i, row) in rows.iter().enumerate() {
            let want: Vec<f64> = (0..columns).map(|j| value(i, j)).collect();
            assert_close(name, row, &want, 4);
        }
    }
    // The drawing has the same nodes, with the lengths of these gradients.
    let drawn = between(&page, "aria-label=\"The tape, drawn\"", "</div>");
    let length =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let places = || (0..6).flat_map(|i| (0..7).map(move |j| (i, j)));
    let by_response = length(&mut places().map(|(i, j)| 2.0 * difference(i, j)));
    let by = gradient(kernel);
    for (id, (op, norm)) in [
        ("input", None),
        ("b, the bias", Some(by[2].abs())),
        ("w, the kernel", Some(by[0].hypot(by[1]))),
        ("conv2d", Some(by_response)),
        ("input", None),
        ("sub", Some(by_response)),
        ("square", Some(42f64.sqrt())),
        ("sum", Some(1.0)),
    ]
    .into_iter()
    .enumerate()
    {
        let title = between(between(drawn, &format!("<g data-node=\"{id}\""), "</g>"), "<title>", "</title>");
        let (first, last) = (title.lines().next(), title.lines().last().unwrap_or_default());
        assert_eq!(first, Some(op), "{title}");
        match norm {
            Some(norm) => {
                assert_digits(op, last.strip_prefix("gradient norm ").unwrap_or(last), norm, 4);
            }
            None => assert_eq!(last, "wants no gradient"),
        }
    }
    // The parameters, the loss and the step stand in sentences.
    let [dw0, dw1, db] = gradient(kernel);
    let next = descend(kernel, 0.01)[1];
    for (node, after, want) in [
        (1, "b = ", kernel[2]),
        (1, ") = ", db),
        (2, "w₁ = ", kernel[0]),
        (2, ", w₂ = ", kernel[1]),
        (7, ") = ", loss(kernel)),
    ] {
        let item = format!("{} ", text(between(&page, &format!("<li id=\"node{node}\">"), "</li>")));
        let found = between(&item, after, " ").split(['\n', ',']).next().unwrap_or_default().parse();
        assert_close(&format!("node {node}, {after}"), &[found.expect("a number")], &[want], 4);
    }
    let item = text(between(&page, "<li id=\"node2\">", "</li>"));
    let sums: Vec<f64> = item
        .split(") = ")
        .skip(1)
        .map(|rest| {
            rest.split(['\n', ' ']).next().unwrap_or_default().trim_end_matches('.').parse().expect("a sum")
        })
        .collect();
    assert_close("dw", &sums, &[dw0, dw1], 4);
    let step =
        text(between(between(&page, "And the step itself", "</section>"), "<pre tabindex=\"0\">", "</pre>"));
    let ends: Vec<f64> = step
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap_or_default().parse().expect("a number"))
        .collect();
    assert_close("the step", &ends, &next, 4);
}

#[test]
fn the_hessian_says_which_rate_is_too_high() {
    let scratch = Scratch::new("edge-report-rates");
    let (page, _, first) = report(&scratch, 0);
    let h = hessian();
    for (got, want) in numbers(&page, "The Hessian H").iter().zip(h) {
        assert_close("the Hessian", got, &want, 0);
        assert!(got.iter().zip(want).all(|(got, want)| *got == want), "whole numbers: {got:?}");
    }
    let roots = eigenvalues(h);
    assert_eq!(roots.len(), 3);
    let rows =
        table(&page, "The eigenvalues of H, and the distance from the true kernel along each eigenvector");
    let (start, end) = (first, descend(first, 0.01)[STEPS]);
    for (row, &root) in rows.iter().zip(&roots) {
        assert_close("λ", &[row[0].parse().expect("a number")], &[root], 3);
        let vector: Vec<f64> =
            row[1].trim_matches(['(', ')']).split(", ").map(|part| part.parse().expect("a number")).collect();
        for i in 0..3 {
            let stretched: f64 = (0..3).map(|j| h[i][j] * vector[j]).sum();
            assert!((stretched - root * vector[i]).abs() < 0.1, "{row:?}");
        }
        let length: f64 = vector.iter().map(|part| part * part).sum();
        assert!((length - 1.0).abs() < 2e-3, "{row:?}");
        assert_close("1 - η λ", &[row[2].parse().expect("a number")], &[1.0 - 0.01 * root], 3);
        let along = |kernel: [f64; 3]| {
            vector[0] * (kernel[0] - 1.0) + vector[1] * (kernel[1] + 1.0) + vector[2] * kernel[2]
        };
        for (cell, want) in [(&row[3], along(start)), (&row[5], along(end))] {
            let got: f64 = cell.parse().expect("a number");
            assert!((got - want).abs() < 2e-3, "{row:?}: {want}");
        }
        let predicted: f64 = row[4].parse().expect("a number");
        let want = row[3].parse::<f64>().expect("a number") * (1.0 - 0.01 * root).powi(STEPS as i32);
        assert!((predicted - want).abs() <= 0.01 * want.abs() + 1e-12, "{row:?}: {want}");
    }

    let limit = 2.0 / roots[0];
    let said = text(between(&page, "is stable up to", ". The two rates"));
    assert_close(
        "the limit",
        &[said.rsplit(' ').next().unwrap_or_default().parse().expect("a rate")],
        &[limit],
        5,
    );
    let rows = table(&page, "The same training at five rates; λ is the largest eigenvalue");
    let plain = h[0][0] + h[0][1]; // of the two weights alone: symmetric, so its eigenvectors are the diagonals
    let runs = [
        (0.01, roots[0], descend(first, 0.01)),
        (0.98 * limit, roots[0], descend(first, 0.98 * limit)),
        (1.02 * limit, roots[0], descend(first, 1.02 * limit)),
        (0.03, roots[0], descend(first, 0.03)),
        (0.03, plain, descend_without_bias(first, 0.03)),
    ];
    assert_eq!(rows.len(), runs.len());
    for (row, (rate, steepest, path)) in rows.iter().zip(&runs) {
        assert_digits("the rate", row[0].trim_end_matches(" no bias"), *rate, 3);
        assert_close("η λ", &[row[1].parse().expect("a number")], &[rate * steepest], 3);
        assert_close("1 - η λ", &[row[2].parse().expect("a number")], &[1.0 - rate * steepest], 3);
        assert_digits("loss at first", &row[3], loss(path[0]), 4);
        // A rounding of the rate or of a kernel grows with the rest.
        assert_digits("loss in the end", &row[4], loss(path[STEPS]), 3);
        // In 20 steps this is what there is to see, and what the eigenvalue says.
        let is_stable = rate * steepest < 2.0;
        assert_eq!(row[5], if is_stable { "falls" } else { "grows" }, "{row:?}");
    }
}

#[test]
fn contour_lines_lie_where_the_loss_is_what_they_say() {
    let scratch = Scratch::new("edge-report-contour");
    let (page, _, first) = report(&scratch, 0);
    let bias = descend(first, 0.01)[STEPS][2];
    let of_weights = |x: f64, y: f64| loss([x, y, bias]);
    let of_sum = |sum: f64, bias: f64| loss([sum + 1.0, sum - 1.0, bias]);
    type Plot<'a> = (&'a str, &'a dyn Fn(f64, f64) -> f64, [f64; 2]);
    let plots: [Plot; 2] = [
        ("Loss over the two weights. ", &of_weights, [1.0, -1.0]),
        ("Loss over weights and bias, and two rates. ", &of_sum, [0.0, 0.0]),
    ];
    for (title, loss_at, cross) in plots {
        let svg = between(&page, &format!("aria-label=\"{title}"), "</svg>");
        // The cross and the first point of the path say where things lie.
        let mark = between(svg, "class=\"cross\" d=\"", "\"");
        let numbers: Vec<f64> =
            mark.split(['M', 'h', 'v', ' ']).filter_map(|part| part.parse().ok()).collect();
        let at_cross = [numbers[3], numbers[1]];
        let circle = between(svg, "<circle", "</circle>");
        let pixel =
            ["cx=\"", "cy=\""].map(|name| between(circle, name, "\"").parse::<f64>().expect("a place"));
        let start = between(circle, "after 0 steps: ", "</title>");
        let start: Vec<f64> = start.split(", ").map(|part| part.parse().expect("a number")).collect();
        // Both axes have one scale; the longer distance is the better measure of it.
        let (dx, dy) = (
            (start[0] - cross[0]) / (pixel[0] - at_cross[0]),
            (start[1] - cross[1]) / (pixel[1] - at_cross[1]),
        );
        let scale = if (pixel[0] - at_cross[0]).abs() > (pixel[1] - at_cross[1]).abs() { dx } else { -dy };
        let mut count = 0;
        for line in svg.split("data-level=\"").skip(1) {
            let level: f64 = line.split('"').next().unwrap_or_default().parse().expect("a level");
            for point in between(line, "d=\"", "\"").split(['M', 'L']).filter(|point| !point.is_empty()) {
                let (px, py) = point.split_once(' ').expect("two numbers");
                let (px, py): (f64, f64) = (px.parse().expect("x"), py.parse().expect("y"));
                let found =
                    loss_at(cross[0] + scale * (px - at_cross[0]), cross[1] - scale * (py - at_cross[1]));
                assert!((found - level).abs() < 0.04 * level + 0.02, "{title}{found} on the line of {level}");
                count += 1;
            }
        }
        assert!(count > 500, "{title}{count} points");
    }
}

#[test]
fn pictures_are_those_of_the_run() {
    let scratch = Scratch::new("edge-report-pictures");
    let (page, _, first) = report(&scratch, 0);
    let found = pictures(&page);
    let [given, picture, edges] = &found[..] else { panic!("{} pictures", found.len()) };
    let want: Vec<f32> = (0..6).flat_map(|i| (0..8).map(move |j| x(i, j) as f32)).collect();
    assert_eq!(given, &GrayImage::new(8, 6, want));
    let pixels = [0u8, 10, 200, 255, 0, 0, 0, 255, 90, 80, 70, 60];
    assert_eq!(picture, &GrayImage::from_bytes(4, 3, &pixels));
    let kernel = descend(first, 0.01)[STEPS];
    let strength: Vec<f32> = pixels
        .chunks(4)
        .flat_map(|row| row.windows(2))
        .map(|pair| (kernel[0] * f64::from(pair[0]) + kernel[1] * f64::from(pair[1])).abs() as f32)
        .collect();
    let want = GrayImage::stretched(3, 3, &strength).to_bytes();
    for (got, want) in edges.to_bytes().iter().zip(want) {
        assert!(got.abs_diff(want) <= 1, "{:?}", edges.to_bytes());
    }
}

#[test]
fn a_large_picture_of_any_name_keeps_the_page_small_and_whole() {
    let scratch = Scratch::new("edge-report-large");
    let mut pgm = b"P5 1600 1200 255\n".to_vec();
    let mut state = 1u32;
    for _ in 0..1600 * 1200 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        pgm.push((state >> 24) as u8);
    }
    let picture = scratch.file("a <b> & 'c'.pgm", &pgm);
    let out = scratch.dir().join("page.html");
    ends_with(0, &mut edge_kernel(&["--image", path(&picture), "--report", path(&out)]));
    let page = fs::read_to_string(out).expect("written");
    check(&page);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(page.contains("a &lt;b&gt; &amp; &#39;c&#39;.pgm, 1600 x 1200 pixels"), "its name and size");
    assert!(pictures(&page).iter().all(|picture| picture.width() <= 448 && picture.height() <= 448));
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_anything() {
    let scratch = Scratch::new("edge-report-refused");
    let picture = scratch.file("picture.pgm", b"P2 2 1 255\n0 255\n");
    for out in [scratch.dir().to_path_buf(), scratch.dir().join("no such folder/page.html")] {
        let line = refuses(&mut edge_kernel(&["--image", path(&picture), "--report", path(&out)]));
        assert!(
            line.starts_with(&format!("{}: expected a file that can be written, found", path(&out))),
            "{line}"
        );
    }
    let names = fs::read_dir(scratch.dir()).expect("a folder").count();
    assert_eq!(names, 1, "nothing half written stays behind");
}
