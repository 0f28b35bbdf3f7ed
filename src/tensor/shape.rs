//! Shapes and strides: the arithmetic that every view and every message is made of.
//!
//! A shape is one length per axis, outermost first. A stride is how many elements apart two neighbours along
//! that axis lie in memory. Both are at most eight numbers, so they live in a small array: making a view never
//! allocates. Strides are never negative, and a broadcast axis has stride zero.
//!
//! Next: `buffer.rs`, the memory that strides walk over.

use std::fmt;
use std::ops::Deref;

/// The most axes a tensor can have. Unfolding a batch of images (`n, c, oh, ow, kh, kw`) takes six.
pub const MAX_RANK: usize = 8;

/// One number per axis, outermost axis first: the lengths of a tensor.
///
/// ```
/// use tapegrad::Shape;
/// let shape = Shape::from([2, 3, 4]);
/// assert_eq!(shape.numel(), 24);
/// assert_eq!(shape.to_string(), "[2, 3, 4]");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    // Axes beyond the rank are zero, so that equality and hashing can be derived.
    dims: [usize; MAX_RANK],
    rank: usize,
}

/// Strides are kept in the same small array as lengths; only the meaning of the numbers differs.
pub type Strides = Shape;

impl Shape {
    /// The shape of a scalar: no axes, one element.
    pub const SCALAR: Shape = Shape { dims: [0; MAX_RANK], rank: 0 };

    /// How many elements a tensor of this shape has.
    ///
    /// # Panics
    /// When the product of all lengths but zeros does not fit in an `isize`.
    #[track_caller]
    pub fn numel(&self) -> usize {
        self.numel_for("shape")
    }

