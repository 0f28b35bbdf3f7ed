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
//! What this is not: targets that are probabilities, class weights or label smoothing.
//!
//! Next: `mse.rs`.

use super::softmax::{shifted_exp, update};
use crate::parallel::{self, Chunks};
use crate::simd::slices::{self, CHUNK};
use crate::simd::{Isa, Kernel, Lanes, dispatch, math};
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
        self.tape().record("cross_entropy", &[self], loss, move |dy, adjoints| {
            // The gradient lies in memory as the logits do.
            adjoints.add(id, || cross_entropy_backward(dy.item(), probabilities, &labels).in_order_of(&x));
        })
    }
}

#[track_caller]
fn check(logits: &Tensor, labels: &[usize]) {
    let shape = logits.shape();
    let [n, classes] = shape[..] else {
        panic!("cross_entropy: needs logits [n, classes], got shape {shape}");
    };
    assert!(labels.len() == n, "cross_entropy: logits {shape} need {n} labels, got {}", labels.len());
    if let Some(row) = labels.iter().position(|&label| label >= classes) {
        panic!(
            "cross_entropy: label {} of row {row} is not below {classes}, the classes of {shape}",
            labels[row]
        );
    }
}

/// The loss and the softmax of the logits.
fn cross_entropy_forward(x: &Tensor, labels: &[usize]) -> (Tensor, Tensor) {
    let (n, classes) = (x.size(0), x.size(1));
    let x = x.contiguous();
    let (mut losses, mut probabilities) = (Tensor::empty([n]), Tensor::empty([n, classes]));
    if n > 0 {
        let rows = (CHUNK / classes).max(1);
        let parts =
            (Chunks::new(losses.data_mut(), rows), Chunks::new(probabilities.data_mut(), rows * classes));
        parallel::for_each_part(parts, |i, (losses, probabilities)| {
            let x = &x.data()[i * rows * classes..][..probabilities.len()];
            let labels = &labels[i * rows..][..losses.len()];
            dispatch(Rows { classes, x, labels, losses, probabilities });
        });
    }
    (Tensor::scalar(slices::sum(losses.data()) / n as f32), probabilities)
}

struct Rows<'a> {
    classes: usize,
    x: &'a [f32],
    labels: &'a [usize],
    losses: &'a mut [f32],
    probabilities: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let rows = self.x.chunks_exact(self.classes).zip(self.probabilities.chunks_exact_mut(self.classes));
        for (((x, p), &label), loss) in rows.zip(self.labels).zip(self.losses) {
            let (largest, sum) = shifted_exp(isa, x, p);
            *loss = math::ln(isa, isa.splat(sum)).to_array()[0] - (x[label] - largest);
            let sum = isa.splat(sum);
            update(isa, p, 0.0, |power| power / sum);
        }
    }
}

fn cross_entropy_backward(dy: f32, probabilities: Tensor, labels: &[usize]) -> Tensor {
    let (n, classes) = (probabilities.size(0), probabilities.size(1));
    let mut dx = probabilities;
    for (row, &label) in dx.data_mut().chunks_exact_mut(classes.max(1)).zip(labels) {
        row[label] -= 1.0;
    }
    dx * (dy / n as f32)
}
