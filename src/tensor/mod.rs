//! Chapter 1: `Tensor`, numbers in a shape.
//!
//! A tensor is a window on a buffer: where it starts, how long each axis is, and how far apart neighbours along
//! each axis lie. Transposing, slicing, broadcasting and sliding windows only change those numbers (`view.rs`);
//! no element moves. Cloning a tensor shares the buffer. Writing goes through [`Tensor::data_mut`], which copies
//! first when somebody else shares the memory, so a write is never seen through another tensor.
//!
//! Reading order: `shape.rs` (lengths and strides), `buffer.rs` (the memory), this file, `view.rs`, `copy.rs`
//! (a strided tensor laid out in order), `order.rs` (orders other than row-major), `create.rs`, `display.rs`. Arithmetic comes much later, in `ops/`: it
//! needs the vector kernels of chapter 2.

pub mod buffer;
mod copy;
mod create;
mod display;
mod order;
mod shape;
mod view;

use buffer::Shared;
pub use create::Nested;
pub use shape::{MAX_RANK, Shape, Strides};
pub(crate) use view::range_ends;

/// A strided array of `f32`, cheap to clone.
///
/// ```
/// use tapegrad::Tensor;
/// let x = Tensor::arange(6).reshape([2, 3]);
/// let column = x.transpose(0, 1).select(0, 1); // no element is copied
/// assert_eq!(column.to_vec(), [1.0, 4.0]);
/// println!("{x}");
/// ```
#[derive(Clone)]
pub struct Tensor {
    buffer: Shared,
    /// The index in the buffer of the element at 0, 0, ….
    offset: usize,
    shape: Shape,
    strides: Strides,
}

impl Tensor {
    /// A contiguous tensor whose elements are unspecified (a recycled buffer keeps what it held): the caller
    /// writes every one through [`data_mut`](Tensor::data_mut). PyTorch's `torch.empty`.
    #[track_caller]
    pub fn empty(shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let buffer = Shared::new(shape.numel_for("Tensor"));
        Tensor { buffer, offset: 0, shape, strides: shape.contiguous_strides() }
    }

    /// The length of every axis.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How many elements apart neighbours lie, for every axis.
    pub fn strides(&self) -> Strides {
        self.strides
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.shape.numel()
    }

    /// The length of one axis; -1 is the last.
    #[track_caller]
    pub fn size(&self, axis: isize) -> usize {
        self.shape[self.shape.axis("size", axis)]
    }

    /// Whether the elements lie one after the other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        for (&dim, &stride) in self.shape.iter().zip(self.strides.iter()).rev() {
            if dim != 1 && stride != step {
                return self.numel() == 0;
            }
            step *= dim;
        }
        true
    }

    /// This tensor with its elements in row-major order: itself where they are already, a copy otherwise.
    #[track_caller]
    pub fn contiguous(&self) -> Tensor {
        if self.is_contiguous() {
            return self.clone();
        }
        let mut copy = Tensor::empty(self.shape);
        copy::copy_strided(self.storage(), &self.shape, &self.strides, copy.data_mut());
        copy
    }

    /// The elements in row-major order.
    ///
    /// # Panics
    /// On a view whose elements do not lie in that order: call [`contiguous`](Tensor::contiguous) first.
    #[track_caller]
    pub fn data(&self) -> &[f32] {
        assert!(
            self.is_contiguous(),
            "data: a view of shape {} with strides {} does not lie in order; call contiguous() first",
            self.shape,
            self.strides
        );
        &self.storage()[..self.numel()]
    }

    /// The elements in row-major order, to write to. A tensor that shares its memory, or does not lie in order,
    /// is copied first.
    #[track_caller]
    pub fn data_mut(&mut self) -> &mut [f32] {
        if !self.is_contiguous() {
            *self = self.contiguous();
        }
        self.memory_mut()
    }

    /// Whether no other tensor shares this one's memory, so that [`data_mut`](Tensor::data_mut) will not copy.
    pub fn is_unique(&self) -> bool {
        self.buffer.is_unique()
    }

    /// The whole buffer, which tensors that share memory have in common.
    pub(crate) fn block(&self) -> &[f32] {
        &self.buffer
    }

    /// The buffer from this tensor's first element on: what [`strides`](Tensor::strides) count from.
    pub fn storage(&self) -> &[f32] {
        // The offset of an empty view may lie behind the end.
        self.buffer.get(self.offset..).unwrap_or(&[])
    }

    /// A copy of the elements in row-major order.
    #[track_caller]
    pub fn to_vec(&self) -> Vec<f32> {
        self.contiguous().data().to_vec()
    }

    /// The only element of a tensor with one element.
    #[track_caller]
    pub fn item(&self) -> f32 {
        assert!(self.numel() == 1, "item: needs a tensor with one element, got {}", self.shape);
        self.storage()[0]
    }

    /// The element at an index, one number per axis.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// assert_eq!(Tensor::arange(6).reshape([2, 3]).get([1, 2]), 5.0);
    /// ```
    #[track_caller]
    pub fn get<const N: usize>(&self, index: [usize; N]) -> f32 {
        let fits = N == self.rank() && index.iter().zip(self.shape.iter()).all(|(i, dim)| i < dim);
        assert!(
            fits,
            "get: index {index:?} does not lie in {}; it needs a number for each axis, below the axis's length",
            self.shape
        );
        self.storage()[index.iter().zip(self.strides.iter()).map(|(i, stride)| i * stride).sum::<usize>()]
    }
}

impl PartialEq for Tensor {
    /// Equal shapes and equal elements (so NaN differs from itself, and 0 equals -0).
    fn eq(&self, other: &Tensor) -> bool {
        self.shape == other.shape && self.contiguous().data() == other.contiguous().data()
    }
}
