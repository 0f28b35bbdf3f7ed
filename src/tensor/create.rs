//! Making tensors: from numbers, from nested arrays, from other tensors.
//!
//! Random tensors are not made here: see `nn/init.rs`, the only file that draws random numbers.

use super::{Shape, Tensor};

impl Tensor {
    /// A tensor from nested arrays, as `torch.tensor([[0., 1.], [2., 3.]])`.
    ///
    /// ```
    /// use tapegrad::Tensor;
    /// let k = Tensor::new([[0., 1.], [2., 3.]]);
    /// assert_eq!(k.shape(), [2, 2]);
    /// ```
    #[track_caller]
    pub fn new(values: impl Nested) -> Tensor {
        let mut shape = Shape::SCALAR;
        values.shape(&mut shape);
        let mut flat = Vec::with_capacity(shape.numel());
        values.collect(&mut flat);
        Tensor::from_slice(&flat, shape)
    }

    /// A tensor of a given shape from its elements in row-major order.
    #[track_caller]
    pub fn from_slice(values: &[f32], shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let numel = shape.numel_for("from_slice");
        assert!(values.len() == numel, "from_slice: {shape} needs {numel} elements, got {}", values.len());
        let mut tensor = Tensor::empty(shape);
        tensor.data_mut().copy_from_slice(values);
        tensor
    }

    /// A tensor with one element and no axes.
    pub fn scalar(value: f32) -> Tensor {
        Tensor::full(Shape::SCALAR, value)
    }

    /// Every element the same.
    #[track_caller]
    pub fn full(shape: impl Into<Shape>, value: f32) -> Tensor {
        let mut tensor = Tensor::empty(shape);
        tensor.data_mut().fill(value);
        tensor
    }

    /// Every element 0.
    #[track_caller]
    pub fn zeros(shape: impl Into<Shape>) -> Tensor {
        Tensor::full(shape, 0.0)
    }

    /// Every element 1.
    #[track_caller]
    pub fn ones(shape: impl Into<Shape>) -> Tensor {
        Tensor::full(shape, 1.0)
    }

    /// 0, 1, … up to `len - 1`.
    ///
    /// # Panics
    /// Above 2^24, where `f32` no longer holds every whole number.
    #[track_caller]
    pub fn arange(len: usize) -> Tensor {
        assert!(len <= 1 << 24, "arange: f32 counts exactly only up to {}, got {len}", 1 << 24);
        let mut tensor = Tensor::empty([len]);
        for (i, value) in tensor.data_mut().iter_mut().enumerate() {
            *value = i as f32;
        }
        tensor
    }

    /// Tensors joined along one axis; the other axes must agree.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// let x = Tensor::arange(4).reshape([2, 2]);
    /// assert_eq!(Tensor::cat(&[&x, &x], 1).shape(), [2, 4]);
    /// ```
    #[track_caller]
    pub fn cat(tensors: &[&Tensor], axis: isize) -> Tensor {
        let Some(first) = tensors.first() else { panic!("cat: needs at least one tensor") };
        let at = first.shape.axis("cat", axis);
        for tensor in tensors {
            let fits = tensor.rank() == first.rank() && tensor.shape.with(at, first.shape[at]) == first.shape;
            assert!(
                fits,
                "cat: {} and {} do not join along axis {at}: all other axes must agree",
                first.shape, tensor.shape
            );
        }
        let total = tensors.iter().fold(0, |total: usize, tensor| total.saturating_add(tensor.shape[at]));
        let mut joined = Tensor::empty(first.shape.with(at, total));
        // In memory every index of the axes before `at` owns one run of `total * inner` elements.
        let inner: usize = first.shape[at + 1..].iter().product();
        let mut start = 0;
        for tensor in tensors {
            let run = tensor.shape[at] * inner;
            if run > 0 {
                let source = tensor.contiguous();
                let rows = joined.data_mut().chunks_exact_mut(total * inner);
                for (row, part) in rows.zip(source.data().chunks_exact(run)) {
                    row[start..start + run].copy_from_slice(part);
                }
            }
            start += run;
        }
        joined
    }

    /// Tensors of one shape joined along a new axis.
    #[track_caller]
    pub fn stack(tensors: &[&Tensor], axis: isize) -> Tensor {
        let Some(first) = tensors.first() else { panic!("stack: needs at least one tensor") };
        for tensor in tensors {
            assert!(
                tensor.shape == first.shape,
                "stack: needs tensors of one shape, got {} and {}",
                first.shape,
                tensor.shape
            );
        }
        first.shape.new_axis("stack", axis);
        let lifted: Vec<Tensor> = tensors.iter().map(|tensor| tensor.unsqueeze(axis)).collect();
        // A negative axis of `unsqueeze` counts in the new shape, as `cat`'s does.
        Tensor::cat(&lifted.iter().collect::<Vec<_>>(), axis)
    }
}

/// Numbers, and arrays, slices and vectors of them to any depth.
pub trait Nested {
    /// Appends the lengths of the axes, outermost first.
    fn shape(&self, shape: &mut Shape);
    /// Appends the elements in row-major order.
    fn collect(&self, flat: &mut Vec<f32>);
}

impl Nested for f32 {
    fn shape(&self, _: &mut Shape) {}
    fn collect(&self, flat: &mut Vec<f32>) {
        flat.push(*self);
    }
}

impl<T: Nested> Nested for &[T] {
    #[track_caller]
    fn shape(&self, shape: &mut Shape) {
        shape.push(self.len());
        let Some(first) = self.first() else { return };
        let outer = *shape;
        first.shape(shape);
        for (i, row) in self.iter().enumerate() {
            let mut other = outer;
            row.shape(&mut other);
            assert!(
                other == *shape,
                "Tensor::new: rows differ in length: row 0 makes {shape}, row {i} makes {other}"
            );
        }
    }
    fn collect(&self, flat: &mut Vec<f32>) {
        self.iter().for_each(|row| row.collect(flat));
    }
}

impl<T: Nested, const N: usize> Nested for [T; N] {
    #[track_caller]
    fn shape(&self, shape: &mut Shape) {
        self.as_slice().shape(shape);
    }
    fn collect(&self, flat: &mut Vec<f32>) {
        self.as_slice().collect(flat);
    }
}

impl<T: Nested> Nested for Vec<T> {
    #[track_caller]
    fn shape(&self, shape: &mut Shape) {
        self.as_slice().shape(shape);
    }
    fn collect(&self, flat: &mut Vec<f32>) {
        self.as_slice().collect(flat);
    }
}
