//! The micro-kernel: a tile of C held in registers while k runs by.
//!
//! One step of k reads MR numbers of A and NR of B and does MR × NR multiply-adds, so the larger the tile, the less is
//! loaded per arithmetic operation. With `NV = NR / 16` vectors to a row of the tile, it occupies
//!
//! ```text
//! MR · NV (C)  +  NV (B)  +  1 (a broadcast of A)   of the registers' VECTORS, counted in vectors of sixteen
//!
//! AVX-512: 32 vectors of one register     6×64: 24 + 4 + 1 = 29     8×48: 24 + 3 + 1 = 28     14×32: 28 + 2 + 1 = 31
//! AVX2:     8 vectors of two registers     6×16:  6 + 1 + 1 =  8
//! NEON:     8 vectors of four registers    6×16:  6 + 1 + 1 =  8
//! ```
//!
//! Two units that take a new fused multiply-add every cycle and finish it after four want eight independent chains in
//! flight: each of these tiles has at least twelve registers of them, and
//! the smallest, for small matrices, eight.

use super::rows::Rows;
use super::{Matrix, MatrixMut, Start};
use crate::simd::{Isa, LANES, Lanes};

/// The height of a tile in rows and its width in vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    pub(super) mr: usize,
    pub(super) nv: usize,
}

/// Tiles for CPUs whose registers hold 32 vectors of sixteen, the one with the fewest loads per multiply-add first (10 for 24, 11
/// for 24, 16 for 28); then those that fit small matrices.
const WIDE: &[Tile] = &[
    Tile { mr: 6, nv: 4 },
    Tile { mr: 8, nv: 3 },
    Tile { mr: 14, nv: 2 },
    Tile { mr: 8, nv: 2 },
    Tile { mr: 16, nv: 1 },
    Tile { mr: 14, nv: 1 },
    Tile { mr: 6, nv: 2 },
    Tile { mr: 8, nv: 1 },
];

/// The tile for CPUs whose registers hold 8 vectors of sixteen.
const NARROW: &[Tile] = &[Tile { mr: 6, nv: 1 }];

impl Tile {
    /// The tile that takes the least time for a C of m rows and n columns; `mr`, if given, is fixed by packing done before.
    pub(super) fn choose(vectors: usize, m: usize, n: usize, mr: Option<usize>) -> Tile {
        let tiles = if vectors >= 32 { WIDE } else { NARROW };
        // Tiles, times what a step of k takes in one: a load counts as a quarter of a multiply-add.
        let cost =
            |&&Tile { mr, nv }: &&Tile| m.div_ceil(mr) * n.div_ceil(nv * LANES) * (4 * mr * nv + mr + nv);
        let fitting = tiles.iter().filter(|tile| mr.is_none_or(|mr| mr == tile.mr));
        match fitting.min_by_key(cost) {
            Some(tile) => *tile,
            None => panic!("no tile has {mr:?} rows"),
        }
    }
}

/// Where the micro-kernel reads A: MR rows.
pub(super) trait Left: Copy {
    /// The rows of one tile.
    type Tile<const MR: usize>: Factors;
    /// The rows, for a tile of this height.
    fn tile<const MR: usize>(self) -> Self::Tile<MR>;
}

/// The rows of A that meet a tile.
pub(super) trait Factors {
    /// The number of columns.
    fn columns(&self) -> usize;
    /// The number in row `i`.
    fn factor(&self, i: usize, column: usize) -> f32;
}

/// A panel of a packed A: MR numbers for each column.
#[derive(Clone, Copy)]
pub(super) struct LeftPanel<'a>(pub &'a [f32]);

impl<'a> Left for LeftPanel<'a> {
    type Tile<const MR: usize> = &'a [[f32; MR]];

    #[inline(always)]
    fn tile<const MR: usize>(self) -> &'a [[f32; MR]] {
        self.0.as_chunks().0
    }
}

impl<const MR: usize> Factors for &[[f32; MR]] {
    #[inline(always)]
    fn columns(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn factor(&self, i: usize, column: usize) -> f32 {
        self[column][i]
    }
}

/// The rows of an A that is read where it lies, from row `first` on. Behind the last, it is read again and not stored.
#[derive(Clone, Copy)]
pub(super) struct LeftRows<'a> {
    pub a: Matrix<'a>,
    pub first: usize,
}

