//! What every op says that it keeps for backward, held against sizes worked out by hand, and against the memory that comes free when the
//! tape goes. Alone in its binary: the free list is the process's.
//!
//! That an op cannot keep a tensor and say nothing of it, the compiler sees to; see `Tape::record`.

use tapegrad::autograd::Kept;
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::tensor::buffer::{release_free, statistics};
use tapegrad::{Tape, Tensor, Var};

type Op = Box<dyn for<'t> Fn(&[Var<'t>]) -> Var<'t>>;

/// An op, its inputs (all variables), and what it keeps: floats of its inputs, floats of its value, the lengths of tensors of its own, and
/// the bytes of lists.
struct Case {
    name: &'static str,
    inputs: Vec<Tensor>,
    op: Op,
    of_inputs: usize,
    of_value: usize,
    own: Vec<usize>,
    lists: usize,
}

fn case<const N: usize>(
    name: &'static str,
    shapes: [&[usize]; N],
    op: impl for<'t> Fn(&[Var<'t>]) -> Var<'t> + 'static,
    (of_inputs, of_value): (usize, usize),
    own: &[usize],
    lists: usize,
) -> Case {
    let inputs = shapes.iter().map(|&shape| Tensor::full(shape, 0.5)).collect();
    Case { name, inputs, op: Box::new(op), of_inputs, of_value, own: own.to_vec(), lists }
}

/// Bytes of the block that a tensor of this length gets.
fn block(len: usize) -> usize {
    release_free();
    drop(Tensor::zeros([len]));
    statistics().free_bytes
}

fn cases() -> Vec<Case> {
    let x: &[usize] = &[4, 6];
    let word = size_of::<usize>();
    vec![
        case("add", [x, x], |v| v[0] + v[1], (0, 0), &[], 0),
        case("sub", [x, x], |v| v[0] - v[1], (0, 0), &[], 0),
        case("mul", [x, x], |v| v[0] * v[1], (48, 0), &[], 0),
        case("mul", [x], |v| v[0] * v[0], (24, 0), &[], 0), // once, though it is both factors
        case("mul", [x], |v| v[0] * v[0].tape().input(&Tensor::ones([6])), (6, 0), &[], 0), // nobody wants the other's gradient
        case("div", [x, x], |v| v[0] / v[1], (24, 24), &[], 0),
        case("div", [x], |v| 1.0 / v[0], (24, 24), &[], 0),
        case("mul", [x], |v| v[0] * 2.0, (0, 0), &[], 0),
        case("neg", [x], |v| -v[0], (0, 0), &[], 0),
        case("sum", [x], |v| v[0].sum(), (0, 0), &[], 0),
        case("mean", [x], |v| v[0].mean_axes(&[1], true), (0, 0), &[], 0),
        case("norm", [x], |v| v[0].norm_axes(&[1], false), (24, 4), &[], 0),
        case("max", [x], |v| v[0].max(), (24, 1), &[], 0),
        case("max_axis", [x], |v| v[0].max_axis(1, false), (0, 0), &[], 4 * word),
        case("flatten", [x], |v| v[0].flatten(0), (0, 0), &[], 0),
        case("permute", [x], |v| v[0].permute(&[1, 0]), (0, 0), &[], 0),
        case("cat", [x, x], |v| Var::cat(v, 1), (0, 0), &[], 2 * 2 * word),
        case("stack", [x, x], |v| Var::stack(v, 0), (0, 0), &[], 2 * word),
        case("sigmoid", [x], |v| v[0].sigmoid(), (0, 24), &[], 0),
        case("relu", [x], |v| v[0].relu(), (0, 24), &[], 0),
        case("exp", [x], |v| v[0].exp(), (0, 24), &[], 0),
        case("ln", [x], |v| v[0].ln(), (24, 0), &[], 0),
        case("square", [x], |v| v[0].square(), (24, 0), &[], 0),
        case("pow", [x], |v| v[0].pow(3.0), (24, 0), &[], 0),
        case("softmax", [x], |v| v[0].softmax(1), (0, 24), &[], 0),
        case("log_softmax", [x], |v| v[0].log_softmax(1), (0, 24), &[], 0),
        case("matmul", [x, &[6, 5]], |v| v[0].matmul(v[1]), (24 + 30, 0), &[], 0),
        case("linear", [x, &[5, 6], &[5]], |v| v[0].linear(v[1], Some(v[2])), (24 + 30, 0), &[], 0),
        // Probabilities and labels are its own.
        case("cross_entropy", [x], |v| v[0].cross_entropy(&[0, 1, 2, 3]), (24, 0), &[24], 4 * word),
        case("mse_loss", [x, x], |v| v[0].mse_loss(v[1]), (0, 0), &[24], 0),
        // 16 images lie images last: a copy. Where the nine taps lie is a list.
        case(
            "conv2d",
            [&[16, 1, 8, 8], &[3, 1, 3, 3]],
            |v| v[0].conv2d(v[1], None, &Conv2dOptions::default()),
            (27, 0),
            &[16 * 64],
            9 * word,
        ),
        // A byte for each window; where the four rows and the four columns of windows begin, and how long they are.
        case("max_pool2d", [&[2, 1, 8, 8]], |v| v[0].max_pool2d(2), (0, 0), &[2 * 16 / 4], 8 * 2 * word),
        case("avg_pool2d", [&[2, 1, 8, 8]], |v| v[0].avg_pool2d(2), (0, 0), &[], 8 * 3 * word),
        // A copy images last, gamma, and two f64 for each channel.
        case(
            "batch_norm",
            [x, &[6], &[6]],
            |v| v[0].batch_norm(v[1], v[2], &mut Tensor::zeros([6]), &mut Tensor::ones([6]), 0.9, 1e-5),
            (6, 0),
            &[24],
            6 * 16,
        ),
    ]
}

