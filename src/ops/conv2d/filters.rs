//! Convolution with the filters side by side in the lanes: for many filters.
//!
//! A pixel of the output is a row of a product, one number for each filter, and its left side is the window that it sees, read where it lies
//! in the image. So nothing is packed but the weights, strides cost nothing, and pixels of any rows and images fill a tile together:
//!
//! ```text
//! y[p][o]  = bias[o] + Σ_q x[base(p) + offset(q)] · W[o, q]            q = (channel, i, j)
//! dx[p][c] = Σ_r dy[base(p) + offset(r)] · W[o, c, i, j]               r = (o, i, j)
//! ```
//!
//! Both are one job, [`Gather`]: all that differs is what a pixel looks at, and the weights. Nothing is padded: pixels that look at the same
//! taps are of one class and are worked on together, over these taps alone. With images of 7 by 7 and filters of 3 by 3 that is a fifth less
//! work. Behind a stride, the pixels of dx fall into classes just so.
//!
//! A task's pixels are put in order at its end: a transpose in the cache, of one number for as many multiply-adds as there are taps.
//!
//! What this is not: for fewer filters than a vector has lanes, whose lanes would be empty; see [`pays`]. Next: `filters_weight.rs`.

use std::ops::Range;

use super::sizes::{Order, Sizes};
use crate::Tensor;
use crate::gemm::{
    Listed, Matrix, MatrixMut, Place, Start, Step, Tile, multiply_places, pack_left, tile_for, transpose,
};
use crate::ops::images_last::FROM;
use crate::ops::window::{Axis, Pair, Seen};
use crate::parallel::{self, Chunks, Scratch};
use crate::simd::LANES;

/// Steps of the sum after which the next pixels take their turn: the weights of a tile, 128 KiB for 64 filters, stay in the second-level
/// cache.
const STEPS: usize = 512;
/// Into how many tasks the work is cut at least, where there is enough.
const TASKS: usize = 16;
/// Numbers that a task puts out, at most: 256 KiB, for the second-level cache.
const OUTPUTS: usize = 1 << 16;
/// Weights that every task may well read: half a mebibyte.
const WEIGHTS: usize = 1 << 17;

/// With more weights than this, 256 KiB, they would leave the second-level cache where they are read once for every few vectors of the
/// output, which is the other way for many images.
const MANY_WEIGHTS: usize = 64 << 10;

/// For few images, fewer multiply-adds than this, some ten microseconds, are not worth the preparations.
const LEAST: u64 = 1 << 20;

/// Whether this way is taken: for two vectors of filters, or one where there are few images.
pub(super) fn pays(sizes: &Sizes) -> bool {
    let Sizes { n, oc, ref grid, .. } = *sizes;
    if n >= FROM {
        return grid.taps() > 0 && (oc >= 2 * LANES || oc * grid.taps() > MANY_WEIGHTS);
    }
    let work: u64 = [n, grid.positions(), oc, grid.taps()].iter().map(|&size| size as u64).product();
    oc >= LANES && work >= LEAST
}

/// y = bias + W · windows, in the order of memory that `x` has.
pub(super) fn forward(x: &[f32], weight: &Tensor, bias: Option<&Tensor>, sizes: &Sizes, y: &mut [f32]) {
    let Sizes { n, c, oc, ref window, image, ref grid, .. } = *sizes;
    let looks = |axis: Axis, size: usize, outputs: usize| {
        let of = |o| axis.taps(o, size).map(|tap| Look { tap, at: axis.place(o, tap) }).collect();
        Looks::new((0..outputs).map(of))
    };
    let (taps, tile) = (grid.taps(), tile_for(n * grid.positions(), oc));
    let job = Gather {
        sizes,
        tile,
        inputs: c,
        outputs: oc,
        from_size: image,
        rows: looks(window.rows(), image.h, grid.output.h),
        columns: looks(window.columns(), image.w, grid.output.w),
        bias: bias.map(Tensor::data),
    };
    job.run(x, y, |group, first, panel| {
        let filters = Matrix::new(&weight.data()[group * oc * taps..][..oc * taps], oc, taps);
        let count = tile.columns().min(oc - first);
        pack_left(&filters.rows_from(first, count), tile.columns(), panel);
    });
}

