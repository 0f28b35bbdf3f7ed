//! matmul and linear: products of matrices, one or many at a time.
//!
//! ```text
//! y = a b          da = dy bᵀ        db = aᵀ dy
//! y = x Wᵀ + c     dx = dy W         dW = dyᵀ x         dc = Σ rows of dy          (linear)
//! ```
//!
//! The tape keeps both factors, since each is needed for the other's gradient. Transposes are views: GEMM packs through
//! strides. With more than two axes, the last two are matrices and the rest broadcast; a factor that was repeated gets the
//! sum over its repetitions. A linear layer starts the chain of every element from its bias, so the bias costs no pass.
//!
//! What this is not: einsum, or products of vectors (reshape them to matrices).
//!
//! Next: `images_last.rs`.

use super::broadcast::sum_to;
use crate::autograd::Var;
use crate::gemm::{Matrix, MatrixMut, Start, multiply};
use crate::{Shape, Tensor, parallel};

/// Matrices with fewer multiplications than this are shared out whole among the threads.
const SMALL: usize = 1 << 19;

/// A tensor's last two axes as a matrix, from element `offset` of its storage on.
fn matrix(tensor: &Tensor, offset: usize) -> Matrix<'_> {
    let (shape, strides) = (tensor.shape(), tensor.strides());
    let [.., rows, cols] = shape[..] else { unreachable!("checked: at least two axes") };
    let [.., row_stride, col_stride] = strides[..] else { unreachable!("as many strides as axes") };
    let data = if rows * cols == 0 { &[] } else { &tensor.storage()[offset..] };
    Matrix::strided(data, rows, cols, row_stride, col_stride)
}

/// Where matrix `i` of a batch of shape `batch` starts in the storage of `tensor`.
fn batch_offset(tensor: &Tensor, batch: Shape) -> impl Fn(usize) -> usize + use<> {
    let lead = tensor.rank() - 2;
    let (shape, strides) = (Shape::from(&tensor.shape()[..lead]), Shape::from(&tensor.strides()[..lead]));
    let Some(strides) = shape.expand_strides(&strides, &batch) else {
        unreachable!("checked: they broadcast")
    };
    move |mut i| {
        let mut offset = 0;
        for (&dim, &stride) in batch.iter().zip(strides.iter()).rev() {
            offset += i % dim * stride;
            i /= dim;
        }
        offset
    }
}

/// Whether a matrix lies in memory column after column: a batch of features that was flattened from images last is one
/// (`images_last.rs`). Its columns, one number per sample, make longer vectors than its rows.
fn lies_by_columns(x: &Tensor) -> bool {
    !x.is_contiguous() && x.t().is_contiguous()
}

/// The product of two tensors whose last two axes are matrices.
#[track_caller]
fn matmul_forward(a: &Tensor, b: &Tensor) -> Tensor {
    let (left, right) = (a.shape(), b.shape());
    assert!(
        a.rank() >= 2 && b.rank() >= 2,
        "matmul: needs matrices, got {left} and {right}; reshape a vector to one row or one column"
    );
    let (m, k, n) = (left[a.rank() - 2], left[a.rank() - 1], right[b.rank() - 1]);
    assert!(right[b.rank() - 2] == k, "matmul: left {left} needs a right side with {k} rows, got {right}");
    let (left_batch, right_batch) = (Shape::from(&left[..a.rank() - 2]), Shape::from(&right[..b.rank() - 2]));
    let Ok(batch) = left_batch.try_broadcast(&right_batch) else {
        panic!(
            "matmul: left {left} and right {right} are batches {left_batch} and {right_batch} of matrices, which do not broadcast: counted \
             from the last, each axis must agree or be 1"
        )
    };
    let mut shape = batch;
    shape.push(m);
    shape.push(n);
    let mut y = Tensor::empty(shape);
    if y.numel() == 0 {
        return y;
    }
    let (a_offset, b_offset) = (batch_offset(a, batch), batch_offset(b, batch));
    let each = |i: usize, y: &mut [f32]| {
        let c = MatrixMut::new(y, m, n);
        multiply(Start::Zero, &matrix(a, a_offset(i)), &matrix(b, b_offset(i)), c);
    };
    if m * n * k.max(1) < SMALL {
        parallel::for_each_part(parallel::Chunks::new(y.data_mut(), m * n), each);
    } else {
        y.data_mut().chunks_exact_mut(m * n).enumerate().for_each(|(i, y)| each(i, y));
    }
    y
}

