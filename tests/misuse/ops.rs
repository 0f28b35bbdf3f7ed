//! Chapter 5: the ops, but for those with windows. Next to read: `windows.rs`.

use tapegrad::{Tape, Tensor, Var};

use super::each_says;

/// `[2, 3]`
fn x() -> Tensor {
    Tensor::arange(6).reshape([2, 3])
}

/// Runs `work` on that tensor and another one, on one tape.
fn on_a_tape(other: Tensor, work: impl for<'t> FnOnce(Var<'t>, Var<'t>)) {
    let tape = Tape::training();
    work(tape.variable(&x()), tape.variable(&other));
}

#[test]
fn operators() {
    each_says(&[
        (
            || drop(&x() + &Tensor::ones([2])),
            "add: [2, 3] and [2] do not broadcast: axis -1 is 3 on one side and 2 on the other, and neither is 1",
        ),
        (
            || drop(x() - Tensor::ones([3, 3])),
            "sub: [2, 3] and [3, 3] do not broadcast: axis -2 is 2 on one side and 3 on the other, and neither is 1",
        ),
        (
            || drop(x() * &Tensor::ones([0])),
            "mul: [2, 3] and [0] do not broadcast: axis -1 is 3 on one side and 0 on the other, and neither is 1",
        ),
        (
            || drop(&x() / Tensor::ones([4, 2, 1, 2])),
            "div: [2, 3] and [4, 2, 1, 2] do not broadcast: axis -1 is 3 on one side and 2 on the other, and neither is 1",
        ),
        (
            || on_a_tape(Tensor::ones([2]), |x, y| _ = x + y),
            "add: [2, 3] and [2] do not broadcast: axis -1 is 3 on one side and 2 on the other, and neither is 1",
        ),
        (
            || on_a_tape(Tensor::ones([2]), |x, y| _ = x - y),
            "sub: [2, 3] and [2] do not broadcast: axis -1 is 3 on one side and 2 on the other, and neither is 1",
        ),
        (
            || on_a_tape(Tensor::ones([2]), |x, y| _ = x * y),
            "mul: [2, 3] and [2] do not broadcast: axis -1 is 3 on one side and 2 on the other, and neither is 1",
        ),
        (
            || on_a_tape(Tensor::ones([2]), |x, y| _ = x / y),
            "div: [2, 3] and [2] do not broadcast: axis -1 is 3 on one side and 2 on the other, and neither is 1",
        ),
        // An outer product that nobody has the memory for.
        (
            || drop(Tensor::ones([1]).expand([1 << 40]).unsqueeze(1) + Tensor::ones([1]).expand([1 << 40])),
            "add: [1099511627776, 1099511627776] has more elements than this machine can address",
        ),
    ]);
}

