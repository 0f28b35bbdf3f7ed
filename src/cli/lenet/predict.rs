//! `lenet predict`: what a saved net sees in pictures.

use std::path::Path;

use super::super::args::{Args, Command};
use super::super::{Stop, note, say};
use super::{LOAD, THREADS, load_net, set_threads};
use crate::data::{CLASSES, HEIGHT, WIDTH};
use crate::nn::Module;
use crate::{Error, Tape, Tensor, image};

/// How many classes are named for a picture.
const NAMED: usize = 3;

pub(super) const COMMAND: Command = Command {
    name: "lenet predict",
    about: "Tells what a saved net sees in pictures: the three likeliest classes of each, with their probabilities.",
    operands: "IMAGE...",
    options: &[LOAD, THREADS],
    notes: "An IMAGE is a PGM file, or a PNG file of 8 bits, grey or RGB. Fashion-MNIST's pictures are 28 x 28, the thing light on\n\
            black; pictures of other sizes are scaled to that, and what is dark on white should be inverted first.",
};

pub(super) fn run(args: &Args) -> Result<(), Stop> {
    let load = args.needed_path("--load")?;
    if args.operands().is_empty() {
        return Err(Error::argument("IMAGE", "one picture or more", "none").into());
    }
    set_threads(args)?;
    let (net, metadata) = load_net(&load)?;
    // A net that says that it learned from other pictures has other classes.
    let clothing = metadata.get("data").is_none_or(|data| data == "Fashion-MNIST");
    let mut failed = 0;
    for path in args.operands() {
        match classify(&*net, Path::new(path)) {
            Ok(probabilities) => {
                say(&format!("{}: {}", Path::new(path).display(), likeliest(&probabilities, clothing)))?;
            }
            // One bad picture should not keep the others back.
            Err(error) => {
                note(&format!("error: {error}"));
                failed += 1;
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Stop::Failed(format!("{failed} of {} pictures could not be read", args.operands().len()))),
    }
}

/// The probability of every class.
fn classify(net: &dyn Module, path: &Path) -> crate::Result<Vec<f32>> {
    let picture = image::read(path)?.resized(WIDTH, HEIGHT);
    let pixels = Tensor::from_slice(picture.pixels(), [1, 1, HEIGHT, WIDTH]);
    Ok(net.forward(Tape::inference().input(&pixels)).softmax(1).value().to_vec())
}

fn likeliest(probabilities: &[f32], clothing: bool) -> String {
    let mut classes: Vec<usize> = (0..probabilities.len()).collect();
    classes.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let name = |class: usize| if clothing { CLASSES[class].to_string() } else { format!("class {class}") };
    let named =
        classes.iter().take(NAMED).map(|&class| format!("{} {:.3}", name(class), probabilities[class]));
    named.collect::<Vec<_>>().join(", ")
}
