//! A picture in another size, smooth in both directions.
//!
//! Along each axis a new pixel is a weighted mean of the old ones near its centre. The weights are a triangle: 1 at the
//! centre, falling to 0 at a distance of one *pixel of the coarser side*. To enlarge, that is linear interpolation
//! between two neighbours; to reduce by a factor of 10, the triangle is 20 old pixels wide, so that every old pixel
//! counts and a thin line does not vanish between the samples. At the edges the triangle is cut off and the rest of it
//! counts for the whole. It is what Pillow's `resize` does with `BILINEAR` (and PyTorch's `interpolate` with
//! `antialias=True`).
//!
//! This is no fast resampler: it is for a few pictures, one at a time. Next to read: `image/read.rs`.

use super::{GrayImage, MAX_PIXELS};
use std::ops::Range;

/// Where a new pixel comes from along one axis: old positions, and a weight for each. The weights' sum is 1.
struct Taps {
    range: Range<usize>,
    weights: Vec<f64>,
}

/// The taps of new pixel `i` of `new` out of `old`.
fn taps(i: usize, old: usize, new: usize) -> Taps {
    let scale = old as f64 / new as f64;
    let reach = scale.max(1.0);
    // Pixel `p` covers p to p + 1, so its centre is at p + 0.5.
    let center = (i as f64 + 0.5) * scale;
    // `as usize` turns what is below 0 into 0.
    let first = (center - reach + 0.5) as usize;
    let end = ((center + reach + 0.5) as usize).min(old);
    let triangle = |p: usize| (1.0 - ((p as f64 + 0.5 - center) / reach).abs()).max(0.0);
    let sum: f64 = (first..end).map(triangle).sum();
    Taps { range: first..end, weights: (first..end).map(|p| triangle(p) / sum).collect() }
}

impl GrayImage {
    /// The same picture with `width` columns and `height` rows: linear interpolation where it grows, weighted means of
    /// all that is covered where it shrinks, as Pillow's `resize` with `BILINEAR`. Proportions are not kept.
    ///
    /// # Panics
    /// If the new size is 0 in either direction, or more than 2^28 pixels.
    ///
    /// ```
    /// use tapegrad::image::GrayImage;
    ///
    /// let step = GrayImage::new(2, 1, vec![0.0, 1.0]);
    /// assert_eq!(step.resized(4, 1).pixels(), [0.0, 0.25, 0.75, 1.0]);
    /// assert_eq!(step.resized(1, 3).pixels(), [0.5, 0.5, 0.5]);
    /// ```
    #[track_caller]
    pub fn resized(&self, width: usize, height: usize) -> GrayImage {
        let pixels = width.checked_mul(height);
        assert!(
            pixels.is_some_and(|pixels| (1..=MAX_PIXELS).contains(&pixels)),
            "resized: expected 1 x 1 or more, and at most {MAX_PIXELS} pixels, got {width} x {height}"
        );
        // Also the same picture to the bit: a weight of 0 would still let NaN and infinity in.
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let columns: Vec<Taps> = (0..width).map(|x| taps(x, self.width, width)).collect();
        let mut pixels = Vec::with_capacity(width * height);
        // Rows first, into one row of full precision: so there is never a second picture in memory.
        let mut row = vec![0.0; self.width];
        for y in 0..height {
            let rows = taps(y, self.height, height);
            row.fill(0.0);
            for (old, weight) in
                self.pixels.chunks_exact(self.width).skip(rows.range.start).zip(&rows.weights)
            {
                for (sum, &pixel) in row.iter_mut().zip(old) {
                    *sum += weight * f64::from(pixel);
                }
            }
            pixels.extend(columns.iter().map(|taps| {
                let old = &row[taps.range.clone()];
                old.iter().zip(&taps.weights).map(|(sum, weight)| sum * weight).sum::<f64>() as f32
            }));
        }
        GrayImage { width, height, pixels }
    }
}
