//! Stochastic gradient descent, with momentum, weight decay and Nesterov's look ahead.
//!
//! ```text
//! g = gradient + weight_decay · p
//! b = g                                at the parameter's first step
//! b = momentum · b + (1 - dampening) · g      after it
//! p = p - lr · g                       without momentum (b is not kept)
//! p = p - lr · b                       with momentum (Polyak 1964)
//! p = p - lr · (g + momentum · b)      with Nesterov's (Sutskever et al. 2013, in PyTorch's form)
//! ```
//!
//! PyTorch's momentum multiplies the learning rate where some papers have it inside b; the two differ when the rate
//! changes. Every product with a sum is one fused multiply-add.
//!
//! Memory, per element: reads p and g, writes p; with momentum also reads and writes b. One pass.
//!
//! Next to read: `adam.rs`.

use std::collections::HashMap;

use super::{Optimizer, ParamState, check_amount, check_lr, check_shapes, check_share, check_state};
use crate::autograd::ParamId;
use crate::parallel::{self, Chunks};
use crate::simd::slices::{self, CHUNK, Zip};
use crate::simd::{self, Isa, Kernel, LANES, Lanes};
use crate::{Param, Result, Tensor};

/// PyTorch's name of b.
const STATE_NAMES: [&str; 1] = ["momentum_buffer"];

/// Stochastic gradient descent. PyTorch's `torch.optim.SGD`.
///
/// ```
/// use tapegrad::optim::{Optimizer, Sgd};
/// use tapegrad::{Param, Tensor};
/// let mut p = Param::new(Tensor::new([1.0, 2.0]));
/// Sgd::new(0.5).update(&mut p, &Tensor::new([1.0, -1.0]));
/// assert_eq!(p.value().to_vec(), [0.5, 2.5]);
/// ```
#[derive(Debug)]
pub struct Sgd {
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    /// b of every parameter that has had a step with momentum. Vectors, not tensors: see `Moments` in `adam.rs`.
    momentum_buffers: HashMap<ParamId, Vec<f32>>,
}

impl Sgd {
    /// Plain gradient descent: p = p - lr · gradient.
    #[track_caller]
    pub fn new(lr: f64) -> Sgd {
        check_lr("Sgd", lr);
        Sgd {
            lr,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            momentum_buffers: HashMap::new(),
        }
    }

    /// With momentum: the share of the last direction that is kept, 0.9 as a rule.
    #[track_caller]
    pub fn momentum(mut self, momentum: f64) -> Sgd {
        check_share("Sgd", "momentum", momentum);
        assert!(!self.nesterov || momentum > 0.0, "Sgd: Nesterov's momentum needs a momentum above 0, got 0");
        self.momentum = momentum;
        self
    }

    /// With only a share 1 - `dampening` of a new gradient in the momentum.
    #[track_caller]
    pub fn dampening(mut self, dampening: f64) -> Sgd {
        assert!((0.0..=1.0).contains(&dampening), "Sgd: dampening is from 0 to 1, got {dampening}");
        assert!(
            !self.nesterov || dampening == 0.0,
            "Sgd: Nesterov's momentum goes without dampening, got {dampening}"
        );
        self.dampening = dampening;
        self
    }

    /// With a pull of every parameter towards 0: this times the parameter is added to its gradient.
    #[track_caller]
    pub fn weight_decay(mut self, weight_decay: f64) -> Sgd {
        check_amount("Sgd", "weight_decay", weight_decay);
        self.weight_decay = weight_decay;
        self
    }

    /// With Nesterov's momentum; give [`momentum`](Sgd::momentum) first.
    #[track_caller]
    pub fn nesterov(mut self) -> Sgd {
        assert!(
            self.momentum > 0.0 && self.dampening == 0.0,
            "Sgd: Nesterov's momentum needs a momentum above 0 and no dampening, got {} and {}",
            self.momentum,
            self.dampening
        );
        self.nesterov = true;
        self
    }
}

