//! The tape: what its users trip over elsewhere, and gradcheck with a wrong gradient that it must find.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tapegrad::{Param, Tape, Tensor, Var, gradcheck};

/// The message of a panic that must come.
#[track_caller]
fn panics<R>(run: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(run)) else { panic!("expected a panic") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().expect("a message").to_string(),
    }
}

/// x³ with a gradient that says `factor` x²; 3 is right.
fn cube<'t>(x: Var<'t>, factor: f32) -> Var<'t> {
    let (id, value) = (x.id(), x.value());
    let kept = value.clone();
    x.tape().record("cube", &[x], &(&value * &value) * &value, move |dy, adjoints| {
        adjoints.add(id, || &(&(&kept * &kept) * factor) * &dy);
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
fn a_severed_graph_is_not_silent() {
    let (used, cut, unused) =
        (Param::new(Tensor::ones([2])), Param::new(Tensor::ones([3])), Param::new(Tensor::ones([4])));
    let tape = Tape::training();
    let _ = tape.param(&cut).detach().sum();
    let grads = tape.param(&used).sum().backward();
    assert_eq!(grads[&used].to_vec(), [1.0, 1.0]);
    assert!(grads.get(&cut).is_none());
    let message = panics(|| grads[&cut].shape());
    assert!(message.contains("[3]") && message.contains("put on the tape"), "{message}");
    let message = panics(|| grads[&unused].shape());
    assert!(message.contains("[4]") && message.contains("never put on this tape"), "{message}");
}

#[test]
fn an_anomaly_names_its_op() {
    let message = panics(|| {
        let tape = Tape::training().detect_anomaly();
        tape.variable(&Tensor::new([[1.0, -1.0]])).ln().sum().item()
    });
    assert!(message.starts_with("ln: made NaN at element 1 of shape [1, 2]"), "{message}");
    // √0 is finite, its gradient is not: the op before it gets it.
    let message = panics(|| {
        let tape = Tape::training().detect_anomaly();
        let x = tape.variable(&Tensor::new([0.0]));
        (x * 2.0).sqrt().sum().backward()[x].item()
    });
    assert!(message.contains("got as its gradient inf"), "{message}");
    // Off, nothing is said.
    assert!(Tape::training().variable(&Tensor::scalar(-1.0)).ln().item().is_nan());
}

#[test]
fn a_tape_is_used_once_and_for_what_it_is_for() {
    let tape = Tape::training();
    let x = tape.variable(&Tensor::ones([2]));
    assert!(panics(|| x.backward()).contains("needs a loss with one element, got shape [2]"));
    let loss = x.sum();
    loss.backward();
    assert!(panics(|| x.value()).contains("has run backward and is spent"));
    assert!(panics(|| tape.input(&Tensor::ones([1]))).contains("make a new one"));
    let (one, other) = (Tape::training(), Tape::training());
    let (a, b) = (one.variable(&Tensor::ones([1])), other.variable(&Tensor::ones([1])));
    assert!(panics(|| a + b).contains("different tapes"));
    let tape = Tape::inference();
    let y = tape.variable(&Tensor::ones([1])).sum();
    assert!(panics(|| y.backward()).contains("inference tape"));
}
