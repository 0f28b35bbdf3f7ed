//! Grey pictures: in from a PGM file, out to a PNG file or to the terminal.
//!
//! The engine computes on tensors; here a picture is only something to look at: a [`GrayImage`] of numbers from 0
//! (black) to 1 (white). Whatever has width, height and a slice of `f32` can become one.
//!
//! - `pgm` reads a picture of one's own, `terminal` draws one with block characters, `png` writes one to a file.
//!
//! There is no colour, no transparency, no gamma here. Next to read: `image/pgm.rs`.

pub mod pgm;

pub mod terminal;

pub mod png;

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

    /// The same picture with fewer columns and rows; each new pixel is the mean of the old ones that it covers.
    ///
    /// # Panics
    /// If the new size is larger in either direction, or 0.
    #[track_caller]
    pub fn shrunk(&self, width: usize, height: usize) -> GrayImage {
        assert!(
            (1..=self.width).contains(&width) && (1..=self.height).contains(&height),
            "shrunk: expected 1 x 1 to {} x {}, got {width} x {height}",
            self.width,
            self.height
        );
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            // Old rows y0..y1: never none, because there are at least as many old rows as new ones.
            let (y0, y1) = (y * self.height / height, (y + 1) * self.height / height);
            for x in 0..width {
                let (x0, x1) = (x * self.width / width, (x + 1) * self.width / width);
                let rows = self.pixels.chunks_exact(self.width).take(y1).skip(y0);
                let sum: f64 = rows.flat_map(|row| &row[x0..x1]).map(|&pixel| f64::from(pixel)).sum();
                pixels.push((sum / ((y1 - y0) * (x1 - x0)) as f64) as f32);
            }
        }
        GrayImage { width, height, pixels }
    }
}

#[track_caller]
fn check_size(width: usize, height: usize, got: usize) {
    assert!(
        got > 0 && width.checked_mul(height) == Some(got),
        "GrayImage: a width of {width} and a height of {height} need width x height pixels, at least one; got {got}"
    );
}