#[test]
fn reductions() {
    each_says(&[
        (
            || drop(x().sum_axes(&[2], false)),
            "sum: axis 2 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (|| drop(x().sum_axes(&[1, -1], false)), "sum: axis 1 of [2, 3] is named twice"),
        (
            || drop(x().mean_axes(&[-3], true)),
            "mean: axis -3 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (
            || drop(Tensor::scalar(1.0).norm_axes(&[0], true)),
            "norm: axis 0 is out of range for [], which has no axes",
        ),
        (|| on_a_tape(x(), |x, _| _ = x.sum_axes(&[0, 0], false)), "sum: axis 0 of [2, 3] is named twice"),
        (
            || on_a_tape(x(), |x, _| _ = x.mean_axes(&[2], false)),
            "mean: axis 2 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.norm_axes(&[2], false)),
            "norm: axis 2 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (|| drop(Tensor::ones([2, 0]).max()), "max: [2, 0] has no elements, so no largest one"),
        (
            || drop(Tensor::ones([2, 0]).max_axis(1, false)),
            "max_axis: axis 1 of [2, 0] has no entries, so no largest one",
        ),
        (
            || drop(Tensor::ones([0, 2]).argmax(0)),
            "argmax: axis 0 of [0, 2] has no entries, so no largest one",
        ),
        (|| drop(x().argmax(2)), "argmax: axis 2 is out of range for [2, 3], whose axes go from -2 to 1"),
        (|| on_a_tape(Tensor::ones([0]), |_, y| _ = y.max()), "max: [0] has no elements, so no largest one"),
        (
            || on_a_tape(x(), |x, _| _ = x.max_axis(5, true)),
            "max_axis: axis 5 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (|| drop(x().softmax(2)), "softmax: axis 2 is out of range for [2, 3], whose axes go from -2 to 1"),
        (
            || drop(Tensor::scalar(1.0).softmax(0)),
            "softmax: axis 0 is out of range for [], which has no axes",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.log_softmax(-3)),
            "log_softmax: axis -3 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
    ]);
}

#[test]
fn views_on_the_tape() {
    each_says(&[
        (
            || on_a_tape(x(), |x, _| _ = x.reshape([7])),
            "reshape: [2, 3] has 6 elements and [7] has 7; their number must stay the same",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.t().view([6])),
            "view: [3, 2] with strides [1, 3] cannot be seen as [6] without a copy; use reshape",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.flatten(2)),
            "flatten: axis 2 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (|| on_a_tape(x(), |x, _| _ = x.squeeze(1)), "squeeze: axis 1 of [2, 3] is not of length 1"),
        (
            || on_a_tape(x(), |x, _| _ = x.unsqueeze(3)),
            "unsqueeze: a new axis of [2, 3] goes to a position from -3 to 2, got 3",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.transpose(0, 2)),
            "transpose: axis 2 is out of range for [2, 3], whose axes go from -2 to 1",
        ),
        (|| on_a_tape(Tensor::ones([3]), |_, y| _ = y.t()), "t: needs a matrix or more axes, got [3]"),
        (
            || on_a_tape(x(), |x, _| _ = x.permute(&[1, 1])),
            "permute: [1, 1] does not name each axis of [2, 3] once",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.permute(&[2, 0])),
            "permute: [2, 0] does not name each axis of [2, 3] once",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.narrow(0, 3, 0)),
            "narrow: 0 entries from 3 on do not lie in axis 0 of [2, 3], which has 2",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.slice(0, 3..)),
            "slice: 3..2 is no range of axis 0 of [2, 3], where 0 <= start <= end <= 2",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.select(1, 3)),
            "select: entry 3 does not lie in axis 1 of [2, 3], which has 3, counted from 0",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.expand([2, 2, 2])),
            "expand: [2, 3] does not broadcast to [2, 2, 2]: counted from the last, each axis must agree or have length 1",
        ),
        (|| on_a_tape(x(), |x, _| _ = x.unfold(1, 2, 0)), "unfold: the step must be at least 1, got 0"),
        (|| _ = Var::cat(&[], 0), "cat: needs at least one tensor"),
        (|| _ = Var::stack(&[], 0), "stack: needs at least one tensor"),
        (
            || on_a_tape(Tensor::ones([3]), |x, y| _ = Var::cat(&[x, y], 0)),
            "cat: [2, 3] and [3] do not join along axis 0: all other axes must agree",
        ),
        (
            || on_a_tape(Tensor::ones([3]), |x, y| _ = Var::stack(&[x, y], 0)),
            "stack: needs tensors of one shape, got [2, 3] and [3]",
        ),
    ]);
}

#[test]
fn products() {
    each_says(&[
        (
            || drop(Tensor::ones([256, 400]).matmul(&Tensor::ones([120, 400]))),
            "matmul: left [256, 400] needs a right side with 400 rows, got [120, 400]",
        ),
        (
            || drop(Tensor::ones([3]).matmul(&Tensor::ones([3, 2]))),
            "matmul: needs matrices, got [3] and [3, 2]; reshape a vector to one row or one column",
        ),
        (
            || drop(Tensor::ones([2, 3, 4]).matmul(&Tensor::ones([5, 4, 6]))),
            "matmul: left [2, 3, 4] and right [5, 4, 6] are batches [2] and [5] of matrices, which do not broadcast: counted from the last, \
             each axis must agree or be 1",
        ),
        (
            || on_a_tape(x(), |x, y| _ = x.matmul(y)),
            "matmul: left [2, 3] needs a right side with 3 rows, got [2, 3]",
        ),
        (
            || on_a_tape(Tensor::ones([4, 2, 3]), |w, x| _ = x.linear(w, None)),
            "linear: needs an input [n, in_features], got [4, 2, 3]; flatten(1) makes one",
        ),
        (
            || on_a_tape(Tensor::ones([3]), |w, x| _ = x.linear(w, None)),
            "linear: needs an input [n, in_features], got [3]; unsqueeze(0) makes one",
        ),
        (
            || on_a_tape(Tensor::ones([5, 2]), |w, x| _ = x.linear(w, None)),
            "linear: input [5, 2] needs a weight [out_features, 2], got [2, 3]",
        ),
        (
            || on_a_tape(Tensor::ones([3]), |w, bias| _ = w.linear(w, Some(bias))),
            "linear: weight [2, 3] needs a bias [2], got [3]",
        ),
    ]);
}