impl<'a> Left for LeftRows<'a> {
    type Tile<const MR: usize> = [&'a [f32]; MR];

    #[inline(always)]
    fn tile<const MR: usize>(self) -> [&'a [f32]; MR] {
        let (last, columns) = (self.a.rows() - 1, self.a.cols());
        let mut rows = [&self.a.from(0, 0)[..columns]; MR];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = &self.a.from((self.first + i).min(last), 0)[..columns];
        }
        rows
    }
}

impl<const MR: usize> Factors for [&[f32]; MR] {
    #[inline(always)]
    fn columns(&self) -> usize {
        self[0].len()
    }

    #[inline(always)]
    fn factor(&self, i: usize, column: usize) -> f32 {
        self[i][column]
    }
}

/// Where the micro-kernel reads B: `NV` vectors for each step of k.
pub(super) trait Right: Copy {
    /// The number of steps, given how many columns the panel of A has.
    fn steps(&self, columns: usize) -> usize;
    /// The column of A that a step multiplies by.
    fn column(&self, step: usize) -> usize;
    /// A step's row of B, at the columns of this tile.
    fn vectors<I: Isa, const NV: usize>(&self, isa: I, step: usize) -> [I::F32; NV];
}

/// A panel of a packed B: step after step.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a>(pub &'a [f32]);

impl Right for Panel<'_> {
    #[inline(always)]
    fn steps(&self, columns: usize) -> usize {
        columns
    }

    #[inline(always)]
    fn column(&self, step: usize) -> usize {
        step
    }

    #[inline(always)]
    fn vectors<I: Isa, const NV: usize>(&self, isa: I, step: usize) -> [I::F32; NV] {
        load(isa, &self.0.as_chunks::<LANES>().0.as_chunks::<NV>().0[step])
    }
}

/// Columns from `first` on of a B whose rows lie in memory already, as many as the tile is wide, or, if `IS_LAST`, fewer.
#[derive(Clone, Copy)]
pub(super) struct Columns<B, const IS_LAST: bool> {
    pub rows: B,
    pub first: usize,
}

impl<B: Rows, const IS_LAST: bool> Right for Columns<B, IS_LAST> {
    #[inline(always)]
    fn steps(&self, _: usize) -> usize {
        self.rows.len()
    }

    #[inline(always)]
    fn column(&self, step: usize) -> usize {
        self.rows.step(step).column
    }

    /// The last tile may be wider than what is left of a row. It reads on behind, into columns that are not stored, and zeros where memory
    /// ends there.
    #[inline(always)]
    fn vectors<I: Isa, const NV: usize>(&self, isa: I, step: usize) -> [I::F32; NV] {
        let from = &self.rows.data()[self.rows.step(step).row + self.first..];
        if IS_LAST && from.len() < NV * LANES {
            let mut vectors = [isa.splat(0.0); NV];
            for j in 0..NV {
                vectors[j] = isa.load_partial(part(from, j), 0.0);
            }
            return vectors;
        }
        load(isa, &from[..NV * LANES].as_chunks::<LANES>().0.as_chunks::<NV>().0[0])
    }
}

#[inline(always)]
fn load<I: Isa, const NV: usize>(isa: I, from: &[[f32; LANES]; NV]) -> [I::F32; NV] {
    let mut vectors = [isa.splat(0.0); NV];
    for j in 0..NV {
        vectors[j] = isa.load(&from[j]);
    }
    vectors
}

/// Where the micro-kernel writes C: some rows, at most mr, each at most nr wide.
pub(super) trait Target {
    fn rows(&self) -> usize;
    fn cols(&self) -> usize;
    fn row_mut(&mut self, i: usize) -> &mut [f32];
}

impl Target for MatrixMut<'_> {
    #[inline(always)]
    fn rows(&self) -> usize {
        self.rows()
    }

    #[inline(always)]
    fn cols(&self) -> usize {
        self.cols()
    }

    #[inline(always)]
    fn row_mut(&mut self, i: usize) -> &mut [f32] {
        self.row_mut(i)
    }
}

/// What one call of the micro-kernel works on.
pub(super) struct Work<'a, A, B, C> {
    /// A, at the rows of this tile.
    pub a: A,
    /// B, at the columns of this tile.
    pub b: B,
    /// The tile of C, at most mr × nr.
    pub c: C,
    /// Where the chains start; biases are those of this tile.
    pub start: Start<'a>,
}

