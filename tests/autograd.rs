//! The tape: what its users trip over elsewhere, and gradcheck with a wrong gradient that it must find. What wrong calls say is in
//! `misuse/autograd.rs`.

use tapegrad::{Param, Tape, Tensor, Var, gradcheck};

/// x³ with a gradient that says `factor` x²; 3 is right.
fn cube<'t>(x: Var<'t>, factor: f32) -> Var<'t> {
    let (id, value) = (x.id(), x.value());
    let y = &(&value * &value) * &value;
    x.tape().record("cube", &[x], y, value, move |value, dy, adjoints| {
        adjoints.add(id, || &(&(&value * &value) * factor) * &dy);
    })
}

#[test]
fn gradcheck_accepts_a_right_gradient_and_finds_a_wrong_one() {
    let x = Tensor::new([[0.5, -1.0, 2.0], [0.3, 1.5, -0.7]]);
    gradcheck(|_, v| cube(v[0], 3.0), std::slice::from_ref(&x)).expect("3x² is right");
    // The negative control: one percent off.
    let mismatch = gradcheck(|_, v| cube(v[0], 3.03), std::slice::from_ref(&x)).expect_err("must be found");
    assert_eq!((mismatch.input, mismatch.element), (0, 2), "the largest error is at x = 2");
    assert!((mismatch.gradient / mismatch.difference - 1.01).abs() < 1e-3, "{mismatch}");
}

#[test]
fn gradcheck_covers_several_inputs_and_views() {
    let (a, b) = (Tensor::new([[0.5, -1.0], [2.0, 0.3]]), Tensor::new([[1.5, 0.2], [-0.4, 0.9]]));
    gradcheck(|_, v| v[0].matmul(v[1].t()).sigmoid() + v[1].exp(), &[a.t(), b]).expect("right");
}

#[test]
fn a_value_that_is_used_twice_gets_both_gradients() {
    let tape = Tape::training();
    let a = tape.variable(&Tensor::scalar(3.0));
    let b = a + a;
    let c = b + b;
    assert_eq!(c.backward()[a].item(), 4.0);
}

#[test]
fn a_parameter_that_is_used_twice_is_one_node() {
    let w = Param::new(Tensor::scalar(3.0));
    let tape = Tape::training();
    let loss = tape.param(&w) * tape.param(&w);
    assert_eq!(loss.backward()[&w].item(), 6.0);
}

#[test]
fn a_chain_of_100_000_ops_needs_no_stack() {
    let tape = Tape::training();
    let x = tape.variable(&Tensor::scalar(0.5));
    let mut y = x;
    for _ in 0..100_000 {
        y = y + 1.0;
    }
    assert_eq!(y.item(), 100_000.5);
    assert_eq!(y.backward()[x].item(), 1.0);
}

#[test]
fn what_the_loss_does_not_reach_has_no_gradient() {
    let (used, cut, unused) =
        (Param::new(Tensor::ones([2])), Param::new(Tensor::ones([3])), Param::new(Tensor::ones([4])));
    let tape = Tape::training();
    let _ = tape.param(&cut).detach().sum();
    let grads = tape.param(&used).sum().backward();
    assert_eq!(grads[&used].to_vec(), [1.0, 1.0]);
    assert!(grads.get(&cut).is_none());
    assert!(grads.get(&unused).is_none());
}

#[test]
fn an_anomaly_goes_by_in_silence_unless_it_is_looked_for() {
    assert!(Tape::training().variable(&Tensor::scalar(-1.0)).ln().item().is_nan());
}