impl Optimizer for Sgd {
    fn update(&mut self, param: &mut Param, gradient: &Tensor) {
        check_shapes("Sgd", param, gradient);
        let gradient = gradient.contiguous();
        let (lr, decay) = (self.lr as f32, self.weight_decay as f32);
        if self.momentum == 0.0 {
            slices::zip_update(Plain { lr, decay }, param.data_mut(), gradient.data());
            return;
        }
        let g = gradient.data();
        let mut momentum = self.momentum as f32;
        let mut fresh = (1.0 - self.dampening) as f32;
        let buffer = self.momentum_buffers.entry(param.id()).or_insert_with(|| {
            // The first step takes the gradient as it is: 0 · 0 + 1 · g, without dampening.
            (momentum, fresh) = (0.0, 1.0);
            vec![0.0; g.len()]
        });
        let kernel =
            Momentum { lr, decay, momentum, fresh, ahead: self.nesterov.then_some(self.momentum as f32) };
        let parts = (Chunks::new(param.data_mut(), CHUNK), Chunks::new(buffer, CHUNK));
        parallel::for_each_part(parts, |i, (p, b)| {
            let g = &g[i * CHUNK..][..p.len()];
            simd::dispatch(MomentumKernel { kernel, p, b, g });
        });
    }

    fn name(&self) -> &'static str {
        "SGD"
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("momentum", self.momentum),
            ("dampening", self.dampening),
            ("weight_decay", self.weight_decay),
            ("nesterov", f64::from(u8::from(self.nesterov))),
        ]
    }

    fn state(&self, param: &Param) -> Option<ParamState> {
        let buffer = self.momentum_buffers.get(&param.id())?;
        Some(ParamState { step: 0, lists: vec![(STATE_NAMES[0].to_string(), buffer.clone())] })
    }

    fn set_state(&mut self, param: &Param, state: Option<ParamState>) -> Result<()> {
        let Some(state) = state else {
            self.momentum_buffers.remove(&param.id());
            return Ok(());
        };
        let [buffer] = check_state("Sgd", STATE_NAMES, param, state)?;
        self.momentum_buffers.insert(param.id(), buffer);
        Ok(())
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        check_lr("Sgd", lr);
        self.lr = lr;
    }
}

/// A step without momentum.
#[derive(Clone, Copy)]
struct Plain {
    lr: f32,
    decay: f32,
}

impl Zip for Plain {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, p: I::F32, g: I::F32) -> I::F32 {
        let g = p.mul_add(isa.splat(self.decay), g);
        g.mul_add(isa.splat(-self.lr), p)
    }
}

/// The numbers of a step with momentum.
#[derive(Clone, Copy)]
struct Momentum {
    lr: f32,
    decay: f32,
    momentum: f32,
    /// The share of the new gradient: 1 - dampening.
    fresh: f32,
    /// The momentum once more, where Nesterov looks ahead.
    ahead: Option<f32>,
}

impl Momentum {
    /// The new p and b.
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, p: I::F32, b: I::F32, g: I::F32) -> (I::F32, I::F32) {
        let g = p.mul_add(isa.splat(self.decay), g);
        let b = b.mul_add(isa.splat(self.momentum), g * isa.splat(self.fresh));
        let direction = match self.ahead {
            Some(momentum) => b.mul_add(isa.splat(momentum), g),
            None => b,
        };
        (direction.mul_add(isa.splat(-self.lr), p), b)
    }
}

struct MomentumKernel<'a> {
    kernel: Momentum,
    p: &'a mut [f32],
    b: &'a mut [f32],
    g: &'a [f32],
}

impl Kernel for MomentumKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let MomentumKernel { kernel, p, b, g } = self;
        let (p_full, p_rest) = p.as_chunks_mut::<LANES>();
        let (b_full, b_rest) = b.as_chunks_mut::<LANES>();
        let (g_full, g_rest) = g.as_chunks::<LANES>();
        for ((p, b), g) in p_full.iter_mut().zip(b_full).zip(g_full) {
            let (new_p, new_b) = kernel.apply(isa, isa.load(p), isa.load(b), isa.load(g));
            new_p.store(p);
            new_b.store(b);
        }
        if !p_rest.is_empty() {
            let load = |x: &[f32]| isa.load_partial(x, 0.0);
            let (new_p, new_b) = kernel.apply(isa, load(p_rest), load(b_rest), load(g_rest));
            new_p.store_partial(p_rest);
            new_b.store_partial(b_rest);
        }
    }
}
