//! Grey pictures: in from a PGM or PNG file, out to a PNG file or to the terminal.
//!
//! The engine computes on tensors; here a picture is only something to look at: a [`GrayImage`] of numbers from 0
//! (black) to 1 (white). Whatever has width, height and a slice of `f32` can become one.
//!
//! - [`read()`] reads a picture of one's own, in a format that [`pgm`] or [`png`] knows; [`GrayImage::resized`] brings
//!   it to the size that a net wants.
//! - [`png::write`] writes a picture to a file, [`terminal`] draws one with block characters.
//!
//! There is no transparency and no gamma here, and colour is turned into grey while it is read. Next to read:
//! `image/resize.rs`.

mod resize;

mod read;

pub mod pgm;

pub mod png;

pub mod terminal;

pub use read::read;

/// Larger pictures are not made: 16,384 on a side, and a gigabyte as numbers.
const MAX_PIXELS: usize = 1 << 28;

/// A grey picture: `height` rows of `width` numbers, nominally from 0 (black) to 1 (white).
///
/// Numbers outside that range are allowed and are drawn as the nearer end; NaN is drawn black.
///
/// ```
/// use tapegrad::image::{GrayImage, terminal};
///
/// let edge = GrayImage::stretched(4, 1, &[-1.0, 0.0, 0.0, 1.0]);
/// assert_eq!(edge.pixels(), [0.0, 0.5, 0.5, 1.0]);
/// assert_eq!(terminal::draw(&edge, 80), "  ▒▒▒▒██\n");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GrayImage {
    width: usize,
    height: usize,
    pixels: Vec<f32>,
}

impl GrayImage {
    /// A picture from its numbers, row by row.
    ///
    /// # Panics
    /// If there is no pixel or `pixels` has not exactly `width * height` elements.
    #[track_caller]
    pub fn new(width: usize, height: usize, pixels: Vec<f32>) -> GrayImage {
        check_size(width, height, pixels.len());
        GrayImage { width, height, pixels }
    }

    /// A picture from bytes, each divided by 255.
    ///
    /// # Panics
    /// If there is no pixel or `bytes` has not exactly `width * height` elements.
    #[track_caller]
    pub fn from_bytes(width: usize, height: usize, bytes: &[u8]) -> GrayImage {
        check_size(width, height, bytes.len());
        GrayImage { width, height, pixels: bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect() }
    }

    /// A picture from numbers of any range: the smallest becomes black, the largest white, the others keep their place
    /// between. If all are the same, the picture is black. Infinities and NaN do not count; NaN becomes black.
    ///
    /// # Panics
    /// If there is no pixel or `values` has not exactly `width * height` elements.
    #[track_caller]
    pub fn stretched(width: usize, height: usize, values: &[f32]) -> GrayImage {
        check_size(width, height, values.len());
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let low = finite().fold(f32::INFINITY, f32::min);
        let high = finite().fold(f32::NEG_INFINITY, f32::max);
        // In f64 no difference of two finite f32 overflows.
        let (low, range) = (f64::from(low), f64::from(high) - f64::from(low));
        let scale = |&value: &f32| {
            let part = (f64::from(value) - low) / range;
            // A range of 0 gives NaN here, which is black like any other NaN.
            if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) as f32 }
        };
        GrayImage { width, height, pixels: values.iter().map(scale).collect() }
    }

    /// The number of columns, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of rows, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The numbers, row by row.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// The numbers as bytes, 0 for black to 255 for white, each rounded to the nearest.
    pub fn to_bytes(&self) -> Vec<u8> {
        // `as u8` holds values outside 0 to 255 at the nearer end and turns NaN into 0.
        self.pixels.iter().map(|&pixel| (pixel * 255.0).round() as u8).collect()
    }
}

#[track_caller]
fn check_size(width: usize, height: usize, got: usize) {
    assert!(
        got > 0 && width.checked_mul(height) == Some(got),
        "GrayImage: a width of {width} and a height of {height} need width x height pixels, at least one; got {got}"
    );
}
