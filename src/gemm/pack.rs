//! Packing: copying a block of A or B into the order in which the micro-kernel reads it.
//!
//! The kernel advances a tile of MR rows by NR columns one step of k at a time; for each it wants MR numbers of A and
//! NR numbers of B that lie side by side. So a *panel* holds `width` rows of A (or columns of B), k after k:
//!
//! ```text
//! panel[k * width + i] = A[first + i][k]        zero where first + i is behind the last row
//! ```
//!
//! Packing reads through strides, so transposed, sliced and broadcast operands cost nothing extra, and anything that
//! can fill a panel can be multiplied: convolution packs its patches straight from the image (`ops/conv2d/im2col.rs`), and the
//! big matrix of patches never exists.
//!
//! Zeros behind the last row let every tile be a full one. A zero row adds garbage only to elements that are never
//! stored.

use std::ops::Range;

use super::{Matrix, MatrixMut};
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// One side of a product, as panels: A by its rows, B by its columns.
pub trait Panels: Sync {
    /// Rows of A, or columns of B.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of k.
    fn depth(&self) -> usize;

    /// Fills `panel` (`depth.len() * width` elements) with the rows `first..first + width` over `depth`, and with zeros
    /// for rows behind the last. `isa` is there to copy with; mark it `#[inline(always)]`.
    fn pack<I: Isa>(&self, isa: I, first: usize, width: usize, depth: Range<usize>, panel: &mut [f32]);

    /// The panel, if it lies packed for this width already.
    #[inline(always)]
    fn packed(&self, _first: usize, _width: usize, _depth: &Range<usize>) -> Option<&[f32]> {
        None
    }

    /// The width for which everything lies packed already, if so.
    fn packed_width(&self) -> Option<usize> {
        None
    }
}

impl Panels for Matrix<'_> {
    fn len(&self) -> usize {
        self.rows()
    }

    fn depth(&self) -> usize {
        self.cols()
    }

    #[inline(always)]
    fn pack<I: Isa>(&self, isa: I, first: usize, width: usize, depth: Range<usize>, panel: &mut [f32]) {
        let rows = width.min(self.rows() - first);
        let (row_stride, depth_stride) = self.strides();
        if depth.is_empty() {
            return;
        }
        if rows < width {
            panel.fill(0.0);
        }
        if row_stride == 1 {
            // Neighbouring rows lie side by side already: copy them a step of k at a time.
            for (k, step) in depth.zip(panel.chunks_exact_mut(width)) {
                copy(isa, &self.from(first, k)[..rows], &mut step[..rows]);
            }
        } else if depth_stride == 1 {
            // Each row lies along k: a transpose, sixteen rows by sixteen steps at a time.
            for column in (0..rows).step_by(LANES) {
                for from in (0..depth.len()).step_by(LANES) {
                    let steps = LANES.min(depth.len() - from);
                    let mut block = [isa.splat(0.0); LANES];
                    for (i, row) in block[..LANES.min(rows - column)].iter_mut().enumerate() {
                        let row_from = self.from(first + column + i, depth.start + from);
                        *row = match row_from.first_chunk() {
                            Some(chunk) => isa.load(chunk),
                            None => isa.load_partial(&row_from[..steps], 0.0),
                        };
                    }
                    for (i, step) in I::F32::transpose(block)[..steps].iter().enumerate() {
                        let at = (from + i) * width + column;
                        let fits = LANES.min(width - column);
                        // A narrow panel is written beyond its step, and the step after it then over that.
                        match panel[at..].first_chunk_mut::<LANES>() {
                            Some(to) if fits == LANES || width < LANES => step.store(to),
                            _ => step.store_partial(&mut panel[at..][..fits]),
                        }
                    }
                }
            }
        } else {
            for (k, step) in depth.zip(panel.chunks_exact_mut(width)) {
                let column = self.from(first, k);
                for (i, to) in step[..rows].iter_mut().enumerate() {
                    *to = column[i * row_stride];
                }
            }
        }
    }
}

/// Copies a short run with vectors; `copy_from_slice` would call a function for each.
#[inline(always)]
fn copy<I: Isa>(isa: I, from: &[f32], to: &mut [f32]) {
    let (from_full, from_rest) = from.as_chunks::<LANES>();
    let (to_full, to_rest) = to.as_chunks_mut::<LANES>();
    for (from, to) in from_full.iter().zip(to_full) {
        isa.load(from).store(to);
    }
    for (from, to) in from_rest.iter().zip(to_rest) {
        *to = *from;
    }
}

