//! Orders of memory other than row-major.
//!
//! Permuting the axes of a tensor moves no element, so a tensor may lie in memory in any order of its axes. What works on each element by
//! itself need not care: a *dense* tensor is one stretch of memory without gaps or repeats, and
//! [`memory`](Tensor::memory) is that stretch, whatever the order. One order has a use of its own here: images with the batch innermost
//! ("images last", `[c, h, w, n]`), in which convolution and pooling work on many images at a time (`ops/images_last.rs`).
//!
//! Results are the same in every order; only the way through memory differs. Next: `create.rs`.

use super::Tensor;
use super::buffer::Shared;

impl Tensor {
    /// Whether the elements fill one stretch of memory, each place once, in whatever order of the axes.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// let x = Tensor::arange(6).reshape([2, 3]);
    /// assert!(x.t().is_dense() && !x.t().is_contiguous());
    /// assert!(!x.slice(1, 0..2).is_dense());
    /// ```
    pub fn is_dense(&self) -> bool {
        if self.is_contiguous() {
            return true;
        }
        let axes = self.axes_by_stride();
        let axes = &axes[..self.rank()];
        let mut step = 1;
        axes.iter().rev().all(|&axis| {
            let fits = self.shape[axis] == 1 || self.strides[axis] == step;
            step *= self.shape[axis];
            fits
        })
    }

    /// The elements in the order in which they lie in memory.
    ///
    /// # Panics
    /// On a view with gaps or repeats; see [`is_dense`](Tensor::is_dense).
    #[track_caller]
    pub fn memory(&self) -> &[f32] {
        assert!(
            self.is_dense(),
            "memory: a view of shape {} with strides {} has gaps or repeats; call contiguous() first",
            self.shape,
            self.strides
        );
        &self.storage()[..self.numel()]
    }

    /// The elements in the order in which they lie in memory, to write to. A tensor that shares its memory is copied first, in the
    /// same order.
    ///
    /// # Panics
    /// As [`memory`](Tensor::memory).
    #[track_caller]
    pub fn memory_mut(&mut self) -> &mut [f32] {
        assert!(
            self.is_dense(),
            "memory_mut: a view of shape {} with strides {} has gaps or repeats; call contiguous() first",
            self.shape,
            self.strides
        );
        let (start, len) = (self.offset, self.numel());
        if self.buffer.get_mut().is_none() {
            let mut copy = Shared::new(len);
            if let Some(to) = copy.get_mut() {
                to[..len].copy_from_slice(self.memory());
            }
            (self.buffer, self.offset) = (copy, 0);
            return self.memory_mut();
        }
        match self.buffer.get_mut() {
            Some(buffer) if start + len <= buffer.len() => &mut buffer[start..start + len],
            _ => &mut [], // an empty view at the end of its buffer
        }
    }

    /// A tensor of unspecified elements in this one's shape, and in its order of memory where it is dense. PyTorch's
    /// `torch.empty_like`.
    #[track_caller]
    pub fn empty_like(&self) -> Tensor {
        let mut like = Tensor::empty(self.shape);
        if self.is_dense() {
            like.strides = self.strides;
        }
        like
    }

    /// This tensor in the order of memory of another dense one of its shape: itself where it lies so already, a copy otherwise.
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn in_order_of(&self, other: &Tensor) -> Tensor {
        assert!(
            self.shape == other.shape,
            "in_order_of: needs a tensor of the same shape, got {} and {}",
            self.shape,
            other.shape
        );
        if self.has_order_of(other) {
            return self.clone();
        }
        let axes = other.axes_by_stride();
        let axes = &axes[..self.rank()];
        let mut copy = self.permute(axes).contiguous();
        let (mut shape, mut strides) = (copy.shape, copy.strides);
        for (from, &to) in axes.iter().enumerate() {
            (shape[to], strides[to]) = (copy.shape[from], copy.strides[from]);
        }
        (copy.shape, copy.strides) = (shape, strides);
        copy
    }

    /// Whether equal places of the two memories are equal elements.
    pub(crate) fn has_order_of(&self, other: &Tensor) -> bool {
        let mut axes = self.shape.iter().zip(self.strides.iter().zip(other.strides.iter()));
        self.shape == other.shape && axes.all(|(&dim, (a, b))| dim == 1 || a == b) && self.is_dense()
    }

    /// The axes, the one with the largest steps first; axes of equal steps stay in order.
    fn axes_by_stride(&self) -> [usize; super::MAX_RANK] {
        let mut axes = std::array::from_fn(|axis| axis);
        // Axes of length one have strides without a meaning. They go where they are out of the way.
        let step = |axis: usize| if self.shape[axis] == 1 { usize::MAX } else { self.strides[axis] };
        axes[..self.rank()].sort_by_key(|&axis| std::cmp::Reverse(step(axis)));
        axes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permutation_is_dense_and_keeps_its_elements() {
        let x = Tensor::arange(2 * 3 * 5).reshape([2, 1, 3, 5]);
        let orders = [[0, 1, 2, 3], [1, 2, 3, 0], [3, 2, 1, 0], [2, 0, 1, 3], [0, 3, 1, 2]];
        for order in orders {
            let view = x.permute(&order);
            assert!(view.is_dense(), "{order:?}");
            assert_eq!(view.memory(), x.data());
            for other in orders {
                let target = Tensor::empty(x.permute(&other).shape());
                let mut back = [0; 4];
                for (to, &from) in other.iter().enumerate() {
                    back[from] = to;
                }
                let target = target.permute(&back).permute(&order);
                let moved = view.in_order_of(&target);
                assert_eq!(moved.to_vec(), view.to_vec(), "{order:?} as {other:?}");
                assert!(moved.has_order_of(&target) && moved.is_dense(), "{order:?} as {other:?}");
                assert!(moved.empty_like().has_order_of(&target));
            }
        }
    }

    #[test]
    fn gaps_and_repeats_are_not_dense() {
        let x = Tensor::arange(24).reshape([2, 3, 4]);
        assert!(!x.slice(2, 0..3).is_dense() && !x.select(1, 0).is_dense());
        assert!(!x.unsqueeze(0).expand([2, 2, 3, 4]).is_dense());
        assert!(x.narrow(0, 1, 1).is_dense());
        assert_eq!(x.slice(2, 0..3).empty_like().strides()[..], [9, 3, 1]);
    }

    #[test]
    fn writing_to_memory_leaves_the_order_and_other_tensors_alone() {
        let x = Tensor::arange(6).reshape([2, 3]);
        let mut y = x.t();
        y.memory_mut()[1] = 9.0;
        assert_eq!(y.to_vec(), [0.0, 3.0, 9.0, 4.0, 2.0, 5.0]);
        assert!(y.has_order_of(&x.t()) && x.data()[1] == 1.0);
    }
}
