//! A product that packs nothing of B: for one whose rows lie contiguously in memory already, wherever each begins.
//!
//! Packing pays where a packed number is used many times: once for each tile of rows of A. With six filters there is one such tile,
//! and packing would cost as much as multiplying. A small image, unrolled for convolution (`ops/conv2d/im2row.rs`), fits in the first- or
//! second-level cache and has such rows, so the micro-kernel reads them where they are. Only loops 2 and 1 of `blocked.rs` are left.

use super::pack::{Packed, Panels};
use super::tile::{self, Columns, Tile, Work};
use super::{MatrixMut, Start};
use crate::simd::{Isa, Kernel, LANES, dispatch};

/// A right side given by its rows: row k is `data[offsets[k]..][..n]`.
///
/// The kernel reads whole tiles, so `data` must go on for [`Rows::SLACK`] numbers behind the end of the last row. Whatever stands
/// there only meets columns that are not stored.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The memory that the rows lie in.
    pub data: &'a [f32],
    /// Where each row begins.
    pub offsets: &'a [usize],
}

impl Rows<'_> {
    /// How much further than the last row the memory must reach: the widest tile.
    pub const SLACK: usize = 64;
}

/// C = A B on the calling thread, for an A that is packed.
pub fn multiply_rows(start: Start, a: &Packed, b: Rows, c: MatrixMut) {
    assert!(a.len() == c.rows() && a.depth() == b.offsets.len());
    dispatch(ByRows { start, a, b, c });
}

struct ByRows<'a> {
    start: Start<'a>,
    a: &'a Packed<'a>,
    b: Rows<'a>,
    c: MatrixMut<'a>,
}

impl Kernel for ByRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let ByRows { start, a, b, mut c } = self;
        let (m, n) = (c.rows(), c.cols());
        let tile = Tile::choose(I::VECTORS, m, n, a.packed_width());
        let (mr, nr) = (tile.mr, tile.nv * LANES);
        let depth = 0..a.depth();
        for j in (0..n).step_by(nr) {
            for i in (0..m).step_by(mr) {
                let Some(panel) = a.packed(i, mr, &depth) else { unreachable!("packed for these tiles") };
                let (height, width) = (mr.min(m - i), nr.min(n - j));
                let columns = Columns { data: b.data, offsets: b.offsets, first: j };
                let start = start.block(i, j, height, width);
                tile::run(isa, tile, Work { a: panel, b: columns, c: c.block(i, j, height, width), start });
            }
        }
    }
}