/// `to[j][i] = from[i][j]`, for rows that lie contiguously in `from` and are at least as long as `to` has rows.
///
/// # Panics
/// When they are not.
#[track_caller]
pub fn transpose(from: Matrix, to: MatrixMut) {
    struct Transpose<'a>(Matrix<'a>, MatrixMut<'a>);
    impl Kernel for Transpose<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            let Transpose(from, mut to) = self;
            let (rows, columns) = (to.cols(), to.rows());
            // Sixteen rows are written from begin to end.
            for j in (0..columns).step_by(LANES) {
                let width = LANES.min(columns - j);
                for i in (0..rows).step_by(LANES) {
                    let height = LANES.min(rows - i);
                    let mut block = [isa.splat(0.0); LANES];
                    for (row, vector) in block[..height].iter_mut().enumerate() {
                        let from = from.from(i + row, j);
                        *vector = match from.first_chunk() {
                            Some(chunk) => isa.load(chunk),
                            None => isa.load_partial(from, 0.0),
                        };
                    }
                    for (column, vector) in I::F32::transpose(block)[..width].iter().enumerate() {
                        let to = &mut to.row_mut(j + column)[i..i + height];
                        match to.first_chunk_mut::<LANES>() {
                            Some(to) => vector.store(to),
                            None => vector.store_partial(to),
                        }
                    }
                }
            }
        }
    }
    let steps = from.strides().1;
    assert!(
        from.rows() == to.cols() && from.cols() >= to.rows() && steps == 1,
        "transpose: [{}, {}] into [{}, {}] needs as many rows as there are columns, as long, and steps of 1 in a row, got {steps}",
        from.rows(),
        from.cols(),
        to.rows(),
        to.cols()
    );
    dispatch(Transpose(from, to));
}

/// An A that lies packed already: for weights that meet many images, packed once by [`pack_left`].
pub struct Packed<'a> {
    panels: &'a [f32],
    len: usize,
    depth: usize,
    width: usize,
}

impl<'a> Packed<'a> {
    /// Elements needed to pack a matrix of `len` rows and `depth` columns.
    pub fn size(len: usize, depth: usize, width: usize) -> usize {
        len.next_multiple_of(width) * depth
    }

    /// What [`pack_left`] has written to `panels`.
    ///
    /// # Panics
    /// When `panels` has another size.
    #[track_caller]
    pub fn of(panels: &'a [f32], len: usize, depth: usize, width: usize) -> Packed<'a> {
        check_packed("Packed::of", panels.len(), (len, depth), width);
        Packed { panels, len, depth, width }
    }
}

#[track_caller]
fn check_packed(op: &str, got: usize, (len, depth): (usize, usize), width: usize) {
    let size = Packed::size(len, depth, width);
    assert!(size == got, "{op}: [{len}, {depth}] in tiles of {width} rows takes {size} elements, got {got}");
}

/// Packs all of A into `memory` ([`Packed::size`] elements) for tiles of `width` rows.
///
/// # Panics
/// When `memory` has another size.
#[track_caller]
pub fn pack_left(a: &impl Panels, width: usize, memory: &mut [f32]) {
    struct PackAll<'a, A>(&'a A, usize, &'a mut [f32]);
    impl<A: Panels> Kernel for PackAll<'_, A> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            let PackAll(a, width, memory) = self;
            let depth = a.depth();
            for (i, panel) in memory.chunks_exact_mut((width * depth).max(1)).enumerate() {
                a.pack(isa, i * width, width, 0..depth, panel);
            }
        }
    }
    check_packed("pack_left", memory.len(), (a.len(), a.depth()), width);
    dispatch(PackAll(a, width, memory));
}

impl Panels for Packed<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn depth(&self) -> usize {
        self.depth
    }

    fn pack<I: Isa>(&self, _: I, first: usize, width: usize, depth: Range<usize>, panel: &mut [f32]) {
        match self.packed(first, width, &depth) {
            Some(ready) => panel.copy_from_slice(ready),
            None => panic!("packed for tiles of {} rows, asked for {width}", self.width),
        }
    }

    #[inline(always)]
    fn packed(&self, first: usize, width: usize, depth: &Range<usize>) -> Option<&[f32]> {
        if width != self.width || !first.is_multiple_of(width) {
            return None;
        }
        let panel = &self.panels[first * self.depth..][..width * self.depth];
        Some(&panel[depth.start * width..depth.end * width])
    }

    fn packed_width(&self) -> Option<usize> {
        Some(self.width)
    }
}
