//! Chapter 1: tensors and their views. Next to read: `kernels.rs`.

use std::ops::Bound;

use tapegrad::tensor::MAX_RANK;
use tapegrad::{Shape, Tensor};

use super::each_says;

/// `[2, 3]`
fn x() -> Tensor {
    Tensor::arange(6).reshape([2, 3])
}

/// As many axes as there can be.
fn full() -> Tensor {
    Tensor::ones([1; MAX_RANK])
}

#[test]
fn making_tensors() {
    each_says(&[
        // The product wraps to 2 where overflow is not checked, and that much memory is there.
        (
            || drop(Tensor::zeros([usize::MAX, 2])),
            "Tensor: [18446744073709551615, 2] has more elements than this machine can address",
        ),
        // No element, but strides that overflow.
        (
            || drop(Tensor::empty([0, usize::MAX, 2])),
            "Tensor: [0, 18446744073709551615, 2] has more elements than this machine can address",
        ),
        (
            || drop(Tensor::ones([1 << 61])),
            "Tensor: 2305843009213693952 elements are more than this machine can address",
        ),
        // An allocation that fails ends a program, as a rule.
        (
            || drop(Tensor::full([1 << 28, 1 << 27], 0.5)),
            "Tensor: 36028797018963968 elements need 144115188075855872 bytes, which the system does not have",
        ),
        (
            || drop(Tensor::zeros([1; 9])),
            "shape: a tensor has at most 8 axes, got [1, 1, 1, 1, 1, 1, 1, 1, 1]",
        ),
        (
            || drop(Tensor::new([[[[[[[[[1.0]]]]]]]]])),
            "shape: [1, 1, 1, 1, 1, 1, 1, 1] has no room for one more axis; a tensor has at most 8",
        ),
        (
            || drop(Tensor::new(vec![vec![1.0, 2.0], vec![3.0]])),
            "Tensor::new: rows differ in length: row 0 makes [2, 2], row 1 makes [2, 1]",
        ),
        (|| drop(Tensor::from_slice(&[1.0, 2.0, 3.0], [2, 2])), "from_slice: [2, 2] needs 4 elements, got 3"),
        (
            || drop(Tensor::from_slice(&[1.0], [usize::MAX, 3])),
            "from_slice: [18446744073709551615, 3] has more elements than this machine can address",
        ),
        (
            || drop(Tensor::arange((1 << 24) + 1)),
            "arange: f32 counts exactly only up to 16777216, got 16777217",
        ),
        (|| drop(Tensor::cat(&[], 0)), "cat: needs at least one tensor"),
        (
            || drop(Tensor::cat(&[&x(), &x().t()], 0)),
            "cat: [2, 3] and [3, 2] do not join along axis 0: all other axes must agree",
        ),
        (
            || drop(Tensor::cat(&[&x(), &Tensor::ones([3])], 0)),
            "cat: [2, 3] and [3] do not join along axis 0: all other axes must agree",
        ),
        (
            || drop(Tensor::cat(&[&x(), &x()], 2)),
            "cat: axis 2 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (
            || drop(Tensor::cat(&[&Tensor::scalar(1.0)], 0)),
            "cat: axis 0 is out of range for [], which has no axes",
        ),
        (|| drop(Tensor::stack(&[], 0)), "stack: needs at least one tensor"),
        (
            || drop(Tensor::stack(&[&x(), &x().t()], 0)),
            "stack: needs tensors of one shape, got [2, 3] and [3, 2]",
        ),
        (
            || drop(Tensor::stack(&[&x(), &x()], 3)),
            "stack: a new axis of [2, 3] goes to a position from -3 to 2, got 3",
        ),
        (
            || drop(Tensor::stack(&[&full()], 0)),
            "stack: [1, 1, 1, 1, 1, 1, 1, 1] has no room for one more axis; a tensor has at most 8",
        ),
    ]);
}

#[test]
fn shapes() {
    each_says(&[
        (|| drop(Shape::from([2, 3]).with(2, 1).to_string()), "with: axis 2 is out of range for [2, 3]"),
        (|| drop(Shape::from([2, 3]).without(2).to_string()), "without: axis 2 is out of range for [2, 3]"),
        (
            || drop(Shape::from([2, 3]).insert(3, 1).to_string()),
            "insert: position 3 is behind the end of [2, 3]",
        ),
        (
            || Shape::from(&vec![1; MAX_RANK]).push(1),
            "shape: [1, 1, 1, 1, 1, 1, 1, 1] has no room for one more axis; a tensor has at most 8",
        ),
    ]);
}