impl Tensor {
    /// The matrix product `[.., m, k] x [.., k, n] -> [.., m, n]`; leading axes broadcast. PyTorch's `torch.matmul`.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// let a = Tensor::new([[1., 2.], [3., 4.]]);
    /// assert_eq!(a.matmul(&a), Tensor::new([[7., 10.], [15., 22.]]));
    /// ```
    ///
    /// # Panics
    /// When a side has fewer than two axes, the left side's columns are not the right side's rows, or the leading axes do
    /// not broadcast.
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        matmul_forward(self, other)
    }
}

impl<'t> Var<'t> {
    /// The matrix product; see [`Tensor::matmul`].
    ///
    /// # Panics
    /// When the shapes do not fit.
    #[track_caller]
    pub fn matmul(self, other: Var<'t>) -> Var<'t> {
        let (a, b) = (self.value(), other.value());
        let (left, right) = (self.id(), other.id());
        let y = matmul_forward(&a, &b);
        self.tape().record("matmul", &[self, other], y, (a, b), move |(a, b), dy, adjoints| {
            adjoints.add(left, || sum_to(dy.matmul(&b.t()), &a.shape()));
            adjoints.add(right, || sum_to(a.t().matmul(&dy), &b.shape()));
        })
    }

    /// A dense layer: `x Wᵀ + bias`, x `[n, in]`, W `[out, in]`, bias `[out]`. PyTorch's `F.linear`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    #[track_caller]
    pub fn linear(self, weight: Var<'t>, bias: Option<Var<'t>>) -> Var<'t> {
        let (x, w) = (self.value(), weight.value());
        let (input, weights) = (x.shape(), w.shape());
        let remedy = if x.rank() > 2 { "flatten(1)" } else { "unsqueeze(0)" };
        assert!(x.rank() == 2, "linear: needs an input [n, in_features], got {input}; {remedy} makes one");
        assert!(
            w.rank() == 2 && weights[1] == input[1],
            "linear: input {input} needs a weight [out_features, {}], got {weights}",
            input[1]
        );
        let (n, out) = (input[0], weights[0]);
        let c = bias.map(|bias| bias.value().contiguous());
        if let Some(c) = &c {
            assert!(c.shape() == [out], "linear: weight {weights} needs a bias [{out}], got {}", c.shape());
        }
        let numbers = c.as_ref().map(Tensor::data);
        // The same products in either order; the result lies in memory as x does.
        let by_columns = lies_by_columns(&x);
        let mut y = Tensor::empty(if by_columns { [out, n] } else { [n, out] });
        let (x_matrix, w_matrix) = (matrix(&x, 0), matrix(&w, 0));
        if by_columns {
            let start = numbers.map_or(Start::Zero, Start::PerRow);
            multiply(start, &w_matrix, &x_matrix.transposed(), MatrixMut::new(y.data_mut(), out, n));
            y = y.t();
        } else {
            let start = numbers.map_or(Start::Zero, Start::PerColumn);
            multiply(start, &x_matrix, &w_matrix.transposed(), MatrixMut::new(y.data_mut(), n, out));
        }

        let inputs = [self, weight, bias.unwrap_or(weight)];
        let inputs = &inputs[..if bias.is_some() { 3 } else { 2 }];
        let (x_id, w_id, bias_id) = (self.id(), weight.id(), bias.map(|bias| bias.id()));
        self.tape().record("linear", inputs, y, (x, w), move |(x, w), dy, adjoints| {
            adjoints.add(x_id, || if by_columns { w.t().matmul(&dy.t()).t() } else { dy.matmul(&w) });
            adjoints.add(w_id, || dy.t().matmul(&x));
            if let Some(bias) = bias_id {
                // Always by columns: their sums are the same in either order of memory, and dy mostly lies so.
                adjoints.add(bias, || dy.t().sum_axes(&[1], false));
            }
        })
    }
}
