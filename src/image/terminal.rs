//! Draws a picture in the terminal with block characters.
//!
//! A character cell is about twice as high as wide. Two ways to fill it:
//!
//! - [`draw`]: plain text. A pixel is two cells side by side, in one of five shades: space, light, medium, dark, full.
//!   White is the full block, so the picture looks right on a dark background and negative on a light one. It survives
//!   a log file and a pipe.
//! - [`draw_in_grey`]: a cell is two pixels, one above the other: the upper half block in the grey of the upper pixel
//!   on a background in the grey of the lower one. It takes 24 shades of the 256-colour palette, a quarter of the room,
//!   and a terminal that understands escape sequences.
//!
//! A picture that is too large is shrunk, keeping its proportions; a small one is not enlarged.
//!
//! This file does not ask whether there is a terminal or how wide it is. Next to read: the training loop in
//! `train/mod.rs`.

use super::GrayImage;

/// From black to white. The full block covers all of its cell, the shades about a quarter, a half, three quarters.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// The palette's greys: 232 is nearly black, 255 nearly white.
const FIRST_GREY: usize = 232;
const GREYS: usize = 24;

/// The picture as plain text, at most `columns` wide (but no narrower than 2) and at most `columns` lines high. Every
/// line ends with a line break.
pub fn draw(image: &GrayImage, columns: usize) -> String {
    let image = fit(image, columns / 2, columns);
    // Two characters for each pixel, up to three bytes each.
    let mut text = String::with_capacity((image.width() * 6 + 1) * image.height());
    for row in image.pixels().chunks_exact(image.width()) {
        for &pixel in row {
            let shade = SHADES[level(pixel, SHADES.len())];
            text.extend([shade, shade]);
        }
        text.push('\n');
    }
    text
}

/// The picture in grey by escape sequences, at most `columns` wide (but no narrower than 1) and at most `columns` lines
/// high. Every line ends with a reset of the colours and a line break. Of an odd number of rows, the last has the
/// terminal's own background below it.
pub fn draw_in_grey(image: &GrayImage, columns: usize) -> String {
    let image = fit(image, columns, columns.saturating_mul(2));
    let mut text = String::new();
    for rows in image.pixels().chunks(image.width() * 2) {
        let (upper, lower) = rows.split_at(image.width());
        for (x, &pixel) in upper.iter().enumerate() {
            let foreground = FIRST_GREY + level(pixel, GREYS);
            text.push_str(&format!("\x1b[38;5;{foreground}"));
            if let Some(&pixel) = lower.get(x) {
                text.push_str(&format!(";48;5;{}", FIRST_GREY + level(pixel, GREYS)));
            }
            text.push_str("m▀");
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

/// Which of `count` levels stands nearest to a pixel. `as usize` turns NaN and what is below 0 into 0.
fn level(pixel: f32, count: usize) -> usize {
    let top = count - 1;
    ((pixel * top as f32).round() as usize).min(top)
}

/// The picture itself if it is at most `width` x `height`, else shrunk by the same factor in both directions.
fn fit(image: &GrayImage, width: usize, height: usize) -> GrayImage {
    let (w, h) = (image.width(), image.height());
    let factor = f64::min(width as f64 / w as f64, height as f64 / h as f64).min(1.0);
    let scaled = |side: usize| ((side as f64 * factor).round() as usize).clamp(1, side);
    image.resized(scaled(w), scaled(h))
}