/// dx, in the order of memory that `dy` has.
pub(super) fn backward_input(dy: &[f32], weight: &Tensor, sizes: &Sizes, dx: &mut [f32]) {
    let Sizes { n, c, oc, ref window, image, ref grid, .. } = *sizes;
    let looks = |axis: Axis, size: usize, outputs: usize| {
        let look = |seen: Seen| Look { tap: seen.tap, at: seen.window };
        // Backwards, so that windows come in the order of memory.
        let of = |place| axis.seen(place, outputs).rev().map(look).collect();
        Looks::new((0..size).map(of))
    };
    let (places, tile) = (window.kernel.h * window.kernel.w, tile_for(n * image.h * image.w, c));
    let job = Gather {
        sizes,
        tile,
        inputs: oc,
        outputs: c,
        from_size: grid.output,
        rows: looks(window.rows(), image.h, grid.output.h),
        columns: looks(window.columns(), image.w, grid.output.w),
        bias: None,
    };
    job.run(dy, dx, |group, first, panel| {
        let count = tile.columns().min(c - first);
        let filters = &weight.data()[group * oc * c * places..][..oc * c * places];
        for (filter, panel) in
            filters.chunks_exact(c * places).zip(panel.chunks_exact_mut(places * tile.columns()))
        {
            pack_left(&Matrix::new(filter, c, places).rows_from(first, count), tile.columns(), panel);
        }
    });
}

/// One tap along an axis, and the place that it looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    tap: usize,
    at: usize,
}

/// What the pixels along an axis look at.
struct Looks {
    /// Every pattern of looks that there is, places counted from the first.
    classes: Vec<Vec<Look>>,
    /// The pixels: each with its class and the first place that it looks at.
    pixels: Vec<(usize, usize)>,
}

impl Looks {
    fn new(pixels: impl Iterator<Item = Vec<Look>>) -> Looks {
        let mut classes: Vec<Vec<Look>> = Vec::new();
        let sort = |mut looks: Vec<Look>| {
            let first = looks.first().map_or(0, |look| look.at);
            for look in &mut looks {
                look.at -= first;
            }
            let class = classes.iter().position(|class| *class == looks).unwrap_or_else(|| {
                classes.push(looks);
                classes.len() - 1
            });
            (class, first)
        };
        let pixels = pixels.map(sort).collect();
        Looks { classes, pixels }
    }
}

/// What is the same for both directions.
struct Gather<'a> {
    sizes: &'a Sizes,
    tile: Tile,
    /// Channels of one group that are summed over.
    inputs: usize,
    /// Channels of one group that come out.
    outputs: usize,
    /// The size of the images that are summed over.
    from_size: Pair,
    rows: Looks,
    columns: Looks,
    bias: Option<&'a [f32]>,
}

