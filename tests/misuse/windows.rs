//! Chapter 5, continued: convolution and pooling. Next to read: `nn.rs`.

use tapegrad::ops::avg_pool2d::AvgPool2dOptions;
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::ops::max_pool2d::MaxPool2dOptions;
use tapegrad::ops::window::Window;
use tapegrad::{Tape, Tensor};

use super::each_says;

/// Convolves ones with ones.
#[track_caller]
fn conv2d(images: &[usize], filters: &[usize], bias: Option<usize>, options: Conv2dOptions) {
    let tape = Tape::inference();
    let bias = bias.map(|bias| tape.input(&Tensor::ones([bias])));
    tape.input(&Tensor::ones(images)).conv2d(tape.input(&Tensor::ones(filters)), bias, &options);
}

fn plain() -> Conv2dOptions {
    Conv2dOptions::default()
}

/// An image of one channel.
fn image(h: usize, w: usize) -> Tensor {
    Tensor::ones([1, 1, h, w])
}

#[test]
fn convolution() {
    each_says(&[
        (
            || conv2d(&[3, 8, 8], &[6, 3, 5, 5], None, plain()),
            "conv2d: needs images [n, c, h, w], got [3, 8, 8]; unsqueeze adds an axis of length 1",
        ),
        (
            || conv2d(&[2, 3, 8, 8], &[5, 5], None, plain()),
            "conv2d: needs filters [oc, c / groups, kh, kw], got [5, 5]",
        ),
        (
            || conv2d(&[2, 3, 8, 8], &[6, 1, 5, 5], None, plain()),
            "conv2d: images [2, 3, 8, 8] have 3 channels, filters [6, 1, 5, 5] with 1 groups need 1",
        ),
        (
            || conv2d(&[2, 4, 8, 8], &[6, 4, 5, 5], None, Conv2dOptions { groups: 2, ..plain() }),
            "conv2d: images [2, 4, 8, 8] have 4 channels, filters [6, 4, 5, 5] with 2 groups need 8",
        ),
        (
            || conv2d(&[2, 4, 8, 8], &[6, 4, 5, 5], None, Conv2dOptions { groups: 3, ..plain() }),
            "conv2d: 3 groups do not divide the 4 channels of [2, 4, 8, 8] and the 6 filters of [6, 4, 5, 5]",
        ),
        (
            || conv2d(&[2, 4, 8, 8], &[6, 4, 5, 5], None, Conv2dOptions { groups: 0, ..plain() }),
            "conv2d: 0 groups do not divide the 4 channels of [2, 4, 8, 8] and the 6 filters of [6, 4, 5, 5]",
        ),
        // No channels, so any number of groups divides them.
        (
            || conv2d(&[2, 0, 8, 8], &[0, 4, 5, 5], None, Conv2dOptions { groups: usize::MAX, ..plain() }),
            "conv2d: images [2, 0, 8, 8] have 0 channels, filters [0, 4, 5, 5] with 18446744073709551615 groups need 18446744073709551615",
        ),
        (
            || conv2d(&[2, 3, 8, 8], &[6, 3, 5, 5], Some(5), plain()),
            "conv2d: filters [6, 3, 5, 5] need a bias [6], got [5]",
        ),
        (
            || conv2d(&[1, 1, 3, 9], &[1, 1, 5, 5], None, plain()),
            "conv2d: kernel (5, 5) with dilation (1, 1) is larger than the padded image (3, 9) (image (3, 9), padding (0, 0))",
        ),
        (
            || {
                conv2d(
                    &[1, 1, 5, 5],
                    &[1, 1, 3, 3],
                    None,
                    Conv2dOptions { dilation: 4.into(), padding: (1, 2).into(), ..plain() },
                )
            },
            "conv2d: kernel (3, 3) with dilation (4, 4) is larger than the padded image (7, 9) (image (5, 5), padding (1, 2))",
        ),
        (
            || {
                conv2d(
                    &[1, 1, 5, 5],
                    &[1, 1, 3, 3],
                    None,
                    Conv2dOptions { dilation: usize::MAX.into(), ..plain() },
                )
            },
            "conv2d: kernel (3, 3) with dilation (18446744073709551615, 18446744073709551615) is larger than the padded image (5, 5) (image \
             (5, 5), padding (0, 0))",
        ),
        (
            || conv2d(&[1, 1, 9, 9], &[1, 1, 5, 5], None, Conv2dOptions { stride: (1, 0).into(), ..plain() }),
            "conv2d: the stride must be at least 1 on each axis, got (1, 0)",
        ),
        (
            || conv2d(&[1, 1, 9, 9], &[1, 1, 5, 5], None, Conv2dOptions { dilation: 0.into(), ..plain() }),
            "conv2d: the dilation must be at least 1 on each axis, got (0, 0)",
        ),
        (
            || conv2d(&[1, 1, 9, 9], &[1, 1, 0, 5], None, plain()),
            "conv2d: the kernel must be at least 1 on each axis, got (0, 5)",
        ),
        (
            || conv2d(&[1, 1, 0, 9], &[1, 1, 1, 1], None, Conv2dOptions { padding: 1.into(), ..plain() }),
            "conv2d: the image has no pixels, its size is (0, 9)",
        ),
        // Twice the padding wraps to 0.
        (
            || {
                conv2d(
                    &[1, 1, 9, 9],
                    &[1, 1, 3, 3],
                    None,
                    Conv2dOptions { padding: (1 << 63, 0).into(), ..plain() },
                )
            },
            "conv2d: image (9, 9) with padding (9223372036854775808, 0) has more pixels than this machine can address",
        ),
        // Sizes that can be counted, but not be had: by one image, and by many.
        (
            || {
                conv2d(
                    &[1, 1, 9, 9],
                    &[1, 1, 3, 3],
                    None,
                    Conv2dOptions { padding: (1 << 29).into(), ..plain() },
                )
            },
            "Tensor: 1152921523934199889 elements are more than this machine can address",
        ),
        (
            || {
                conv2d(
                    &[16, 1, 9, 9],
                    &[1, 1, 3, 3],
                    None,
                    Conv2dOptions { padding: (1 << 26).into(), ..plain() },
                )
            },
            "Tensor: 288230414806418704 elements need 1441151880758558720 bytes, which the system does not have",
        ),
    ]);
}

