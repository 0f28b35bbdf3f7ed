//! `edge_kernel`: the notebook's cells 6 to 11, a convolution that learns to see edges; then, what the notebook cannot show,
//! what the learned kernel makes of a real picture.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use super::args::{Command, Opt};
use super::{Stop, check_environment, finish, lenet, note, say};
use crate::data::{FashionMnist, HEIGHT, WIDTH};
use crate::image::{self, GrayImage, png, terminal};
use crate::nn::{Conv2d, Init, Module};
use crate::ops::conv2d::Conv2dOptions;
use crate::{Tape, Tensor};

const COMMAND: Command = Command {
    name: "edge_kernel",
    about: "Learns the kernel [1, -1], which finds vertical edges, from a picture and its edges.",
    operands: "",
    options: &[
        Opt { name: "--seed", value: "N", help: "what the first kernel comes from [default: 0]" },
        Opt {
            name: "--image",
            value: "FILE",
            help: "a picture (PGM or PNG) to find the edges of [default: an image of Fashion-MNIST]",
        },
        Opt { name: "--data", value: "DIR", help: "where Fashion-MNIST is [default: data/fashion-mnist]" },
        Opt { name: "--out", value: "FILE", help: "write the edges as a PNG" },
    ],
    notes: "The program fails (exit code 1) if what it learned is not [1, -1].",
};

const STEPS: usize = 20;
const LR: f32 = 0.01;

/// The notebook's run ends within 0.15 of the true weights; a run from another start may be a little slower.
const CLOSE: f32 = 0.3;

/// Larger pictures are shown shrunk to this many columns.
const COLUMNS: usize = 56;

struct Options {
    seed: u64,
    image: Option<PathBuf>,
    data: PathBuf,
    out: Option<PathBuf>,
}

/// Runs the program with the arguments behind its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    finish(&COMMAND.usage(), parse(args).and_then(|options| learn_and_show(&options)))
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Stop> {
    let args = COMMAND.parse(args)?;
    check_environment()?;
    Ok(Options {
        seed: args.number("--seed", "a whole number from 0 to 2^64 - 1", |_| true)?.unwrap_or(0),
        image: args.get("--image").map(PathBuf::from),
        data: lenet::data_folder(&args),
        out: args.get("--out").map(PathBuf::from),
    })
}

fn learn_and_show(options: &Options) -> Result<(), Stop> {
    // A bad picture is said before anything else.
    let picture = match &options.image {
        Some(path) => image::read(path)?,
        None => first_image(&options.data)?,
    };

    // Cell 6: six rows of eight, white at both ends and black between.
    let mut x = Tensor::ones([6, 8]);
    for row in x.data_mut().chunks_exact_mut(8) {
        row[2..6].fill(0.0);
    }
    // Cells 7 to 9: the kernel, and its response: 1 where white turns black, -1 where black turns white.
    let k = Tensor::new([[1.0, -1.0]]);
    let y = edges(&x, &k);
    say(&format!("X, the picture:\n{x}\n\nK, the true kernel:\n{k}\n\nY, its response:\n{y}\n"))?;

    // Cell 10: only X and Y are given. Plain gradient descent on the summed square error.
    let mut conv = Conv2d::new(1, 1, (1, 2), &mut Init::new(options.seed));
    let (x4, y4) = (x.reshape([1, 1, 6, 8]), y.reshape([1, 1, 6, 7]));
    for step in 1..=STEPS {
        let tape = Tape::training();
        let y_hat = conv.forward(tape.input(&x4));
        let loss = (y_hat - tape.input(&y4)).square().sum();
        let loss_value = loss.item();
        let grads = loss.backward();
        conv.weight.add_scaled(-LR, &grads[&conv.weight]);
        conv.bias.add_scaled(-LR, &grads[&conv.bias]);
        if step % 5 == 0 {
            say(&format!("step {step}, loss {loss_value:.3}"))?;
        }
    }

    // Cell 11.
    let learned = conv.weight.value().reshape([1, 2]);
    let bias = conv.bias.value();
    say(&format!("\nlearned kernel: {learned}, bias: {bias}\ntrue kernel:    {k}, bias: tensor([0.])"))?;
    let far = learned.to_vec().iter().zip(k.to_vec()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Written so that a NaN fails.
    if !(far <= CLOSE && bias.item().abs() <= CLOSE) {
        return Err(Stop::Failed(format!(
            "learned kernel: expected {k} within {CLOSE}, found {learned}, bias {bias}"
        )));
    }

    let found = response(&picture, &learned);
    say(&format!("\n{}", drawn(&picture, &found)))?;
    if let Some(path) = &options.out {
        png::write(path, &found, (448 / found.width().max(found.height())).max(1))?;
        note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// The first image of the test set: an ankle boot.
fn first_image(data: &std::path::Path) -> Result<GrayImage, Stop> {
    let data = FashionMnist::load(data)?;
    Ok(GrayImage::from_bytes(WIDTH, HEIGHT, data.test.image(0)))
}

/// Cross-correlation of one picture with one kernel, the notebook's `corr2d`.
fn edges(x: &Tensor, k: &Tensor) -> Tensor {
    let tape = Tape::inference();
    let image = |t: &Tensor| tape.input(&t.unsqueeze(0).unsqueeze(0));
    image(x).conv2d(image(k), None, &Conv2dOptions::default()).value().squeeze(0).squeeze(0)
}

/// What the kernel makes of a picture, as a picture: the strength of the edge, dark to light or light to dark.
fn response(picture: &GrayImage, kernel: &Tensor) -> GrayImage {
    let (width, height) = (picture.width(), picture.height());
    let x = Tensor::from_slice(picture.pixels(), [height, width]);
    if width < 2 {
        return GrayImage::new(width, height, vec![0.0; width * height]);
    }
    let strength: Vec<f32> = edges(&x, kernel).to_vec().iter().map(|edge| edge.abs()).collect();
    GrayImage::stretched(width - 1, height, &strength)
}

/// Both pictures in characters: side by side in greys where the output understands them, one below the other in plain text
/// where it does not.
fn drawn(picture: &GrayImage, found: &GrayImage) -> String {
    const TITLES: [&str; 2] = ["the picture", "what the learned kernel sees"];
    if !understands_colour() {
        let text = [terminal::draw(picture, COLUMNS), terminal::draw(found, COLUMNS)];
        let lines = text.iter().zip(TITLES).flat_map(|(text, title)| [title].into_iter().chain(text.lines()));
        return lines.map(str::trim_end).collect::<Vec<_>>().join("\n");
    }
    let columns = COLUMNS / 2;
    // A picture that is too large is shrunk to fit into a square.
    let largest = picture.width().max(picture.height());
    let width = (picture.width() * columns.min(largest) / largest).max(TITLES[0].len());
    let mut text = format!("{:width$}   {}", TITLES[0], TITLES[1]);
    let (left, right) = (terminal::draw_in_grey(picture, columns), terminal::draw_in_grey(found, columns));
    for (left, right) in left.lines().zip(right.lines()) {
        // Escape sequences take no room, so the second column is reached by its number.
        text.push_str(&format!("\n{left}\x1b[{}G{right}", width + 4));
    }
    text
}

/// Whether the output is a terminal that shows greys, and the user has not asked for none (no-color.org).
fn understands_colour() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb")
}
