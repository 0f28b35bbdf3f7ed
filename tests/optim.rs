//! Optimisers: ten steps of each against PyTorch, and what they do with frozen and forgotten parameters.
//!
//! The numbers are from tests/golden/optimizers.py. Next to read: nn.rs.

mod oracle;

use std::panic::{AssertUnwindSafe, catch_unwind};

use oracle::{Golden, assert_close};
use tapegrad::nn::{Init, Linear, Module, Sequential, Sigmoid};
use tapegrad::optim::{Adam, AdamW, Optimizer, Sgd};
use tapegrad::{Param, Tape, Tensor, parallel};

/// The optimiser of a case, with the case's options.
fn optimizer_of(golden: &Golden, case: &str) -> Box<dyn Optimizer> {
    let option = |name: &str| {
        let name = format!("{case}.{name}");
        golden.has(&name).then(|| golden.number(&name))
    };
    let Some(lr) = option("lr") else { panic!("{case} has no lr") };
    let decay = option("weight_decay");
    match case.split('.').next() {
        Some("sgd") => {
            let mut sgd = Sgd::new(lr).momentum(option("momentum").unwrap_or(0.0));
            sgd = sgd.weight_decay(decay.unwrap_or(0.0));
            if option("nesterov") == Some(1.0) { Box::new(sgd.nesterov()) } else { Box::new(sgd) }
        }
        Some("adam") => {
            let mut adam = Adam::new(lr).weight_decay(decay.unwrap_or(0.0));
            if golden.has(&format!("{case}.betas")) {
                let betas = &golden.entry(&format!("{case}.betas")).double;
                adam = adam.betas(betas[0], betas[1]);
            }
            if let Some(eps) = option("eps") {
                adam = adam.eps(eps);
            }
            Box::new(adam)
        }
        Some("adamw") => match decay {
            // The default is not zero, and the file says which it is.
            Some(0.01) => Box::new(AdamW::new(lr)),
            decay => Box::new(AdamW::new(lr).weight_decay(decay.unwrap_or(0.0))),
        },
        _ => panic!("{case} is no optimiser"),
    }
}

