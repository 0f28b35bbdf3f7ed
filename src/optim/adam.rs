//! Adam: every element has a step size of its own, from running means of its gradient and of the gradient's square.
//!
//! ```text
//! g = gradient + weight_decay · p                  (Adam's decay)
//! p = p · (1 - lr · weight_decay)                  (AdamW's decay, instead)
//! m = m + (1 - beta1) · (g - m)                    a mean of g
//! v = beta2 · v + (1 - beta2) · g²                 a mean of g²
//! p = p - lr / (1 - beta1^t) · m / (√v / √(1 - beta2^t) + eps)
//! ```
//!
//! Both means start at 0 and are too small at first; the divisions by 1 - beta^t correct that at step t of the parameter
//! (Kingma and Ba 2015, "Adam: a method for stochastic optimization", section 3). The decay in AdamW does not pass through
//! the means (Loshchilov and Hutter 2019, "Decoupled weight decay regularization").
//!
//! The formulas are PyTorch's, in its order of operations: corrections in `f64`, eps added after the correction. In exact
//! arithmetic the paper's are the same.
//!
//! Memory, per element: reads p, m, v and g, writes p, m and v, in one pass. Written op by op it would be a dozen passes.
//!
//! Next to read: `adamw.rs`.

use std::collections::HashMap;

use super::{Optimizer, ParamState, check_amount, check_lr, check_shapes, check_share, check_state};
use crate::autograd::ParamId;
use crate::parallel::{self, Chunks};
use crate::simd::slices::CHUNK;
use crate::simd::{self, Isa, Kernel, LANES, Lanes};
use crate::{Param, Result, Tensor};

/// The optimiser of the notebook's cell 47. PyTorch's `torch.optim.Adam`.
///
/// ```
/// use tapegrad::optim::{Adam, Optimizer};
/// use tapegrad::{Param, Tensor};
/// let mut p = Param::new(Tensor::new([1.0, 2.0]));
/// Adam::new(0.001).update(&mut p, &Tensor::new([100.0, -0.01]));
/// // The first step is lr towards the gradient's sign, whatever its size.
/// assert!((p.value().get([0]) - 0.999).abs() < 1e-6 && (p.value().get([1]) - 2.001).abs() < 1e-6);
/// ```
#[derive(Debug)]
pub struct Adam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    /// Whether the decay goes past the means: AdamW.
    decoupled: bool,
    moments: HashMap<ParamId, Moments>,
}

/// PyTorch's names of m and v.
const STATE_NAMES: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// What Adam remembers of a parameter.
///
/// Vectors, not tensors: they last. A tensor made after the first step would take blocks out of the free list that the
/// second step's tensors count on, and these would have to be allocated again.
#[derive(Debug)]
struct Moments {
    /// How many steps the parameter has had.
    step: u64,
    m: Vec<f32>,
    v: Vec<f32>,
}

impl Adam {
    /// Adam with PyTorch's other options: betas (0.9, 0.999), eps 1e-8, no weight decay.
    #[track_caller]
    pub fn new(lr: f64) -> Adam {
        Adam::with_decay(false, lr)
    }

    /// The same, or with the decay past the means, for [`AdamW`](super::AdamW).
    #[track_caller]
    pub(super) fn with_decay(decoupled: bool, lr: f64) -> Adam {
        let adam = Adam {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled,
            moments: HashMap::new(),
        };
        check_lr(adam.name(), lr);
        adam
    }

    /// As which of the two it goes, for messages.
    fn name(&self) -> &'static str {
        if self.decoupled { "AdamW" } else { "Adam" }
    }

    /// With other shares of the old means: of the gradient, and of its square.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Adam {
        check_share(self.name(), "beta1", beta1);
        check_share(self.name(), "beta2", beta2);
        self.betas = (beta1, beta2);
        self
    }

    /// With another number added to the root, which bounds the step where gradients vanish.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Adam {
        check_amount(self.name(), "eps", eps);
        self.eps = eps;
        self
    }

    /// With a pull of every parameter towards 0.
    #[track_caller]
    pub fn weight_decay(mut self, weight_decay: f64) -> Adam {
        check_amount(self.name(), "weight_decay", weight_decay);
        self.weight_decay = weight_decay;
        self
    }
}