impl Gather<'_> {
    /// `pack` writes the weights of a group for a tile's outputs from one on.
    fn run(&self, from: &[f32], to: &mut [f32], pack: impl Fn(usize, usize, &mut [f32]) + Sync) {
        let Gather { sizes, tile, inputs, outputs, from_size, bias, .. } = *self;
        let Sizes { groups, ref window, .. } = *sizes;
        let Order { batches, images } = sizes.order();
        let pixels = self.rows.pixels.len() * self.columns.pixels.len();
        let kernel = window.kernel.h * window.kernel.w;
        let depth = inputs * kernel;
        let panels = outputs.div_ceil(tile.columns());
        let panel_size = depth * tile.columns();
        let mut packed = Scratch::new(groups * panels * panel_size);
        parallel::for_each_part(Chunks::new(&mut packed, panel_size.max(1)), |at, panel| {
            pack(at / panels, at % panels * tile.columns(), panel);
        });
        let packed = &packed[..];

        let at_once = (STEPS / kernel).clamp(1, inputs);
        let steps = self.steps(at_once, images);
        // A task is some pixels of one image or of all images of a batch, and all outputs or, where the weights are many, some.
        let panels_at_once = panels.div_ceil(outputs * depth / WEIGHTS + 1);
        let width = panels_at_once * tile.columns();
        let least = TASKS.div_ceil(batches * groups * panels.div_ceil(panels_at_once));
        let band = pixels.div_ceil(least).min(OUTPUTS / (width * images)).max(1);
        let (across, down) = (pixels.div_ceil(band), outputs.div_ceil(width));
        let to = MatrixMut::new(to, batches * groups * outputs, pixels * images);
        parallel::for_each_part(to.split_cells(outputs, width, band * images), |task, to| {
            let (pixel, output, at) =
                (task % across * band, task / across % down * width, task / across / down);
            let from = &from[at * inputs * from_size.h * from_size.w * images..];
            let rows = to.cols();
            let mut scratch = Scratch::new(rows * width);
            let places = self.places(pixel..pixel + rows / images, images);
            for first in (0..inputs).step_by(at_once) {
                let from = &from[first * from_size.h * from_size.w * images..];
                let here = at_once.min(inputs - first);
                for (places, steps) in places.iter().zip(&steps) {
                    let steps = &steps[..steps.len() / at_once * here];
                    for column in (0..width.min(outputs - output)).step_by(tile.columns()) {
                        let (group, output) = (at % groups, output + column);
                        let panel = group * panels + output / tile.columns();
                        let weights = &packed[panel * panel_size..][..panel_size];
                        let weights = Listed { data: &weights[first * kernel * tile.columns()..], steps };
                        let start = match bias {
                            _ if first > 0 => Start::Accumulate,
                            Some(bias) => {
                                let count = tile.columns().min(outputs - output);
                                Start::PerColumn(&bias[group * outputs + output..][..count])
                            }
                            None => Start::Zero,
                        };
                        let mut c = MatrixMut::new(&mut scratch, rows, width);
                        let c = c.block(0, column, rows, tile.columns());
                        multiply_places(start, tile, from, places, weights, c);
                    }
                }
            }
            transpose(Matrix::new(&scratch, rows, width), to);
        });
    }

    /// Where the pixels look, by class.
    fn places(&self, pixels: Range<usize>, images: usize) -> Vec<Vec<Place>> {
        let Gather { rows, columns, from_size, .. } = self;
        let mut places = vec![Vec::new(); rows.classes.len() * columns.classes.len()];
        let wide = columns.pixels.len();
        let (mut row, mut to) = (pixels.start / wide, 0);
        while row * wide < pixels.end {
            let (row_class, y) = rows.pixels[row];
            let first = pixels.start.max(row * wide) - row * wide;
            let last = pixels.end.min((row + 1) * wide) - row * wide;
            for &(column_class, x) in &columns.pixels[first..last] {
                let from = (y * from_size.w + x) * images;
                let place = |image| Place { from: from + image, to: to + image };
                places[row_class * columns.classes.len() + column_class].extend((0..images).map(place));
                to += images;
            }
            row += 1;
        }
        places
    }

    /// What the pixels of every class look at in some channels, and the weights that belong to it.
    fn steps(&self, channels: usize, images: usize) -> Vec<Vec<Step>> {
        let Gather { sizes, rows, columns, from_size, tile, .. } = self;
        let kernel = sizes.window.kernel;
        let mut classes = Vec::new();
        for row_class in &rows.classes {
            for column_class in &columns.classes {
                let mut steps = Vec::with_capacity(channels * row_class.len() * column_class.len());
                for channel in 0..channels {
                    for row in row_class {
                        for column in column_class {
                            let place = (channel * from_size.h + row.at) * from_size.w + column.at;
                            let tap = (channel * kernel.h + row.tap) * kernel.w + column.tap;
                            steps.push(Step { column: place * images, row: tap * tile.columns() });
                        }
                    }
                }
                classes.push(steps);
            }
        }
        classes
    }
}
