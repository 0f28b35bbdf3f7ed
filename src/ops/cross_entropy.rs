//! Cross-entropy: how surprised a classifier is by the right answers.
//!
//! ```text
//! y  = 1/n Σ_i (ln Σ_j e^(x_ij - m_i) - (x_il - m_i))        l the label of row i, m_i its largest logit
//! dx = dy / n · (softmax(x) - onehot)
//! ```
//!
//! softmax, logarithm, choice of the label's column and mean are one op. So the exponentials are computed once, and the
//! gradient is what is left when the factors of four ops have cancelled. The tape keeps softmax(x) and the labels;
//! the gradient is written over the softmax.
//!
//! Sixteen rows are worked on at a time, one in each lane: logits are few, rows are many. So the logits are wanted by columns, as a
//! dense layer gives them for a batch that lies images last; others are transposed first.
//!
//! What this is not: targets that are probabilities, class weights or label smoothing.
//!
//! Next: `mse.rs`.

use crate::gemm::MatrixMut;
use crate::parallel::{self, Chunks};
use crate::simd::slices::{self, CHUNK};
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch, math};
use crate::{Tensor, Var};

impl Tensor {
    /// The mean over the rows of `-ln softmax(row)[label]`: logits `[n, classes]`, one label for each row. A tensor
    /// with one element; NaN for an empty batch, like every mean.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// let sure = Tensor::new([[20.0, 0.0]]);
    /// assert!(sure.cross_entropy(&[0]).item() < 1e-6);
    /// assert!(sure.cross_entropy(&[1]).item() > 19.0);
    /// ```
    ///
    /// # Panics
    /// When the logits are no matrix, or a label is missing or not below the number of classes.
    #[track_caller]
    pub fn cross_entropy(&self, labels: &[usize]) -> Tensor {
        check(self, labels);
        cross_entropy_forward(self, labels).0
    }
}

impl<'t> Var<'t> {
    /// The mean cross-entropy of logits `[n, classes]`; see [`Tensor::cross_entropy`].
    #[track_caller]
    pub fn cross_entropy(self, labels: &[usize]) -> Var<'t> {
        let (id, x) = (self.id(), self.value());
        check(&x, labels);
        let (loss, probabilities) = cross_entropy_forward(&x, labels);
        let labels = labels.to_vec();
        let kept = (x, probabilities, labels);
        self.tape().record(
            "cross_entropy",
            &[self],
            loss,
            kept,
            move |(x, probabilities, labels), dy, adjoints| {
                // The gradient lies in memory as the logits do.
                adjoints
                    .add(id, || cross_entropy_backward(dy.item(), probabilities, &labels).in_order_of(&x));
            },
        )
    }
}

#[track_caller]
fn check(logits: &Tensor, labels: &[usize]) {
    let shape = logits.shape();
    let [n, classes] = shape[..] else {
        panic!("cross_entropy: needs logits [n, classes], got {shape}");
    };
    assert!(labels.len() == n, "cross_entropy: logits {shape} need {n} labels, got {}", labels.len());
    if let Some(row) = labels.iter().position(|&label| label >= classes) {
        panic!(
            "cross_entropy: label {} of row {row} is not below {classes}, the classes of {shape}",
            labels[row]
        );
    }
}

/// The loss and the softmax of the logits, that one as `[classes, n]`.
fn cross_entropy_forward(x: &Tensor, labels: &[usize]) -> (Tensor, Tensor) {
    let (n, classes) = (x.size(0), x.size(1));
    let by_class = x.t().contiguous();
    let (mut losses, mut probabilities) = (Tensor::empty([n]), Tensor::empty([classes, n]));
    if n > 0 {
        let width = (CHUNK / classes).next_multiple_of(LANES);
        let columns = MatrixMut::new(probabilities.data_mut(), classes, n).split_columns(width);
        parallel::for_each_part((Chunks::new(losses.data_mut(), width), columns), |i, (losses, columns)| {
            let first = i * width;
            let labels = &labels[first..][..losses.len()];
            dispatch(Columns {
                x: &by_class.data()[first..],
                stride: n,
                labels,
                losses,
                probabilities: columns,
            });
        });
    }
    (Tensor::scalar(slices::sum(losses.data()) / n as f32), probabilities)
}

/// Some columns of the logits, one for each image.
struct Columns<'a> {
    /// From the first image's logit of class 0 on; that of the next class lies `stride` behind.
    x: &'a [f32],
    stride: usize,
    labels: &'a [usize],
    losses: &'a mut [f32],
    probabilities: MatrixMut<'a>,
}

impl Kernel for Columns<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Columns { x, stride, labels, losses, mut probabilities } = self;
        let classes = probabilities.rows();
        for (block, (losses, labels)) in losses.chunks_mut(LANES).zip(labels.chunks(LANES)).enumerate() {
            let (first, images) = (block * LANES, losses.len());
            let mut m = isa.splat(f32::NEG_INFINITY);
            for class in 0..classes {
                m = m.max(isa.load_partial(&x[class * stride + first..][..images], 0.0));
            }
            // Sixteen sums, of which class j goes to number j mod 16: the order that a row's sum has in `softmax.rs`.
            let mut sums = [isa.splat(0.0); LANES];
            for group in (0..classes).step_by(LANES) {
                for (class, sum) in (group..classes).zip(&mut sums) {
                    let power =
                        math::exp(isa, isa.load_partial(&x[class * stride + first..][..images], 0.0) - m);
                    power.store_partial(&mut probabilities.row_mut(class)[first..][..images]);
                    *sum = *sum + power;
                }
            }
            let sum = I::F32::sum(sums);
            for class in 0..classes {
                let p = &mut probabilities.row_mut(class)[first..][..images];
                (isa.load_partial(p, 0.0) / sum).store_partial(p);
            }
            let (largest, ln_sum) = (m.to_array(), math::ln(isa, sum).to_array());
            for (i, (loss, &label)) in losses.iter_mut().zip(labels).enumerate() {
                *loss = ln_sum[i] - (x[label * stride + first + i] - largest[i]);
            }
        }
    }
}

fn cross_entropy_backward(dy: f32, probabilities: Tensor, labels: &[usize]) -> Tensor {
    let n = labels.len();
    let mut dx = probabilities;
    for (i, &label) in labels.iter().enumerate() {
        dx.data_mut()[label * n + i] -= 1.0;
    }
    (dx * (dy / n as f32)).t()
}
