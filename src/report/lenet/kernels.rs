//! What the convolutions look for, and what they see: their kernels before and after, and the maps that they give.
//!
//! Next to read: `machine.rs`.

use crate::data::{Batches, Images};
use crate::data::{HEIGHT, WIDTH};
use crate::image::GrayImage;
use crate::nn::{Conv2d, Kind, Module, leaves};
use crate::report::chart::digits;
use crate::report::heat_map::heat_maps;
use crate::report::page::Html;
use crate::{Tape, Tensor};

/// The first two convolutions with their names.
fn convolutions(net: &dyn Module) -> Vec<(String, &Conv2d)> {
    let found = leaves(net).into_iter().filter_map(|(name, leaf)| match leaf.kind() {
        Kind::Conv2d(conv) => Some((name, conv)),
        _ => None,
    });
    found.take(2).collect()
}

/// The kernels of the first two convolutions; `None` where the net has no convolution.
pub(super) fn section(before: &dyn Module, after: &dyn Module) -> Option<Html> {
    let (before, after) = (convolutions(before), convolutions(after));
    if after.is_empty() {
        return None;
    }
    let mut html = Html::new().paragraph(
        "Blue is above zero, orange with a dash below, white zero; the deepest colour is the same before and after. A kernel that \
         is blue on one side and orange on the other answers to an edge.",
    );
    for ((name, old), (_, new)) in before.iter().zip(&after) {
        let (old, new) = (old.weight.value(), new.weight.value());
        let shape = new.shape();
        let (out, channels, height, width) = (shape[0], shape[1], shape[2], shape[3]);
        let (old, new) = (old.to_vec(), new.to_vec());
        let largest = old.iter().chain(&new).fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let moved = |values: &[f32]| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let difference: Vec<f32> = old.iter().zip(&new).map(|(old, new)| new - old).collect();
        html = html.heading(&format!("{name}: {} kernels of {height} x {width}", out * channels)).paragraph(&format!(
            "A row for each of {}, a column for each of {}. Training has moved the weights by {} from {} (Euclidean norm). \
             The deepest colour stands for {}.",
            count(out, "output"),
            count(channels, "input"),
            digits(moved(&difference), 3),
            digits(moved(&old), 3),
            digits(largest.into(), 3)
        ));
        // One input: the kernels stand beside each other and not below.
        let (across, size) = if channels == 1 { (out.min(6), 10) } else { (channels, 5) };
        let draw = |values: &[f32], when: &str| {
            let label = format!("the kernels of {name} {when} training");
            let drawing = heat_maps(&label, values, (height, width), across, largest, size);
            Html::new().figure(&drawing, &format!("{when} training"))
        };
        html = html.grid(&[draw(&old, "before"), draw(&new, "after")]);
        let rows = new.chunks_exact(height * width).enumerate().map(|(i, kernel)| {
            let place = format!("{}, {}", i / channels, i % channels);
            std::iter::once(place)
                .chain(kernel.iter().map(|&weight| digits(weight.into(), 4)))
                .collect::<Vec<_>>()
        });
        let places: Vec<String> =
            (0..height * width).map(|i| format!("{}, {}", i / width, i % width)).collect();
        let head: Vec<&str> =
            std::iter::once("output, input").chain(places.iter().map(String::as_str)).collect();
        let table = Html::new().table(
            &format!("The weights of {name} after training, by row and column"),
            &head,
            rows,
        );
        html = html.folded(&format!("The weights of {name} as numbers"), &table);
    }
    Some(html)
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Which images the maps are shown for: the first of each class.
fn chosen(images: &Images) -> Vec<(usize, u8)> {
    let first = |class: u8| images.labels().iter().position(|&label| label == class).map(|i| (i, class));
    (0..=9).filter_map(first).collect()
}

/// The maps of the first two convolutions for one image of each class.
pub(super) fn maps(net: &dyn Module, images: &Images, names: &[String]) -> Option<Html> {
    let mut chosen = chosen(images);
    let name = |class: u8| names.get(usize::from(class)).cloned().unwrap_or_else(|| class.to_string());
    // The book's exercise: "look at the activations of the first layer for different inputs (e.g., sweaters and coats)".
    let place =
        |class: u8| ["Pullover", "Coat"].iter().position(|wanted| name(class) == *wanted).unwrap_or(2);
    chosen.sort_by_key(|&(_, class)| (place(class), class));
    let pixels: Vec<u8> = chosen.iter().flat_map(|&(i, _)| images.image(i)).copied().collect();
    let few = Images::new(pixels, chosen.iter().map(|&(_, class)| class).collect()).ok()?;
    let layers = convolution_outputs(net, &Batches::in_order(&few, few.len()).batch(0).pixels());
    if layers.is_empty() {
        return None;
    }
    let pieces: Vec<Html> = chosen
        .iter()
        .enumerate()
        .map(|(place, &(i, class))| {
            let image = GrayImage::from_bytes(WIDTH, HEIGHT, images.image(i));
            let alt = format!("test image {i}, {}", name(class));
            let mut html = Html::new().raw("<h3>").text(&name(class)).raw("</h3>\n").picture(&image, 3, &alt);
            for (layer, values) in &layers {
                html = html.then(&montage(layer, values, place, &name(class)));
            }
            html
        })
        .collect();
    let first = match (place(chosen.first()?.1), chosen.get(1).map(|second| place(second.1))) {
        (0, Some(1)) => {
            "Sweaters stand beside coats, as the book's exercise asks: what the first layer sees of both is much the same, \
             edges and areas; the maps of the second layer are where they must come apart. "
        }
        _ => "",
    };
    let text = format!(
        "{first}One test image of each class, and what leaves the convolutions behind their activation, before pooling. Within a \
         layer black is the least output over all images here and white the greatest."
    );
    Some(Html::new().paragraph(&text).grid(&pieces))
}

/// What the first two convolutions give together with the layers behind each that keep its shape, and where that lies.
fn convolution_outputs(net: &dyn Module, images: &Tensor) -> Vec<(String, Tensor)> {
    let tape = Tape::inference();
    let mut x = tape.input(images);
    let mut found: Vec<(String, Tensor)> = Vec::new();
    let mut open = false;
    for (name, leaf) in leaves(net) {
        x = leaf.forward(x);
        let starts = matches!(leaf.kind(), Kind::Conv2d(_));
        let goes_on = open && found.last().is_some_and(|(_, value)| value.shape() == x.shape());
        if starts && found.len() == 2 {
            break;
        }
        if starts {
            found.push((name, x.value()));
        } else if goes_on && let Some(last) = found.last_mut() {
            *last = (name, x.value());
        }
        open = starts || goes_on;
    }
    found
}

/// The maps of one image side by side, with a white line between.
fn montage(layer: &str, values: &Tensor, image: usize, class: &str) -> Html {
    let shape = values.shape();
    let (channels, height, width) = (shape[1], shape[2], shape[3]);
    let all = values.to_vec();
    let (low, high) =
        all.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let maps = &all[image * channels * height * width..][..channels * height * width];
    let across = channels.min(if width > 12 { 3 } else { 8 });
    let down = channels.div_ceil(across);
    let (full, scale) = (across * (width + 1) - 1, 4);
    let mut pixels = vec![1.0; full * (down * (height + 1) - 1)];
    for (i, &value) in maps.iter().enumerate() {
        let (map, row, column) = (i / (height * width), i / width % height, i % width);
        let (y, x) = (map / across * (height + 1) + row, map % across * (width + 1) + column);
        pixels[y * full + x] = if high > low { (value - low) / (high - low) } else { 0.0 };
    }
    let picture = GrayImage::new(full, pixels.len() / full, pixels);
    let alt = format!("{channels} maps of {layer} for {class}, each {height} x {width}");
    let caption =
        format!("{layer}: {channels} maps, from {} to {}", digits(low.into(), 3), digits(high.into(), 3));
    Html::new()
        .raw("<figure>\n")
        .measured_picture(&picture, scale, &alt, (low.into(), high.into()))
        .raw("<figcaption>")
        .text(&caption)
        .raw("</figcaption>\n</figure>\n")
}