#[test]
fn views() {
    each_says(&[
        (
            || drop(x().reshape([4, 2])),
            "reshape: [2, 3] has 6 elements and [4, 2] has 8; their number must stay the same",
        ),
        (
            || drop(x().reshape([usize::MAX, 6])),
            "reshape: [18446744073709551615, 6] has more elements than this machine can address",
        ),
        (
            || drop(x().view([5])),
            "view: [2, 3] has 6 elements and [5] has 5; their number must stay the same",
        ),
        (
            || drop(x().t().view([6])),
            "view: [3, 2] with strides [1, 3] cannot be seen as [6] without a copy; use reshape",
        ),
        (|| drop(x().flatten(2)), "flatten: axis 2 is out of range for [2, 3], whose axes go from -2 to 1"),
        (
            || drop(x().transpose(0, 2)),
            "transpose: axis 2 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (
            || drop(x().transpose(-3, 0)),
            "transpose: axis -3 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (|| drop(x().permute(&[0, 0])), "permute: [0, 0] does not name each axis of [2, 3] once"),
        (|| drop(x().permute(&[0])), "permute: [0] does not name each axis of [2, 3] once"),
        (
            || drop(x().narrow(1, 2, 2)),
            "narrow: 2 entries from 2 on do not lie in axis 1 of [2, 3], which has 3",
        ),
        // The end wraps to 0 where overflow is not checked.
        (
            || drop(x().narrow(1, 1, usize::MAX)),
            "narrow: 18446744073709551615 entries from 1 on do not lie in axis 1 of [2, 3], which has 3",
        ),
        (
            || drop(x().slice(0, 1..4)),
            "slice: 1..4 is no range of axis 0 of [2, 3], where 0 <= start <= end <= 2",
        ),
        #[allow(clippy::reversed_empty_ranges)]
        (
            || drop(x().slice(1, 2..1)),
            "slice: 2..1 is no range of axis 1 of [2, 3], where 0 <= start <= end <= 3",
        ),
        // An inclusive end that has no index behind it: wrapped, this would be an empty slice.
        (
            || drop(x().slice(1, 0..=usize::MAX)),
            "slice: 0..18446744073709551615 is no range of axis 1 of [2, 3], where 0 <= start <= end <= 3",
        ),
        (
            || drop(x().slice(1, (Bound::Excluded(usize::MAX), Bound::Unbounded))),
            "slice: 18446744073709551615..3 is no range of axis 1 of [2, 3], where 0 <= start <= end <= 3",
        ),
        (
            || drop(x().select(0, 2)),
            "select: entry 2 does not lie in axis 0 of [2, 3], which has 2, counted from 0",
        ),
        (|| drop(x().squeeze(0)), "squeeze: axis 0 of [2, 3] is not of length 1"),
        (
            || drop(x().unsqueeze(-4)),
            "unsqueeze: a new axis of [2, 3] goes to a position from -3 to 2, got -4",
        ),
        (
            || drop(full().unsqueeze(0)),
            "unsqueeze: [1, 1, 1, 1, 1, 1, 1, 1] has no room for one more axis; a tensor has at most 8",
        ),
        (
            || drop(x().expand([4, 3])),
            "expand: [2, 3] does not broadcast to [4, 3]: counted from the last, each axis must agree or have length 1",
        ),
        (
            || drop(x().expand([3])),
            "expand: [2, 3] does not broadcast to [3]: counted from the last, each axis must agree or have length 1",
        ),
        (
            || drop(Tensor::ones([1, 1]).expand([usize::MAX, 2])),
            "expand: [18446744073709551615, 2] has more elements than this machine can address",
        ),
        (|| drop(x().unfold(1, 4, 1)), "unfold: a window of 4 is larger than axis 1 of [2, 3]"),
        (|| drop(x().unfold(1, 2, 0)), "unfold: the step must be at least 1, got 0"),
        (
            || drop(full().unfold(0, 1, 1)),
            "unfold: [1, 1, 1, 1, 1, 1, 1, 1] has no room for one more axis; a tensor has at most 8",
        ),
        (|| drop(Tensor::ones([3]).t()), "t: needs a matrix or more axes, got [3]"),
    ]);
    // No mistake, though the stride of the only window would overflow.
    assert_eq!(x().unfold(1, 3, usize::MAX).narrow(1, 1, 0).shape(), [2, 0, 3]);
}

#[test]
fn reading_elements() {
    each_says(&[
        (|| _ = x().item(), "item: needs a tensor with one element, got [2, 3]"),
        (
            || _ = x().get([1, 3]),
            "get: index [1, 3] does not lie in [2, 3]; it needs a number for each axis, below the axis's length",
        ),
        (
            || _ = x().get([5]),
            "get: index [5] does not lie in [2, 3]; it needs a number for each axis, below the axis's length",
        ),
        (|| _ = x().size(2), "size: axis 2 is out of range for [2, 3], whose axes go from -2 to 1"),
        (
            || _ = x().t().data().len(),
            "data: a view of shape [3, 2] with strides [1, 3] does not lie in order; call contiguous() first",
        ),
        (
            || _ = x().slice(1, 0..2).memory().len(),
            "memory: a view of shape [2, 2] with strides [3, 1] has gaps or repeats; call contiguous() first",
        ),
        (
            || _ = x().slice(1, 0..2).memory_mut().len(),
            "memory_mut: a view of shape [2, 2] with strides [3, 1] has gaps or repeats; call contiguous() first",
        ),
        (
            || drop(x().in_order_of(&x().t())),
            "in_order_of: needs a tensor of the same shape, got [2, 3] and [3, 2]",
        ),
        // A view of one element that seems to have many takes its memory only when it is copied.
        (
            || drop(Tensor::ones([1]).expand([1 << 55]).contiguous()),
            "Tensor: 36028797018963968 elements need 144115188075855872 bytes, which the system does not have",
        ),
        (
            || drop(Tensor::ones([1]).expand([1 << 55]).to_vec()),
            "Tensor: 36028797018963968 elements need 144115188075855872 bytes, which the system does not have",
        ),
    ]);
}
