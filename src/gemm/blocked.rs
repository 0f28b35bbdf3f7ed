//! The five loops around the micro-kernel, as BLIS names them (Van Zee and van de Geijn, *BLIS: A Framework for Rapidly
//! Instantiating BLAS Functionality*, ACM TOMS 41, 2015, figure 1).
//!
//! ```text
//! loop 5   jc over n by NC     a block of columns of C and B
//! loop 4   pc over k by KC       pack B[pc, jc] (KC × NC): stays in the third-level cache
//! loop 3   ic over m by MC         pack A[ic, pc] (MC × KC): stays in the second-level cache
//! loop 2   jr over NC by NR          one panel of B (KC × NR) streams from the second-level cache
//! loop 1   ir over MC by MR            one panel of A (MR × KC): stays in the first-level cache; the tile of C lives in registers
//! ```
//!
//! With KC = 512 and a tile of 6 × 64, a panel of A takes 6 · 512 · 4 B = 12 KiB, and a panel of B 128 KiB; a block of A with MC = 168
//! takes 336 KiB, a third of a second-level cache of 1 MiB, and a block of B with NC = 2048 takes 4 MiB. (BLIS keeps the panel of B in
//! the first level. Here a step of k takes 24 cycles on a CPU that starts one wide multiply-add in each, time enough for the four cache
//! lines of B to come from the second level, and A fits in the first. On Zen 4, products of 1024 and 2048 cubed ran at 103 GFLOP/s so,
//! and at 95 and 101 with a KC of 256.)
//!
//! The cut along k does not show in the result: each later block of k goes on from what C holds, so an element's chain of
//! additions is the same as without blocks (see `mod.rs`). The blocks' sizes can therefore be tuned freely.

use super::tile::{self, LeftPanel, Panel, Tile, Work};
use super::{MatrixMut, Panels, Start, check_sizes};
use crate::parallel::Scratch;
use crate::simd::{Isa, Kernel, LANES, dispatch};

const KC: usize = 512;
/// A multiple of the tile heights 6, 8 and 14.
const MC: usize = 168;
const NC: usize = 2048;

/// C = A B on the calling thread. `a` gives panels of rows, `b` panels of columns.
///
/// # Panics
/// When the sizes do not fit.
#[track_caller]
pub fn multiply_block(start: Start, a: &impl Panels, b: &impl Panels, c: MatrixMut) {
    check_sizes("multiply_block", (a.len(), a.depth()), (b.depth(), b.len()), &c);
    start.check("multiply_block", &c);
    dispatch(Blocked { start, a, b, c });
}

struct Blocked<'a, A, B> {
    start: Start<'a>,
    a: &'a A,
    b: &'a B,
    c: MatrixMut<'a>,
}

impl<A: Panels, B: Panels> Kernel for Blocked<'_, A, B> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Blocked { start, a, b, mut c } = self;
        let (m, n, k) = (c.rows(), c.cols(), a.depth());
        if m == 0 || n == 0 {
            return; // nothing to write, and no block would have a size
        }
        let tile = Tile::choose(I::VECTORS, m, n, a.packed_width());
        let (mr, nr) = (tile.mr, tile.nv * LANES);
        let kc = KC.min(k);
        let mc = (MC / mr * mr).min(m.next_multiple_of(mr));
        let nc = (NC / nr * nr).min(n.next_multiple_of(nr));
        // Whole cache lines, so that the panels of B behind them begin with one.
        let a_size = if a.packed_width().is_some() { 0 } else { (mc * kc).next_multiple_of(LANES) };

        let mut scratch = Scratch::new(a_size + nc * kc);
        let (a_block, b_block) = scratch.split_at_mut(a_size);
        for jc in (0..n).step_by(nc) {
            let columns = nc.min(n - jc);
            // At least once, so that a product over an empty k still writes its start.
            for pc in (0..k.max(1)).step_by(KC) {
                let depth = pc..k.min(pc + KC);
                let steps = depth.len();
                for (j, panel) in (0..columns).step_by(nr).zip(b_block.chunks_mut((nr * steps).max(1))) {
                    b.pack(isa, jc + j, nr, depth.clone(), &mut panel[..nr * steps]);
                }
                for ic in (0..m).step_by(mc) {
                    let rows = mc.min(m - ic);
                    if a_size > 0 {
                        for (i, panel) in (0..rows).step_by(mr).zip(a_block.chunks_mut((mr * steps).max(1))) {
                            a.pack(isa, ic + i, mr, depth.clone(), &mut panel[..mr * steps]);
                        }
                    }
                    for jr in (0..columns).step_by(nr) {
                        let b_panel = &b_block[jr * steps..][..nr * steps];
                        for ir in (0..rows).step_by(mr) {
                            let a_panel = match a.packed(ic + ir, mr, &depth) {
                                Some(panel) => panel,
                                None => &a_block[ir * steps..][..mr * steps],
                            };
                            let (i, j) = (ic + ir, jc + jr);
                            let (height, width) = (mr.min(m - i), nr.min(n - j));
                            let start =
                                if pc > 0 { Start::Accumulate } else { start.block(i, j, height, width) };
                            let c = c.block(i, j, height, width);
                            tile::run(isa, tile, Work { a: LeftPanel(a_panel), b: Panel(b_panel), c, start });
                        }
                    }
                }
            }
        }
    }
}

/// The tile height that a product with a C of m rows and n columns wants: what to pack A for.
pub fn tile_rows(m: usize, n: usize) -> usize {
    struct Choose(usize, usize);
    impl Kernel for Choose {
        type Output = usize;
        fn run<I: Isa>(self, _: I) -> usize {
            Tile::choose(I::VECTORS, self.0, self.1, None).mr
        }
    }
    dispatch(Choose(m, n))
}
