//! A product whose left side is read in place, wherever each of its rows begins: a convolution with its filters side by side.
//!
//! `rows.rs` reads B where it lies; here it is A. The micro-kernel takes one number of A at a time anyway, so rows may begin anywhere
//! and the elements of a row may lie anywhere behind its beginning, as long as they lie alike for every row:
//!
//! ```text
//! c[places[i].to][j] = start + Σ_s data[places[i].from + steps[s].column] · b[steps[s].row + j]
//! ```
//!
//! A window over an image is such a row, however the image lies in memory, and so is what one tap sees at all positions.

use super::rows::Listed;
use super::tile::{self, Columns, Left, Target, Tile, Work};
use super::{MatrixMut, Start};
use crate::simd::{Isa, Kernel, LANES, dispatch};

/// A row of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where in the memory of A it begins.
    pub from: usize,
    /// The row of C.
    pub to: usize,
}

/// C = A B on the calling thread, with C at most as wide as the tile. `b` lists rows as wide as the tile, with anything behind the
/// columns of C.
///
/// # Panics
/// When C is wider than the tile.
#[track_caller]
pub fn multiply_places(start: Start, tile: Tile, a: &[f32], places: &[Place], b: Listed, c: MatrixMut) {
    let widest = tile.columns();
    assert!(c.cols() <= widest, "multiply_places: C has {} columns, the tile only {widest}", c.cols());
    let extent = b.steps.iter().map(|step| step.column + 1).max().unwrap_or(0);
    dispatch(ByPlaces { start, tile, a: LeftPlaces { data: a, places, extent }, b, c });
}

struct ByPlaces<'a> {
    start: Start<'a>,
    tile: Tile,
    a: LeftPlaces<'a>,
    b: Listed<'a>,
    c: MatrixMut<'a>,
}

impl Kernel for ByPlaces<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let ByPlaces { start, tile, a, b, mut c } = self;
        let (columns, width) = (Columns::<_, false> { rows: b, first: 0 }, c.cols());
        for places in a.places.chunks(tile.mr) {
            let c = Placed { c: c.block(0, 0, c.rows(), width), places };
            tile::run(isa, tile, Work { a: LeftPlaces { places, ..a }, b: columns, c, start });
        }
    }
}

/// Rows of A that begin at places, each `extent` long. Behind the last, it is read again and not stored.
#[derive(Clone, Copy)]
struct LeftPlaces<'a> {
    data: &'a [f32],
    places: &'a [Place],
    extent: usize,
}

impl<'a> Left for LeftPlaces<'a> {
    type Tile<const MR: usize> = [&'a [f32]; MR];

    #[inline(always)]
    fn tile<const MR: usize>(self) -> [&'a [f32]; MR] {
        let last = self.places.len() - 1;
        let mut rows = [&self.data[..0]; MR];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = &self.data[self.places[i.min(last)].from..][..self.extent];
        }
        rows
    }
}

/// The rows of C that belong to places.
struct Placed<'a> {
    c: MatrixMut<'a>,
    places: &'a [Place],
}

impl Target for Placed<'_> {
    #[inline(always)]
    fn rows(&self) -> usize {
        self.places.len()
    }

    #[inline(always)]
    fn cols(&self) -> usize {
        self.c.cols()
    }

    #[inline(always)]
    fn row_mut(&mut self, i: usize) -> &mut [f32] {
        self.c.row_mut(self.places[i].to)
    }
}

/// The tile for a C of m rows and n columns.
pub fn tile_for(m: usize, n: usize) -> Tile {
    struct Choose(usize, usize);
    impl Kernel for Choose {
        type Output = Tile;
        fn run<I: Isa>(self, _: I) -> Tile {
            Tile::choose(I::VECTORS, self.0, self.1, None)
        }
    }
    dispatch(Choose(m, n))
}

impl Tile {
    /// Its width in numbers.
    pub fn columns(self) -> usize {
        self.nv * LANES
    }
}
