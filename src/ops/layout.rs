//! Views on the tape. Forward is `tensor/view.rs`; what is added here is each view's adjoint.
//!
//! ```text
//! view                          dx
//! reshape, view, flatten        dy in the shape of x
//! squeeze, unsqueeze            the same
//! transpose, t, permute         dy with the axes put back
//! narrow, slice, select         zeros, with dy where the entries were taken from
//! expand                        dy summed over the repeated axes
//! unfold                        dy of every window, added where windows overlap
//! cat, stack                    each input's piece of dy
//! contiguous                    dy
//! ```
//!
//! A view reads every element of its output from one element of its input, so it is a linear map, and its adjoint
//! adds every element of `dy` to the element it was read from. The tape keeps shapes and axes, no values.
//!
//! Next: `activation.rs`.

use std::ops::RangeBounds;

use super::broadcast::sum_to;
use crate::parallel::{self, Chunks};
use crate::simd::slices::CHUNK;
use crate::tensor::{MAX_RANK, range_ends};
use crate::{Shape, Tensor, Var};

impl<'t> Var<'t> {
    /// Records a view of this value, and how `dy` becomes the gradient of a value of the given shape.
    #[track_caller]
    fn record_view(
        self,
        op: &'static str,
        view: Tensor,
        adjoint: impl FnOnce(Tensor, Shape) -> Tensor + Copy + 'static,
    ) -> Var<'t> {
        let (x, shape) = (self.id(), self.shape());
        self.tape()
            .record(op, &[self], view, (), move |(), dy, adjoints| adjoints.add(x, || adjoint(dy, shape)))
    }

    /// The same elements in another shape; see [`Tensor::reshape`].
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Var<'t> {
        self.record_view("reshape", self.value().reshape(shape), |dy, shape| dy.reshape(shape))
    }

    /// The same elements in another shape, never a copy; see [`Tensor::view`].
    #[track_caller]
    pub fn view(self, shape: impl Into<Shape>) -> Var<'t> {
        self.record_view("view", self.value().view(shape), |dy, shape| dy.reshape(shape))
    }

    /// All axes from `start_axis` on joined into one.
    #[track_caller]
    pub fn flatten(self, start_axis: isize) -> Var<'t> {
        self.record_view("flatten", self.value().flatten(start_axis), |dy, shape| dy.reshape(shape))
    }

    /// An axis of length one removed.
    #[track_caller]
    pub fn squeeze(self, axis: isize) -> Var<'t> {
        self.record_view("squeeze", self.value().squeeze(axis), |dy, shape| dy.reshape(shape))
    }

    /// An axis of length one added before position `axis`; -1 adds it at the end.
    #[track_caller]
    pub fn unsqueeze(self, axis: isize) -> Var<'t> {
        self.record_view("unsqueeze", self.value().unsqueeze(axis), |dy, shape| dy.reshape(shape))
    }

    /// The same elements, lying in row-major order.
    #[track_caller]
    pub fn contiguous(self) -> Var<'t> {
        self.record_view("contiguous", self.value().contiguous(), |dy, _| dy)
    }

    /// Two axes exchanged.
    #[track_caller]
    pub fn transpose(self, axis0: isize, axis1: isize) -> Var<'t> {
        let view = self.value().transpose(axis0, axis1);
        self.record_view("transpose", view, move |dy, _| dy.transpose(axis0, axis1))
    }

    /// The last two axes exchanged.
    #[track_caller]
    pub fn t(self) -> Var<'t> {
        self.record_view("t", self.value().t(), |dy, _| dy.t())
    }

    /// The axes in another order; see [`Tensor::permute`].
    #[track_caller]
    pub fn permute(self, order: &[usize]) -> Var<'t> {
        let view = self.value().permute(order);
        let mut back = [0; MAX_RANK];
        for (to, &from) in order.iter().enumerate() {
            back[from] = to;
        }
        self.record_view("permute", view, move |dy, _| dy.permute(&back[..dy.rank()]))
    }

    /// `length` entries of one axis, from `start` on.
    #[track_caller]
    pub fn narrow(self, axis: isize, start: usize, length: usize) -> Var<'t> {
        let view = self.value().narrow(axis, start, length);
        let axis = self.shape().axis("narrow", axis);
        self.record_view("narrow", view, move |dy, shape| narrow_backward(dy, &shape, axis, start))
    }

    /// A range of one axis, as in `x[:, 2:6]`; see [`Tensor::slice`].
    #[track_caller]
    pub fn slice(self, axis: isize, range: impl RangeBounds<usize> + Clone) -> Var<'t> {
        let view = self.value().slice(axis, range.clone());
        let axis = self.shape().axis("slice", axis);
        let (start, _) = range_ends(range, self.shape()[axis]);
        self.record_view("slice", view, move |dy, shape| narrow_backward(dy, &shape, axis, start))
    }

    /// One entry of one axis, which disappears.
    #[track_caller]
    pub fn select(self, axis: isize, index: usize) -> Var<'t> {
        let view = self.value().select(axis, index);
        let axis = self.shape().axis("select", axis);
        self.record_view("select", view, move |dy, shape| {
            narrow_backward(dy.unsqueeze(axis as isize), &shape, axis, index)
        })
    }

    /// Axes of length one repeated, and new axes put in front; see [`Tensor::expand`].
    #[track_caller]
    pub fn expand(self, shape: impl Into<Shape>) -> Var<'t> {
        self.record_view("expand", self.value().expand(shape), |dy, shape| sum_to(dy, &shape))
    }

    /// Sliding windows over one axis, in a new last axis; see [`Tensor::unfold`].
    #[track_caller]
    pub fn unfold(self, axis: isize, size: usize, step: usize) -> Var<'t> {
        let view = self.value().unfold(axis, size, step);
        let axis = self.shape().axis("unfold", axis);
        self.record_view("unfold", view, move |dy, shape| unfold_backward(dy, &shape, axis, step))
    }

    /// Values joined along one axis; see [`Tensor::cat`].
    ///
    /// ```
    /// use tapegrad::{Tape, Tensor, Var};
    /// let tape = Tape::training();
    /// let x = tape.variable(&Tensor::arange(4).reshape([2, 2]));
    /// assert_eq!(Var::cat(&[x, x + 1.0], 1).shape(), [2, 4]);
    /// ```
    #[track_caller]
    pub fn cat(vars: &[Var<'t>], axis: isize) -> Var<'t> {
        let values = values(vars);
        let joined = Tensor::cat(&values.iter().collect::<Vec<_>>(), axis);
        let at = joined.shape().axis("cat", axis);
        let pieces: Vec<_> = vars.iter().map(|var| (var.id(), var.shape()[at])).collect();
        vars[0].tape().record("cat", vars, joined, pieces, move |pieces, dy, adjoints| {
            let mut start = 0;
            for (id, length) in pieces {
                adjoints.add(id, || dy.narrow(at as isize, start, length));
                start += length;
            }
        })
    }

    /// Values of one shape joined along a new axis; see [`Tensor::stack`].
    #[track_caller]
    pub fn stack(vars: &[Var<'t>], axis: isize) -> Var<'t> {
        let values = values(vars);
        let joined = Tensor::stack(&values.iter().collect::<Vec<_>>(), axis);
        let ids: Vec<_> = vars.iter().map(Var::id).collect();
        vars[0].tape().record("stack", vars, joined, ids, move |ids, dy, adjoints| {
            for (i, id) in ids.into_iter().enumerate() {
                adjoints.add(id, || dy.select(axis, i));
            }
        })
    }
}

/// The values of some variables. (A loop and no closure, behind which the caller's line would be lost.)
#[track_caller]
fn values(vars: &[Var<'_>]) -> Vec<Tensor> {
    let mut values = Vec::with_capacity(vars.len());
    for var in vars {
        values.push(var.value());
    }
    values
}

/// Zeros of the given shape with `dy` in entries `start..` of one axis.
fn narrow_backward(dy: Tensor, shape: &Shape, axis: usize, start: usize) -> Tensor {
    let mut dx = Tensor::zeros(shape);
    let inner: usize = shape[axis + 1..].iter().product();
    let (row, taken) = (shape[axis] * inner, dy.shape()[axis] * inner);
    if taken > 0 {
        let dy = dy.contiguous();
        for (dx, dy) in dx.data_mut().chunks_exact_mut(row).zip(dy.data().chunks_exact(taken)) {
            dx[start * inner..][..taken].copy_from_slice(dy);
        }
    }
    dx
}

/// Adds every window's gradient to the entries that the window shows, windows in order.
fn unfold_backward(dy: Tensor, shape: &Shape, axis: usize, step: usize) -> Tensor {
    let mut dx = Tensor::zeros(shape);
    let (windows, size) = (dy.shape()[axis], dy.shape()[dy.rank() - 1]);
    let inner: usize = shape[axis + 1..].iter().product();
    // dx is [outer, length, inner], dy is [outer, windows, inner, size].
    let (block, dy_block) = (shape[axis] * inner, windows * inner * size);
    if block == 0 || dy_block == 0 {
        return dx;
    }
    let dy = dy.contiguous();
    let blocks = (CHUNK / block).max(1);
    parallel::for_each_part(Chunks::new(dx.data_mut(), blocks * block), |part, dx| {
        let dy = &dy.data()[part * blocks * dy_block..];
        for (dx, dy) in dx.chunks_exact_mut(block).zip(dy.chunks_exact(dy_block)) {
            for (window, dy) in dy.chunks_exact(inner * size).enumerate() {
                for (i, dy) in dy.chunks_exact(size).enumerate() {
                    for (j, &dy) in dy.iter().enumerate() {
                        dx[(window * step + j) * inner + i] += dy;
                    }
                }
            }
        }
    });
    dx
}
