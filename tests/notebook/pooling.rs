//! Section 5.4, cells 24 to 31: pooling by hand, and the layer with padding and stride.
//!
//! Next to read: `lenet.rs`.

use tapegrad::nn::{AvgPool2d, MaxPool2d, Module};
use tapegrad::{Tape, Tensor};

use super::shows;

#[derive(Clone, Copy)]
enum Mode {
    Max,
    Avg,
}

/// Cell 24: `pool2d(X, pool_size, mode)`.
fn pool2d(x: &Tensor, (p_h, p_w): (usize, usize), mode: Mode) -> Tensor {
    let (rows, columns) = (x.size(0) - p_h + 1, x.size(1) - p_w + 1);
    let mut y = Vec::new();
    for i in 0..rows {
        for j in 0..columns {
            let window = x.slice(0, i..i + p_h).slice(1, j..j + p_w);
            y.push(match mode {
                Mode::Max => window.max().item(),
                Mode::Avg => window.mean().item(),
            });
        }
    }
    Tensor::from_slice(&y, [rows, columns])
}

/// A layer, called on a tensor as the notebook calls it.
fn call(layer: &dyn Module, x: &Tensor) -> Tensor {
    layer.forward(Tape::inference().input(x)).value()
}

#[test]
fn cells_25_and_26_pooling_by_hand() {
    let x = Tensor::new([[0., 1., 2.], [3., 4., 5.], [6., 7., 8.]]);
    let max = "\
tensor([[4., 5.],
        [7., 8.]])";
    let avg = "\
tensor([[2., 3.],
        [5., 6.]])";
    shows(pool2d(&x, (2, 2), Mode::Max), max);
    shows(pool2d(&x, (2, 2), Mode::Avg), avg);
    // The layers, with windows one apart as in the loops.
    let x = x.view([1, 1, 3, 3]);
    shows(call(&MaxPool2d::new(2).stride(1), &x).view([2, 2]), max);
    shows(call(&AvgPool2d::new(2).stride(1), &x).view([2, 2]), avg);
}

#[test]
fn cells_27_to_29_pooling_with_padding_and_stride() {
    let x = Tensor::arange(16).view([1, 1, 4, 4]);
    shows(
        &x,
        "\
tensor([[[[ 0.,  1.,  2.,  3.],
          [ 4.,  5.,  6.,  7.],
          [ 8.,  9., 10., 11.],
          [12., 13., 14., 15.]]]])",
    );
    shows(call(&MaxPool2d::new(3), &x), "tensor([[[[10.]]]])");
    shows(
        call(&MaxPool2d::new(3).padding(1).stride(2), &x),
        "\
tensor([[[[ 5.,  7.],
          [13., 15.]]]])",
    );
}

#[test]
fn cells_30_and_31_pooling_several_channels() {
    let x = Tensor::arange(16).view([1, 1, 4, 4]);
    let x = Tensor::cat(&[&x, &(&x + 1.0)], 1);
    shows(
        &x,
        "\
tensor([[[[ 0.,  1.,  2.,  3.],
          [ 4.,  5.,  6.,  7.],
          [ 8.,  9., 10., 11.],
          [12., 13., 14., 15.]],

         [[ 1.,  2.,  3.,  4.],
          [ 5.,  6.,  7.,  8.],
          [ 9., 10., 11., 12.],
          [13., 14., 15., 16.]]]])",
    );
    shows(
        call(&MaxPool2d::new(3).padding(1).stride(2), &x),
        "\
tensor([[[[ 5.,  7.],
          [13., 15.]],

         [[ 6.,  8.],
          [14., 16.]]]])",
    );
}
