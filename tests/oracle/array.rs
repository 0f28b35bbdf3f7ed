//! A plain f64 array: a shape and the numbers in row-major order.
//!
//! No strides, no views, no broadcasting: an oracle should have nothing in it that could be
//! wrong in the same way as the engine. Next file: data.rs.

/// Numbers in row-major order. `shape` is empty for a single number.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Array {
    /// Panics unless `data` has as many numbers as `shape` asks for.
    #[track_caller]
    pub fn new(shape: &[usize], data: Vec<f64>) -> Array {
        let size: usize = shape.iter().product();
        assert_eq!(size, data.len(), "shape {shape:?} needs {size} numbers");
        Array { shape: shape.to_vec(), data }
    }

    pub fn zeros(shape: &[usize]) -> Array {
        Array::new(shape, vec![0.0; shape.iter().product()])
    }

    #[track_caller]
    pub fn from_f32(shape: &[usize], data: &[f32]) -> Array {
        Array::new(shape, data.iter().map(|&v| f64::from(v)).collect())
    }

    /// Each number rounded to the nearest f32.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|&v| v as f32).collect()
    }

    /// The same shape with `f` of each number.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Array {
        Array { shape: self.shape.clone(), data: self.data.iter().map(|&v| f(v)).collect() }
    }

    /// The sum of products, element by element: the loss whose gradient with respect to
    /// `self` is `other`.
    #[track_caller]
    pub fn dot(&self, other: &Array) -> f64 {
        assert_eq!(self.shape, other.shape, "dot needs equal shapes");
        self.data.iter().zip(&other.data).map(|(a, b)| a * b).sum()
    }

    /// Where element `index` lies in `data`. An index out of range panics here, not somewhere
    /// in the next row.
    #[track_caller]
    pub fn offset<const D: usize>(&self, index: [usize; D]) -> usize {
        assert_eq!(D, self.shape.len(), "{D} indices for shape {:?}", self.shape);
        let mut offset = 0;
        for (&i, &size) in index.iter().zip(&self.shape) {
            assert!(i < size, "index {index:?} is outside of shape {:?}", self.shape);
            offset = offset * size + i;
        }
        offset
    }

    #[track_caller]
    pub fn at<const D: usize>(&self, index: [usize; D]) -> f64 {
        self.data[self.offset(index)]
    }

    #[track_caller]
    pub fn at_mut<const D: usize>(&mut self, index: [usize; D]) -> &mut f64 {
        let offset = self.offset(index);
        &mut self.data[offset]
    }

    /// The sizes of an array of known rank: `let [n, c, h, w] = x.dims();`
    #[track_caller]
    pub fn dims<const D: usize>(&self) -> [usize; D] {
        match self.shape.as_slice().try_into() {
            Ok(dims) => dims,
            Err(_) => panic!("expected {D} axes, got shape {:?}", self.shape),
        }
    }

    /// Splits the shape around `axis`: how many blocks before it, its size, how many elements
    /// lie behind it. Element `i` of the axis is then at `(outer * size + i) * inner + rest`.
    #[track_caller]
    pub fn around(&self, axis: usize) -> (usize, usize, usize) {
        assert!(axis < self.shape.len(), "no axis {axis} in shape {:?}", self.shape);
        let outer = self.shape[..axis].iter().product();
        let inner = self.shape[axis + 1..].iter().product();
        (outer, self.shape[axis], inner)
    }
}