impl Optimizer for Adam {
    fn update(&mut self, param: &mut Param, gradient: &Tensor) {
        check_shapes(self.name(), param, gradient);
        let gradient = gradient.contiguous();
        let len = gradient.numel();
        let moments = self.moments.entry(param.id()).or_insert_with(|| Moments {
            step: 0,
            m: vec![0.0; len],
            v: vec![0.0; len],
        });
        moments.step += 1;

        let (beta1, beta2) = self.betas;
        let correction1 = 1.0 - power(beta1, moments.step);
        let correction2 = 1.0 - power(beta2, moments.step);
        let (l2, shrink) = match self.decoupled {
            true => (0.0, 1.0 - self.lr * self.weight_decay),
            false => (self.weight_decay, 1.0),
        };
        let numbers = Numbers {
            l2: l2 as f32,
            shrink: shrink as f32,
            fresh1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            fresh2: (1.0 - beta2) as f32,
            root_correction: correction2.sqrt() as f32,
            eps: self.eps as f32,
            step_size: (self.lr / correction1) as f32,
        };
        let g = gradient.data();
        let parts = (
            Chunks::new(param.data_mut(), CHUNK),
            Chunks::new(&mut moments.m, CHUNK),
            Chunks::new(&mut moments.v, CHUNK),
        );
        parallel::for_each_part(parts, |i, (p, m, v)| {
            let g = &g[i * CHUNK..][..p.len()];
            simd::dispatch(AdamKernel { numbers, p, m, v, g });
        });
    }

    fn name(&self) -> &'static str {
        if self.decoupled { "AdamW" } else { "Adam" }
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        let (beta1, beta2) = self.betas;
        vec![("beta1", beta1), ("beta2", beta2), ("eps", self.eps), ("weight_decay", self.weight_decay)]
    }

    fn state(&self, param: &Param) -> Option<ParamState> {
        let Moments { step, m, v } = self.moments.get(&param.id())?;
        let lists = STATE_NAMES.map(String::from).into_iter().zip([m.clone(), v.clone()]).collect();
        Some(ParamState { step: *step, lists })
    }

    fn set_state(&mut self, param: &Param, state: Option<ParamState>) -> Result<()> {
        let Some(state) = state else {
            self.moments.remove(&param.id());
            return Ok(());
        };
        let step = state.step;
        let [m, v] = check_state("Adam", STATE_NAMES, param, state)?;
        self.moments.insert(param.id(), Moments { step, m, v });
        Ok(())
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        check_lr(self.name(), lr);
        self.lr = lr;
    }
}

/// base^exponent by squaring. std's `powi` may round differently from platform to platform; products do not.
fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut rest) = (1.0, base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result *= square;
        }
        square *= square;
        rest >>= 1;
    }
    result
}

/// Everything in a step that is the same for all elements.
#[derive(Clone, Copy)]
struct Numbers {
    /// Adam's weight decay.
    l2: f32,
    /// AdamW's: 1 - lr · weight_decay.
    shrink: f32,
    /// 1 - beta1.
    fresh1: f32,
    beta2: f32,
    /// 1 - beta2.
    fresh2: f32,
    /// √(1 - beta2^t).
    root_correction: f32,
    eps: f32,
    /// lr / (1 - beta1^t).
    step_size: f32,
}

impl Numbers {
    /// The new p, m and v.
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, p: I::F32, m: I::F32, v: I::F32, g: I::F32) -> (I::F32, I::F32, I::F32) {
        let g = p.mul_add(isa.splat(self.l2), g);
        let p = p * isa.splat(self.shrink);
        let m = (g - m).mul_add(isa.splat(self.fresh1), m);
        let v = (g * g).mul_add(isa.splat(self.fresh2), v * isa.splat(self.beta2));
        let root = v.sqrt() / isa.splat(self.root_correction) + isa.splat(self.eps);
        (p - isa.splat(self.step_size) * m / root, m, v)
    }
}

struct AdamKernel<'a> {
    numbers: Numbers,
    p: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    g: &'a [f32],
}

impl Kernel for AdamKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let AdamKernel { numbers, p, m, v, g } = self;
        let (p_full, p_rest) = p.as_chunks_mut::<LANES>();
        let (m_full, m_rest) = m.as_chunks_mut::<LANES>();
        let (v_full, v_rest) = v.as_chunks_mut::<LANES>();
        let (g_full, g_rest) = g.as_chunks::<LANES>();
        for (((p, m), v), g) in p_full.iter_mut().zip(m_full).zip(v_full).zip(g_full) {
            let new = numbers.apply(isa, isa.load(p), isa.load(m), isa.load(v), isa.load(g));
            new.0.store(p);
            new.1.store(m);
            new.2.store(v);
        }
        if !p_rest.is_empty() {
            let load = |x: &[f32]| isa.load_partial(x, 0.0);
            let new = numbers.apply(isa, load(p_rest), load(m_rest), load(v_rest), load(g_rest));
            new.0.store_partial(p_rest);
            new.1.store_partial(m_rest);
            new.2.store_partial(v_rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::power;

    #[test]
    fn powers_are_the_products() {
        for base in [0.0, 0.5, 0.9, 0.999] {
            let mut product = 1.0_f64;
            for exponent in 0..2000 {
                assert!((power(base, exponent) - product).abs() <= 1e-12 * product, "{base}^{exponent}");
                product *= base;
            }
        }
        assert_eq!(power(0.999, u64::MAX), 0.0);
    }
}