fn every_op_says_what_it_keeps() {
    for Case { name, inputs, op, of_inputs, of_value, own, lists } in cases() {
        let tape = Tape::training();
        let vars: Vec<Var> = inputs.iter().map(|input| tape.variable(input)).collect();
        let y = op(&vars);
        let node = tape.draw().nodes.pop().expect("the op's");
        assert_eq!(node.op, name);
        let kept =
            Kept { inputs: 4 * of_inputs, value: 4 * of_value, own: 4 * own.iter().sum::<usize>() + lists };
        assert_eq!(node.kept, kept, "{name}");

        // With all values in this test's hands, what the tape gives back is what the closure had of its own.
        let value = y.value();
        let expected: usize = own.iter().map(|&len| block(len)).sum();
        // `mul` with a constant: that is a value of the tape, too, which nobody else holds.
        let others: usize = if tape.len() == inputs.len() + 2 { block(6) } else { 0 };
        release_free();
        drop(tape);
        assert_eq!(statistics().free_bytes, expected + others, "{name}: tensor memory that came free");
        drop(value);
    }
}

fn nothing_is_kept_where_no_gradient_is_wanted() {
    for Case { name, inputs, op, .. } in cases() {
        for (tape, training) in [(Tape::inference(), false), (Tape::training(), true)] {
            let leaf = |input| if training { tape.input(input) } else { tape.variable(input) };
            let vars: Vec<Var> = inputs.iter().map(leaf).collect();
            op(&vars);
            let node = tape.draw().nodes.pop().expect("the op's");
            assert_eq!((node.op, node.kept, node.wants_grad), (name, Kept::default(), false));
        }
    }
}

/// One test: two would run at the same time and free each other's memory.
#[test]
fn what_is_kept_is_told_and_nothing_is_where_nobody_asks() {
    every_op_says_what_it_keeps();
    nothing_is_kept_where_no_gradient_is_wanted();
}