/// Runs the micro-kernel of the given size.
#[inline(always)]
pub(super) fn run<I: Isa>(isa: I, tile: Tile, work: Work<impl Left, impl Right, impl Target>) {
    // `I::VECTORS` is known at compile time, so only the fitting arms are compiled for each instruction set.
    if I::VECTORS >= 32 {
        match (tile.mr, tile.nv) {
            (6, 4) => advance::<I, _, _, _, 6, 4>(isa, work),
            (8, 3) => advance::<I, _, _, _, 8, 3>(isa, work),
            (14, 2) => advance::<I, _, _, _, 14, 2>(isa, work),
            (8, 2) => advance::<I, _, _, _, 8, 2>(isa, work),
            (16, 1) => advance::<I, _, _, _, 16, 1>(isa, work),
            (14, 1) => advance::<I, _, _, _, 14, 1>(isa, work),
            (6, 2) => advance::<I, _, _, _, 6, 2>(isa, work),
            (8, 1) => advance::<I, _, _, _, 8, 1>(isa, work),
            other => unreachable!("no kernel for tile {other:?}"),
        }
    } else {
        advance::<I, _, _, _, 6, 1>(isa, work);
    }
}

// The sums stay in registers only if every index into them is known at compile time: no loop over `sums` may end
// at run time. Rows behind the last are therefore skipped one by one, and so are numbers behind the right edge of C.
#[inline(always)]
fn advance<I: Isa, A: Left, B: Right, C: Target, const MR: usize, const NV: usize>(
    isa: I,
    mut work: Work<A, B, C>,
) {
    let rows = work.c.rows();
    let is_full = work.c.cols() == NV * LANES && rows == MR;
    let mut sums = [[isa.splat(0.0); NV]; MR];

    match work.start {
        Start::Zero => {}
        Start::Accumulate => {
            let mut stack = [[[0.0; LANES]; NV]; MR];
            for i in 0..rows {
                for j in 0..NV {
                    isa.load_partial(part(work.c.row_mut(i), j), 0.0).store(&mut stack[i][j]);
                }
            }
            for i in 0..MR {
                for j in 0..NV {
                    sums[i][j] = isa.load(&stack[i][j]);
                }
            }
        }
        Start::PerRow(bias) => {
            let mut stack = [0.0; MR];
            stack[..bias.len()].copy_from_slice(bias);
            for i in 0..MR {
                sums[i] = [isa.splat(stack[i]); NV];
            }
        }
        Start::PerColumn(bias) => {
            for j in 0..NV {
                let bias = isa.load_partial(part(bias, j), 0.0);
                for i in 0..MR {
                    sums[i][j] = bias;
                }
            }
        }
    }

    // The loop that all the time goes into: NV loads, MR broadcasts, MR × NV multiply-adds.
    let a = work.a.tile::<MR>();
    for step in 0..work.b.steps(a.columns()) {
        let vectors = work.b.vectors::<I, NV>(isa, step);
        let column = work.b.column(step);
        for i in 0..MR {
            let factor = isa.splat(a.factor(i, column));
            for j in 0..NV {
                sums[i][j] = factor.mul_add(vectors[j], sums[i][j]);
            }
        }
    }

    if is_full {
        for i in 0..MR {
            let row = work.c.row_mut(i).as_chunks_mut::<LANES>().0;
            for j in 0..NV {
                sums[i][j].store(&mut row[j]);
            }
        }
        return;
    }
    let mut stack = [[[0.0; LANES]; NV]; MR];
    for i in 0..MR {
        for j in 0..NV {
            sums[i][j].store(&mut stack[i][j]);
        }
    }
    for i in 0..rows {
        let row = work.c.row_mut(i);
        for j in 0..NV {
            let (from, to) = ends(row.len(), j);
            isa.load(&stack[i][j]).store_partial(&mut row[from..to]);
        }
    }
}

/// The numbers of a row that belong to vector `j`: sixteen, or what is left.
#[inline(always)]
fn part(row: &[f32], j: usize) -> &[f32] {
    let (from, to) = ends(row.len(), j);
    &row[from..to]
}

#[inline(always)]
fn ends(len: usize, j: usize) -> (usize, usize) {
    (len.min(j * LANES), len.min((j + 1) * LANES))
}
