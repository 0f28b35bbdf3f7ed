//! `edge_kernel`: the notebook's cells 6 to 11, a convolution that learns to see edges; then, what the notebook cannot show,
//! what the learned kernel makes of a real picture. The training itself is in `report/edges/learn.rs`, beside the page that
//! explains it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::args::{Command, Opt};
use super::color::{COLOR, Color};
use super::{Stop, check_environment, finish, lenet, note, say};
use crate::data::{FashionMnist, HEIGHT, WIDTH};
use crate::image::{self, GrayImage, png, terminal};
use crate::report::edges::{Study, Task, corr2d};
use crate::{Tensor, file};

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
        Opt {
            name: "--report",
            value: "FILE",
            help: "write a page (HTML) that shows and explains every step",
        },
        COLOR,
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
    report: Option<PathBuf>,
    color: Color,
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
        report: args.path("--report"),
        color: Color::of(&args)?,
    })
}

fn learn_and_show(options: &Options) -> Result<(), Stop> {
    // A bad picture is said before anything else.
    let picture = match &options.image {
        Some(path) => image::read(path)?,
        None => first_image(&options.data)?,
    };

    if let Some(path) = &options.report {
        file::check_replaceable(path)?;
    }

    let task = Task::notebook();
    let Task { x, k, y } = &task;
    say(&format!("X, the picture:\n{x}\n\nK, the true kernel:\n{k}\n\nY, its response:\n{y}\n"))?;

    // Cell 10.
    let run = task.learn(options.seed, true, LR, STEPS);
    for (i, step) in run.steps.iter().enumerate().filter(|(i, _)| (i + 1) % 5 == 0) {
        say(&format!("step {}, loss {:.3}", i + 1, step.loss))?;
    }

    // Cell 11.
    let learned = Tensor::new([run.learned.weight]);
    let bias = Tensor::new([run.learned.bias]);
    say(&format!("\nlearned kernel: {learned}, bias: {bias}\ntrue kernel:    {k}, bias: tensor([0.])"))?;
    let found = response(&picture, &learned);
    let far = learned.to_vec().iter().zip(k.to_vec()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Written so that a NaN fails.
    let is_learned = far <= CLOSE && bias.item().abs() <= CLOSE;
    if is_learned {
        say(&format!("\n{}", drawn(&picture, &found, options.color.is_used_on(&io::stdout()))))?;
        if let Some(path) = &options.out {
            png::write(path, &found, (448 / found.width().max(found.height())).max(1))?;
            note(&format!("wrote {}", path.display()));
        }
    }
    if let Some(path) = &options.report {
        // Of a run that failed, too: there is more to see in it.
        let name =
            options.image.as_ref().map_or("an image of Fashion-MNIST".into(), |path| path.to_string_lossy());
        let study = Study { task: &task, seed: options.seed, run: &run, picture: (&picture, &name, &found) };
        file::replace(path, study.page().as_bytes())?;
        note(&format!("report: {}", path.display()));
    }
    match is_learned {
        true => Ok(()),
        false => Err(Stop::Failed(format!(
            "learned kernel: expected {k} within {CLOSE}, found {learned}, bias {bias}"
        ))),
    }
}

/// The first image of the test set: an ankle boot.
fn first_image(data: &std::path::Path) -> Result<GrayImage, Stop> {
    let data = FashionMnist::load(data)?;
    Ok(GrayImage::from_bytes(WIDTH, HEIGHT, data.test.image(0)))
}

/// What the kernel makes of a picture, as a picture: the strength of the edge, dark to light or light to dark.
fn response(picture: &GrayImage, kernel: &Tensor) -> GrayImage {
    let (width, height) = (picture.width(), picture.height());
    let x = Tensor::from_slice(picture.pixels(), [height, width]);
    if width < 2 {
        return GrayImage::new(width, height, vec![0.0; width * height]);
    }
    let strength: Vec<f32> = corr2d(&x, kernel).to_vec().iter().map(|edge| edge.abs()).collect();
    GrayImage::stretched(width - 1, height, &strength)
}

/// Both pictures in characters: side by side in greys where the output is to have colours, one below the other in plain text
/// where it does not.
fn drawn(picture: &GrayImage, found: &GrayImage, in_grey: bool) -> String {
    const TITLES: [&str; 2] = ["the picture", "what the learned kernel sees"];
    if !in_grey {
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