#[test]
fn max_pooling() {
    each_says(&[
        (
            || drop(Tensor::ones([4, 4]).max_pool2d(2)),
            "max_pool2d: needs images [n, c, h, w], got [4, 4]; unsqueeze adds an axis of length 1",
        ),
        (
            || drop(image(2, 2).max_pool2d(3)),
            "max_pool2d: kernel (3, 3) with dilation (1, 1) is larger than the padded image (2, 2) (image (2, 2), padding (0, 0))",
        ),
        (
            || drop(image(9, 4).max_pool2d(MaxPool2dOptions::new(3).dilation((1, 2)))),
            "max_pool2d: kernel (3, 3) with dilation (1, 2) is larger than the padded image (9, 4) (image (9, 4), padding (0, 0))",
        ),
        (
            || drop(image(9, 9).max_pool2d(MaxPool2dOptions::new(3).stride((2, 0)))),
            "max_pool2d: the stride must be at least 1 on each axis, got (2, 0)",
        ),
        (
            || drop(image(9, 9).max_pool2d(MaxPool2dOptions::new(3).dilation((0, 1)))),
            "max_pool2d: the dilation must be at least 1 on each axis, got (0, 1)",
        ),
        (
            || drop(image(9, 9).max_pool2d(0)),
            "max_pool2d: the kernel must be at least 1 on each axis, got (0, 0)",
        ),
        (
            || drop(image(9, 9).max_pool2d(MaxPool2dOptions::new(3).padding(2))),
            "max_pool2d: padding (2, 2) is more than half of kernel (3, 3) with dilation (1, 1), which covers (3, 3)",
        ),
        (
            || drop(image(0, 9).max_pool2d(MaxPool2dOptions::new(3).padding(1))),
            "max_pool2d: the image has no pixels, its size is (0, 9)",
        ),
        // A kernel and half of it around the image: both fit each other, and no machine.
        (
            || drop(image(9, 9).max_pool2d(MaxPool2dOptions::new(usize::MAX).padding(usize::MAX / 2))),
            "max_pool2d: image (9, 9) with padding (9223372036854775807, 9223372036854775807) has more pixels than this machine can address",
        ),
        (
            || {
                let tape = Tape::training();
                tape.variable(&image(3, 3)).max_pool2d((2, 4));
            },
            "max_pool2d: kernel (2, 4) with dilation (1, 1) is larger than the padded image (3, 3) (image (3, 3), padding (0, 0))",
        ),
    ]);
}

#[test]
fn average_pooling() {
    each_says(&[
        (
            || drop(Tensor::ones([3, 4, 4]).avg_pool2d(2)),
            "avg_pool2d: needs images [n, c, h, w], got [3, 4, 4]; unsqueeze adds an axis of length 1",
        ),
        (
            || drop(image(9, 9).avg_pool2d((0, 2))),
            "avg_pool2d: the kernel must be at least 1 on each axis, got (0, 2)",
        ),
        (
            || drop(image(9, 9).avg_pool2d(AvgPool2dOptions::new(2).stride((0, 1)))),
            "avg_pool2d: the stride must be at least 1 on each axis, got (0, 1)",
        ),
        (
            || drop(image(9, 9).avg_pool2d(AvgPool2dOptions::new(1).padding((0, 1)))),
            "avg_pool2d: padding (0, 1) is more than half of kernel (1, 1) with dilation (1, 1), which covers (1, 1)",
        ),
        (
            || {
                let tape = Tape::training();
                tape.variable(&image(3, 3)).avg_pool2d(AvgPool2dOptions::new(2).padding(2).ceil_mode(true));
            },
            "avg_pool2d: padding (2, 2) is more than half of kernel (2, 2) with dilation (1, 1), which covers (2, 2)",
        ),
        (
            || {
                let tape = Tape::training();
                tape.variable(&image(3, 3)).avg_pool2d(4);
            },
            "avg_pool2d: kernel (4, 4) with dilation (1, 1) is larger than the padded image (3, 3) (image (3, 3), padding (0, 0))",
        ),
    ]);
}

#[test]
fn windows() {
    each_says(&[
        (
            || _ = Window::new(3).output("own", 2),
            "own: kernel (3, 3) with dilation (1, 1) is larger than the padded image (2, 2) (image (2, 2), padding (0, 0))",
        ),
        (
            || _ = Window::new(2).dilation((1, 2)).padding((0, 2)).pool_output("own", 8, false),
            "own: padding (0, 2) is more than half of kernel (2, 2) with dilation (1, 2), which covers (2, 3)",
        ),
    ]);
}