#[test]
fn losses() {
    each_says(&[
        (|| drop(x().cross_entropy(&[0])), "cross_entropy: logits [2, 3] need 2 labels, got 1"),
        (|| drop(x().cross_entropy(&[0, 1, 2])), "cross_entropy: logits [2, 3] need 2 labels, got 3"),
        (
            || drop(x().cross_entropy(&[2, 3])),
            "cross_entropy: label 3 of row 1 is not below 3, the classes of [2, 3]",
        ),
        (
            || drop(Tensor::ones([2, 0]).cross_entropy(&[0, 0])),
            "cross_entropy: label 0 of row 0 is not below 0, the classes of [2, 0]",
        ),
        (|| drop(Tensor::ones([3]).cross_entropy(&[0])), "cross_entropy: needs logits [n, classes], got [3]"),
        (
            || on_a_tape(Tensor::ones([2, 3, 4]), |_, y| _ = y.cross_entropy(&[0, 1])),
            "cross_entropy: needs logits [n, classes], got [2, 3, 4]",
        ),
        (
            || on_a_tape(x(), |x, _| _ = x.cross_entropy(&[0, usize::MAX])),
            "cross_entropy: label 18446744073709551615 of row 1 is not below 3, the classes of [2, 3]",
        ),
        (
            || drop(x().mse_loss(&Tensor::ones([3]))),
            "mse_loss: a prediction [2, 3] needs a target of the same shape, got [3]",
        ),
        (
            || on_a_tape(Tensor::ones([2, 1]), |x, y| _ = x.mse_loss(y)),
            "mse_loss: a prediction [2, 3] needs a target of the same shape, got [2, 1]",
        ),
    ]);
}

/// Batch norm of `input`, with so many elements in gamma, beta and the moving statistics.
#[track_caller]
fn batch_norm(input: &[usize], [gamma, beta, mean, var]: [usize; 4], momentum: f32, eps: f32) {
    let tape = Tape::training();
    let (gamma, beta) = (tape.input(&Tensor::ones([gamma])), tape.input(&Tensor::zeros([beta])));
    let (mut mean, mut var) = (Tensor::zeros([mean]), Tensor::zeros([var]));
    tape.input(&Tensor::ones(input)).batch_norm(gamma, beta, &mut mean, &mut var, momentum, eps);
}

#[test]
fn normalisation() {
    each_says(&[
        (
            || batch_norm(&[4, 3, 5], [3; 4], 0.9, 1e-5),
            "batch_norm: needs [n, c] or [n, c, h, w], got [4, 3, 5]",
        ),
        (
            || batch_norm(&[4, 3], [2, 3, 3, 3], 0.9, 1e-5),
            "batch_norm: input [4, 3] has 3 channels, gamma [2] has 2 elements",
        ),
        (
            || batch_norm(&[4, 3], [3, 1, 3, 3], 0.9, 1e-5),
            "batch_norm: input [4, 3] has 3 channels, beta [1] has 1 elements",
        ),
        (
            || batch_norm(&[4, 3, 2, 2], [3, 3, 2, 3], 0.9, 1e-5),
            "batch_norm: input [4, 3, 2, 2] has 3 channels, moving_mean [2] has 2 elements",
        ),
        (
            || batch_norm(&[4, 3, 2, 2], [3, 3, 3, 4], 0.9, 1e-5),
            "batch_norm: input [4, 3, 2, 2] has 3 channels, moving_var [4] has 4 elements",
        ),
        (
            || batch_norm(&[0, 3], [3; 4], 0.9, 1e-5),
            "batch_norm: needs at least one number per channel, got [0, 3]",
        ),
        (
            || batch_norm(&[2, 3, 0, 4], [3; 4], 0.9, 1e-5),
            "batch_norm: needs at least one number per channel, got [2, 3, 0, 4]",
        ),
        (|| batch_norm(&[4, 3], [3; 4], 1.5, 1e-5), "batch_norm: momentum is a share from 0 to 1, got 1.5"),
        (
            || batch_norm(&[4, 3], [3; 4], f32::NAN, 1e-5),
            "batch_norm: momentum is a share from 0 to 1, got NaN",
        ),
        (|| batch_norm(&[4, 3], [3; 4], 0.9, -1e-5), "batch_norm: eps is 0 or more, got -0.00001"),
        (|| batch_norm(&[4, 3], [3; 4], 0.9, f32::NAN), "batch_norm: eps is 0 or more, got NaN"),
    ]);
}
