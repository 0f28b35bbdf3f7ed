//! A product that packs nothing of B: for one whose rows lie contiguously in memory already, wherever each begins.
//!
//! Packing pays where a packed number is used many times: once for each tile of rows of A. With six filters there is one such tile,
//! and packing would cost as much as multiplying. Where the rows of B are stretches of memory, the micro-kernel reads them where they
//! are. Only loops 2 and 1 of `blocked.rs` are left.
//!
//! Rows are named one by one, so they may overlap (each tap of a convolution sees the image moved by a place: im2col as a view,
//! `ops/conv2d/images_last.rs`), and some of A's columns may be left out (taps in the padding).

use super::pack::{Packed, Panels};
use super::tile::{self, Columns, Left, LeftPanel, LeftRows, Tile, Work};
use super::{Matrix, MatrixMut, Start};
use crate::simd::{Isa, Kernel, LANES, dispatch};

/// One step along k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The column of A.
    pub column: usize,
    /// Where in the memory of B its row begins.
    pub row: usize,
}

/// A right side given by its rows: step s multiplies a column of A by the row of B that begins at a place in memory.
pub trait Rows: Copy + Sync {
    /// The memory that the rows lie in.
    fn data(&self) -> &[f32];
    /// The number of steps.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// One step, in the order of the chain.
    fn step(&self, at: usize) -> Step;
}

/// Rows named one by one.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    /// The memory that the rows lie in.
    pub data: &'a [f32],
    /// The steps, in the order of the chain.
    pub steps: &'a [Step],
}

impl Rows for Listed<'_> {
    #[inline(always)]
    fn data(&self) -> &[f32] {
        self.data
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.steps.len()
    }

    #[inline(always)]
    fn step(&self, at: usize) -> Step {
        self.steps[at]
    }
}

/// The rows of a matrix in which the elements of a row are neighbours: the other side of every column of A.
impl Rows for Matrix<'_> {
    #[inline(always)]
    fn data(&self) -> &[f32] {
        self.from(0, 0)
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.rows()
    }

    #[inline(always)]
    fn step(&self, at: usize) -> Step {
        Step { column: at, row: at * self.strides().0 }
    }
}

/// C = A B on the calling thread, for an A that is packed.
///
/// # Panics
/// When A and C differ in their rows.
#[track_caller]
pub fn multiply_rows(start: Start, a: &Packed, b: impl Rows, c: MatrixMut) {
    assert!(a.len() == c.rows(), "multiply_rows: A has {} rows, C has {}", a.len(), c.rows());
    let panel = |i: usize, mr: usize| match a.packed(i, mr, &(0..a.depth())) {
        Some(panel) => LeftPanel(panel),
        None => unreachable!("packed for these tiles"),
    };
    dispatch(ByRows { start, height: a.packed_width(), a: panel, b, c });
}

/// C = A B on the calling thread, for an A whose rows lie contiguously, too, and of which nothing is packed: for a C so narrow that each
/// number of A is used in few tiles.
///
/// # Panics
/// When A and C differ in their rows, or a row of A has gaps.
#[track_caller]
pub fn multiply_unpacked(start: Start, a: Matrix, b: impl Rows, c: MatrixMut) {
    assert!(a.rows() == c.rows(), "multiply_unpacked: A has {} rows, C has {}", a.rows(), c.rows());
    assert!(
        a.strides().1 == 1,
        "multiply_unpacked: the rows of A must lie without gaps, got steps of {}",
        a.strides().1
    );
    dispatch(ByRows { start, height: None, a: |first: usize, _: usize| LeftRows { a, first }, b, c });
}

struct ByRows<'a, A, B> {
    start: Start<'a>,
    /// The height of the tiles that A is packed for, if it is.
    height: Option<usize>,
    /// The rows of A for a tile: from a row on, so many.
    a: A,
    b: B,
    c: MatrixMut<'a>,
}

impl<A: Fn(usize, usize) -> L, L: Left, B: Rows> Kernel for ByRows<'_, A, B> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let ByRows { start, height, a, b, mut c } = self;
        let (m, n) = (c.rows(), c.cols());
        let tile = Tile::choose(I::VECTORS, m, n, height);
        let (mr, nr) = (tile.mr, tile.nv * LANES);
        for j in (0..n).step_by(nr) {
            for i in (0..m).step_by(mr) {
                let (height, width) = (mr.min(m - i), nr.min(n - j));
                let start = start.block(i, j, height, width);
                let (a, c) = (a(i, mr), c.block(i, j, height, width));
                if width == nr {
                    tile::run(isa, tile, Work { a, b: Columns::<_, false> { rows: b, first: j }, c, start });
                } else {
                    tile::run(isa, tile, Work { a, b: Columns::<_, true> { rows: b, first: j }, c, start });
                }
            }
        }
    }
}