#[test]
fn ten_steps_of_every_optimiser_are_pytorch_s() {
    let golden = Golden::read("optimizers.txt");
    let tensor = |name: &str| Tensor::from_slice(golden.f32(name), golden.shape(name));
    let mut seen = 0;
    for case in ["sgd", "adam", "adamw"].iter().flat_map(|op| golden.cases(op)) {
        let mut optimizer = optimizer_of(&golden, &case);
        let mut param = Param::new(tensor(&format!("{case}.param.0")));
        for step in 1..=10 {
            optimizer.update(&mut param, &tensor(&format!("{case}.grad.{step}")));
            let name = format!("{case}.param.{step}");
            // Parameters are at most about 1, whose last place is 6e-8 or 1.2e-7. Every step rounds once or twice more.
            let tolerance = 6e-8 * (step + 1) as f64;
            assert_close(&name, &param.value().to_vec(), &golden.truth(&name), 0.0, tolerance);
            assert_close(
                &format!("{name} by PyTorch"),
                golden.f32(&name),
                &golden.truth(&name),
                0.0,
                tolerance,
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 12 * 10);
}

/// PyTorch's formula for dampening, by hand: the goldens have no case of it. Its first step takes the whole gradient.
#[test]
fn dampening_leaves_the_first_step_alone() {
    let mut sgd = Sgd::new(0.5).momentum(0.5).dampening(0.25);
    let mut param = Param::new(Tensor::new([1.0]));
    let (mut p, mut b) = (1.0_f64, 0.0);
    for (step, g) in [1.0, -2.0, 4.0, 0.5].into_iter().enumerate() {
        b = if step == 0 { g } else { 0.5 * b + 0.75 * g };
        p -= 0.5 * b;
        sgd.update(&mut param, &Tensor::new([g as f32]));
        assert_eq!(f64::from(param.value().item()), p, "after step {}", step + 1);
    }
}

/// The kernel goes sixteen at a time, in chunks shared by threads. No element may be changed by where it lies.
#[test]
fn an_element_s_step_does_not_depend_on_its_place() {
    let len = 40_003; // three chunks, the last with a rest of three
    let values = |seed: u32| oracle::values(seed, len);
    let (start, grads) = (values(1), [values(2), values(3)]);
    let make: [fn() -> Box<dyn Optimizer>; 4] = [
        || Box::new(Sgd::new(0.1).weight_decay(0.1)),
        || Box::new(Sgd::new(0.1).momentum(0.9).nesterov()),
        || Box::new(Adam::new(0.01).weight_decay(0.1)),
        || Box::new(AdamW::new(0.01)),
    ];
    for make in make {
        let run = |range: std::ops::Range<usize>| {
            let mut optimizer = make();
            let mut param = Param::new(Tensor::from_slice(&start[range.clone()], [range.len()]));
            for g in &grads {
                optimizer.update(&mut param, &Tensor::from_slice(&g[range.clone()], [range.len()]));
            }
            param.value().to_vec()
        };
        parallel::set_threads(3);
        let whole = run(0..len);
        parallel::set_threads(1);
        assert_eq!(whole, run(0..len), "one thread and three");
        // Pieces of other lengths put every element in another lane, and in a rest.
        for (at, size) in [(0, 5), (7, 23), (16_380, 9), (40_000, 3)] {
            assert_eq!(whole[at..at + size], run(at..at + size)[..], "elements {at} to {}", at + size);
        }
    }
}

#[test]
fn a_strided_gradient_is_read_in_order() {
    let gradient = Tensor::arange(6).reshape([2, 3]).t();
    for optimizer in [&mut Sgd::new(1.0) as &mut dyn Optimizer, &mut Sgd::new(1.0).momentum(0.5)] {
        let mut param = Param::new(Tensor::zeros([3, 2]));
        optimizer.update(&mut param, &gradient);
        assert_eq!(param.value().to_vec(), [0.0, -3.0, -1.0, -4.0, -2.0, -5.0]);
    }
}

fn two_layers() -> Sequential {
    let init = &mut Init::new(3);
    Sequential::new().then(Linear::new(4, 3, init)).then(Sigmoid).then(Linear::new(3, 2, init))
}

#[test]
fn frozen_parameters_rest() {
    let mut net = two_layers();
    for (name, param) in net.named_parameters_mut() {
        param.set_requires_grad(!name.starts_with("0."));
    }
    let before: Vec<Tensor> =
        net.named_parameters().iter().map(|(_, param)| (*param.value()).clone()).collect();
    let tape = Tape::training();
    let grads = net.forward(tape.input(&Tensor::ones([5, 4]))).square().sum().backward();
    // Strong decay: it must not reach a frozen parameter either.
    AdamW::new(0.1).weight_decay(0.9).step(&mut net, &grads);
    for ((name, param), before) in net.named_parameters().iter().zip(&before) {
        assert_eq!(grads.get(param).is_some(), name.starts_with("2."), "a gradient for {name}");
        assert_eq!(*param.value() == *before, name.starts_with("0."), "{name} is as it was");
    }
}

/// A net whose graph is cut still learns in its last layer, and its accuracy looks right (taper#9).
#[test]
fn a_cut_graph_is_not_passed_over() {
    let mut net = two_layers();
    // Once the first layer is cut off, once the last one is forgotten.
    for (cut_first, name) in
        [(true, "0.weight, a parameter of shape [3, 4]"), (false, "2.weight, a parameter of shape [2, 3]")]
    {
        let tape = Tape::training();
        let layers: Vec<&dyn Module> = net.layers().collect();
        let hidden = layers[1].forward(layers[0].forward(tape.input(&Tensor::ones([5, 4]))));
        let output = if cut_first { layers[2].forward(hidden.detach()) } else { hidden };
        let grads = output.square().sum().backward();
        let values = |net: &Sequential| -> Vec<Tensor> {
            net.named_parameters().iter().map(|(_, param)| (*param.value()).clone()).collect()
        };
        let before = values(&net);
        let message = panic_of(|| Sgd::new(0.1).step(&mut net, &grads));
        assert!(message.contains(&format!("step: the loss does not depend on {name}")), "{message}");
        assert!(message.contains("set_requires_grad(false)"), "{message}");
        assert_eq!(values(&net), before, "nothing was changed before the panic");
    }
}

fn panic_of(work: impl FnOnce()) -> String {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => panic!("it did not panic"),
        Err(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload.downcast::<&str>().map(|text| text.to_string()).unwrap_or_default(),
        },
    }
}

#[test]
fn the_learning_rate_can_follow_a_schedule() {
    let mut param = Param::new(Tensor::zeros([1]));
    let mut sgd = Sgd::new(1.0);
    for lr in [1.0, 0.5, 0.25] {
        sgd.set_lr(lr);
        assert_eq!(sgd.lr(), lr);
        sgd.update(&mut param, &Tensor::ones([1]));
    }
    assert_eq!(param.value().item(), -1.75);
}
