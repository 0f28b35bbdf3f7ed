//! Views: other shapes over the same memory. Not one of these moves an element, except `reshape` where no
//! strides can express the new shape.
//!
//! Each view is arithmetic on shape, strides and offset:
//!
//! | view | shape | strides | offset |
//! |---|---|---|---|
//! | `permute`, `transpose` | reordered | reordered | |
//! | `narrow`, `slice`, `select` | one axis shorter, or gone | | + start × stride |
//! | `expand` | axes of length 1 lengthened | 0 there | |
//! | `unfold` | windows × size in place of one axis | step × stride, stride | |
//! | `reshape`, `view`, `flatten` | same number of elements | recomputed | |
//!
//! `unfold` twice over a padded image gives every patch of a convolution: that is im2col, without a copy.

use std::ops::{Bound, RangeBounds};

use super::{Shape, Strides, Tensor};

impl Tensor {
    fn with_layout(&self, shape: Shape, strides: Strides, offset: usize) -> Tensor {
        Tensor { buffer: self.buffer.clone(), offset, shape, strides }
    }

    /// The same elements in another shape; a view where the strides allow it, a copy otherwise.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// assert_eq!(Tensor::arange(6).reshape([3, 2]).shape(), [3, 2]);
    /// ```
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        self.check_same_numel("reshape", &shape);
        match self.shape.reshape_strides(&self.strides, &shape) {
            Some(strides) => self.with_layout(shape, strides, self.offset),
            None => self.contiguous().reshape(shape),
        }
    }

    /// The same elements in another shape, never a copy.
    ///
    /// # Panics
    /// Where the elements lie so that no strides express the new shape; [`reshape`](Tensor::reshape) copies then.
    #[track_caller]
    pub fn view(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        self.check_same_numel("view", &shape);
        match self.shape.reshape_strides(&self.strides, &shape) {
            Some(strides) => self.with_layout(shape, strides, self.offset),
            None => panic!(
                "view: {} with strides {} cannot be seen as {shape} without a copy; use reshape",
                self.shape, self.strides
            ),
        }
    }

    #[track_caller]
    fn check_same_numel(&self, op: &str, shape: &Shape) {
        assert!(
            self.numel() == shape.numel_for(op),
            "{op}: {} has {} elements and {shape} has {}; their number must stay the same",
            self.shape,
            self.numel(),
            shape.numel()
        );
    }

    /// All axes from `start_axis` on joined into one.
    #[track_caller]
    pub fn flatten(&self, start_axis: isize) -> Tensor {
        let axis = self.shape.axis("flatten", start_axis);
        let mut shape = Shape::from(&self.shape[..axis]);
        shape.push(self.shape[axis..].iter().product());
        self.reshape(shape)
    }

    /// Two axes exchanged.
    #[track_caller]
    pub fn transpose(&self, axis0: isize, axis1: isize) -> Tensor {
        let (a, b) = (self.shape.axis("transpose", axis0), self.shape.axis("transpose", axis1));
        let (mut shape, mut strides) = (self.shape, self.strides);
        shape.swap(a, b);
        strides.swap(a, b);
        self.with_layout(shape, strides, self.offset)
    }

    /// The axes in another order: axis `i` of the result is axis `order[i]` of this tensor.
    #[track_caller]
    pub fn permute(&self, order: &[usize]) -> Tensor {
        let is_named = |axis: usize| order.contains(&axis);
        assert!(
            order.len() == self.rank() && (0..self.rank()).all(is_named),
            "permute: {order:?} does not name each axis of {} once",
            self.shape
        );
        let (mut shape, mut strides) = (self.shape, self.strides);
        for (to, &from) in order.iter().enumerate() {
            shape[to] = self.shape[from];
            strides[to] = self.strides[from];
        }
        self.with_layout(shape, strides, self.offset)
    }

    /// `length` entries of one axis, from `start` on.
    #[track_caller]
    pub fn narrow(&self, axis: isize, start: usize, length: usize) -> Tensor {
        let axis = self.shape.axis("narrow", axis);
        assert!(
            start.checked_add(length).is_some_and(|end| end <= self.shape[axis]),
            "narrow: {length} entries from {start} on do not lie in axis {axis} of {}, which has {}",
            self.shape,
            self.shape[axis]
        );
        let offset = self.offset + start * self.strides[axis];
        self.with_layout(self.shape.with(axis, length), self.strides, offset)
    }

    /// A range of one axis, as in `x[:, 2:6]`.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// let x = Tensor::arange(8).reshape([2, 4]);
    /// assert_eq!(x.slice(1, 2..).to_vec(), [2.0, 3.0, 6.0, 7.0]);
    /// ```
    #[track_caller]
    pub fn slice(&self, axis: isize, range: impl RangeBounds<usize>) -> Tensor {
        let index = self.shape.axis("slice", axis);
        let (start, end) = range_ends(range, self.shape[index]);
        assert!(
            start <= end && end <= self.shape[index],
            "slice: {start}..{end} is no range of axis {index} of {}, where 0 <= start <= end <= {}",
            self.shape,
            self.shape[index]
        );
        self.narrow(axis, start, end - start)
    }

    /// One entry of one axis, which disappears.
    #[track_caller]
    pub fn select(&self, axis: isize, index: usize) -> Tensor {
        let axis = self.shape.axis("select", axis);
        assert!(
            index < self.shape[axis],
            "select: entry {index} does not lie in axis {axis} of {}, which has {}, counted from 0",
            self.shape,
            self.shape[axis]
        );
        let offset = self.offset + index * self.strides[axis];
        self.with_layout(self.shape.without(axis), self.strides.without(axis), offset)
    }

    /// An axis of length one removed.
    #[track_caller]
    pub fn squeeze(&self, axis: isize) -> Tensor {
        let index = self.shape.axis("squeeze", axis);
        assert!(self.shape[index] == 1, "squeeze: axis {index} of {} is not of length 1", self.shape);
        self.select(axis, 0)
    }

    /// An axis of length one added before position `axis`; -1 adds it at the end.
    #[track_caller]
    pub fn unsqueeze(&self, axis: isize) -> Tensor {
        let index = self.shape.new_axis("unsqueeze", axis);
        self.with_layout(self.shape.insert(index, 1), self.strides.insert(index, 0), self.offset)
    }

    /// Axes of length one repeated, and new axes put in front, to reach `shape`; no element is copied.
    #[track_caller]
    pub fn expand(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        // It takes no memory, but whatever is made of it counts the elements.
        shape.numel_for("expand");
        match self.shape.expand_strides(&self.strides, &shape) {
            Some(strides) => self.with_layout(shape, strides, self.offset),
            None => panic!(
                "expand: {} does not broadcast to {shape}: counted from the last, each axis must agree or have length 1",
                self.shape
            ),
        }
    }

    /// Sliding windows over one axis: the axis becomes the number of windows, and a new last axis holds the
    /// `size` elements of each; windows start `step` apart. PyTorch's `Tensor.unfold`.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// let windows = Tensor::arange(5).unfold(0, 3, 1);
    /// assert_eq!(windows.to_vec(), [0., 1., 2., 1., 2., 3., 2., 3., 4.]);
    /// ```
    #[track_caller]
    pub fn unfold(&self, axis: isize, size: usize, step: usize) -> Tensor {
        let axis = self.shape.axis("unfold", axis);
        assert!(step > 0, "unfold: the step must be at least 1, got 0");
        assert!(
            size <= self.shape[axis],
            "unfold: a window of {size} is larger than axis {axis} of {}",
            self.shape
        );
        self.shape.check_room("unfold");
        let windows = (self.shape[axis] - size) / step + 1;
        let mut shape = self.shape.with(axis, windows);
        shape.push(size);
        shape.numel_for("unfold");
        // A step beyond the end of the axis leaves one window, whatever its length; it must not overflow.
        let step = step.min(self.shape[axis]);
        let mut strides = self.strides.with(axis, self.strides[axis] * step);
        strides.push(self.strides[axis]);
        self.with_layout(shape, strides, self.offset)
    }

    /// The last two axes exchanged, as in `x.T` for a matrix.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        assert!(self.rank() >= 2, "t: needs a matrix or more axes, got {}", self.shape);
        self.transpose(-2, -1)
    }
}

/// The first index and the one behind the last of a range over an axis of `len` entries. The largest index has none behind it, but no
/// axis reaches that far: it stays out of range.
pub(crate) fn range_ends(range: impl RangeBounds<usize>, len: usize) -> (usize, usize) {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => len,
    };
    (start, end)
}