    /// [`numel`](Shape::numel), with the name of the op that is asked for such a shape.
    #[track_caller]
    pub(super) fn numel_for(&self, op: &str) -> usize {
        // Without the zeros, since strides are products of the other lengths and must fit, too.
        let product = self.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.max(1)));
        match product.filter(|&product| product <= isize::MAX as usize) {
            Some(_) if self.contains(&0) => 0,
            Some(numel) => numel,
            None => panic!("{op}: {self} has more elements than this machine can address"),
        }
    }

    /// The strides of a row-major tensor: the last axis is contiguous.
    pub fn contiguous_strides(&self) -> Strides {
        let mut strides = *self;
        let mut step = 1;
        for axis in (0..self.rank).rev() {
            strides.dims[axis] = step;
            step *= self.dims[axis].max(1);
        }
        strides
    }

    /// Adds an axis at the end.
    #[track_caller]
    pub fn push(&mut self, dim: usize) {
        self.check_room("shape");
        self.dims[self.rank] = dim;
        self.rank += 1;
    }

    /// Refuses one more axis where there are as many as there can be.
    #[track_caller]
    pub(super) fn check_room(&self, op: &str) {
        assert!(
            self.rank < MAX_RANK,
            "{op}: {self} has no room for one more axis; a tensor has at most {MAX_RANK}"
        );
    }

    /// This shape with the given axis set to another length.
    #[track_caller]
    pub fn with(mut self, axis: usize, dim: usize) -> Shape {
        self.check_axis("with", axis);
        self.dims[axis] = dim;
        self
    }

    /// This shape without the given axis.
    #[track_caller]
    pub fn without(&self, axis: usize) -> Shape {
        self.check_axis("without", axis);
        let mut shorter = Shape::SCALAR;
        for (at, &dim) in self.iter().enumerate() {
            if at != axis {
                shorter.push(dim);
            }
        }
        shorter
    }

    /// This shape with an axis of the given length put before position `axis`.
    #[track_caller]
    pub fn insert(&self, axis: usize, dim: usize) -> Shape {
        assert!(axis <= self.rank, "insert: position {axis} is behind the end of {self}");
        let mut longer = Shape::from(&self[..axis]);
        longer.push(dim);
        for &rest in &self[axis..] {
            longer.push(rest);
        }
        longer
    }

    /// Turns a PyTorch-style axis, where -1 is the last one, into an index.
    #[track_caller]
    pub fn axis(&self, op: &str, axis: isize) -> usize {
        let rank = self.rank as isize;
        let index = if axis < 0 { axis + rank } else { axis };
        assert!(rank > 0, "{op}: axis {axis} is out of range for {self}, which has no axes");
        assert!(
            (0..rank).contains(&index),
            "{op}: axis {axis} is out of range for {self}, whose axes go from -{rank} to {}",
            rank - 1
        );
        index as usize
    }

    /// The same for the position of an axis to be added: 0 is before all others, -1 behind them.
    #[track_caller]
    pub(super) fn new_axis(&self, op: &str, axis: isize) -> usize {
        self.check_room(op);
        let rank = self.rank as isize;
        let index = if axis < 0 { axis + rank + 1 } else { axis };
        assert!(
            (0..=rank).contains(&index),
            "{op}: a new axis of {self} goes to a position from -{} to {rank}, got {axis}",
            rank + 1
        );
        index as usize
    }

    #[track_caller]
    fn check_axis(&self, op: &str, axis: usize) {
        assert!(axis < self.rank, "{op}: axis {axis} is out of range for {self}");
    }

    /// The shape that both shapes broadcast to: aligned at the last axis, lengths equal or one of them 1.
    ///
    /// ```
    /// # use tapegrad::Shape;
    /// assert_eq!(Shape::from([4, 1, 3]).broadcast("add", &Shape::from([2, 1])), Shape::from([4, 2, 3]));
    /// ```
    #[track_caller]
    pub fn broadcast(&self, op: &str, other: &Shape) -> Shape {
        match self.try_broadcast(other) {
            Ok(result) => {
                // Views that repeat may make a result that is larger than any memory.
                result.numel_for(op);
                result
            }
            Err((back, left, right)) => panic!(
                "{op}: {self} and {other} do not broadcast: axis -{back} is {left} on one side and {right} on the other, and neither is 1"
            ),
        }
    }

    /// That shape, or the first axis from the end that does not fit, and its two lengths.
    pub(crate) fn try_broadcast(&self, other: &Shape) -> Result<Shape, (usize, usize, usize)> {
        let mut result = if self.rank >= other.rank { *self } else { *other };
        for back in 1..=result.rank {
            let left = if back <= self.rank { self[self.rank - back] } else { 1 };
            let right = if back <= other.rank { other[other.rank - back] } else { 1 };
            if left != right && left != 1 && right != 1 {
                return Err((back, left, right));
            }
            result.dims[result.rank - back] = if left == 1 { right } else { left };
        }
        Ok(result)
    }

    /// The strides with which a tensor of `self` and `strides` reads as the larger shape `target`: a broadcast
    /// axis gets stride zero. `None` where the shapes do not fit.
    pub fn expand_strides(&self, strides: &Strides, target: &Shape) -> Option<Strides> {
        let added = target.rank.checked_sub(self.rank)?;
        let mut expanded = Shape { dims: [0; MAX_RANK], rank: target.rank };
        for axis in 0..self.rank {
            if self[axis] == target[axis + added] {
                expanded.dims[axis + added] = strides[axis];
            } else if self[axis] != 1 {
                return None;
            }
        }
        Some(expanded)
    }

    /// The strides with which the same memory reads as `target` in the same order, or `None` where no choice of
    /// strides does that and the elements must be copied.
    ///
    /// Neighbouring axes that lie in memory like one long axis are merged into runs; every new axis must then
    /// fall inside one run.
    pub fn reshape_strides(&self, strides: &Strides, target: &Shape) -> Option<Strides> {
        if self.contains(&0) {
            return Some(target.contiguous_strides());
        }
        let mut result = Shape { dims: [0; MAX_RANK], rank: target.rank };
        let (mut old, mut new) = (self.rank, target.rank);
        while old > 0 {
            // The run that ends at axis `old - 1`: its number of elements and innermost stride.
            old -= 1;
            let (mut run, innermost) = (self[old], strides[old]);
            while old > 0 && (self[old - 1] == 1 || strides[old - 1] == run * innermost) {
                old -= 1;
                run *= self[old];
            }
            // Cut the run into new axes, from the inside out.
            let mut filled = 1;
            while filled < run {
                new = new.checked_sub(1)?;
                result.dims[new] = filled * innermost;
                filled *= target[new];
            }
            if filled != run {
                return None;
            }
        }
        // Axes of length one that are left may have any stride.
        Some(result)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}

impl std::ops::DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.dims[..self.rank]
    }
}

impl From<&[usize]> for Shape {
    #[track_caller]
    fn from(dims: &[usize]) -> Shape {
        assert!(dims.len() <= MAX_RANK, "shape: a tensor has at most {MAX_RANK} axes, got {dims:?}");
        let mut shape = Shape { dims: [0; MAX_RANK], rank: dims.len() };
        shape.copy_from_slice(dims);
        shape
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    #[track_caller]
    fn from(dims: [usize; N]) -> Shape {
        Shape::from(&dims[..])
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    #[track_caller]
    fn from(dims: &[usize; N]) -> Shape {
        Shape::from(&dims[..])
    }
}

impl From<&Vec<usize>> for Shape {
    #[track_caller]
    fn from(dims: &Vec<usize>) -> Shape {
        Shape::from(&dims[..])
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Shape {
        *shape
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self[..] == other[..]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", &self[..])
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
