//! max_pool2d and avg_pool2d and their gradients against nested f64 loops and PyTorch, over every option, and bit for
//! bit over threads, strides and instruction sets.

mod oracle;

use oracle::pool::{self, AvgPool2d, MaxPool2d};
use oracle::{Array, Golden, assert_close, labels, values};
use tapegrad::ops::avg_pool2d::AvgPool2dOptions;
use tapegrad::ops::max_pool2d::MaxPool2dOptions;
use tapegrad::simd::{Isa, Kernel, LANES, Lanes, Level, dispatch_at};
use tapegrad::{Tape, Tensor, Var, parallel};

fn max_options(of: &MaxPool2d) -> MaxPool2dOptions {
    MaxPool2dOptions::new(of.kernel)
        .stride(of.stride)
        .padding(of.padding)
        .dilation(of.dilation)
        .ceil_mode(of.ceil_mode)
}

fn avg_options(of: &AvgPool2d) -> AvgPool2dOptions {
    AvgPool2dOptions::new(of.kernel)
        .stride(of.stride)
        .padding(of.padding)
        .ceil_mode(of.ceil_mode)
        .count_include_pad(of.count_include_pad)
}

/// y, and dx for the loss sum(y * dy).
fn run(
    x: &Tensor,
    dy: impl Fn(usize) -> Vec<f32>,
    op: impl for<'t> Fn(Var<'t>) -> Var<'t>,
) -> (Tensor, Tensor) {
    let tape = Tape::training();
    let x = tape.variable(x);
    let y = op(x);
    let value = y.value();
    let dy = Tensor::from_slice(&dy(value.numel()), value.shape());
    let grads = (y * tape.input(&dy)).sum().backward();
    (value, grads[x].clone())
}

fn tensor(array: &Array) -> Tensor {
    Tensor::from_slice(&array.to_f32(), &array.shape)
}

/// Images whose sizes are one, odd, even, LeNet's, or several vectors wide, and so many that they make several chunks.
const SHAPES: [[usize; 4]; 13] = [
    [1, 1, 1, 1],
    [1, 1, 2, 2],
    [2, 3, 5, 7],
    [1, 2, 7, 4],
    [3, 1, 6, 9],
    [2, 6, 24, 24],
    [37, 2, 24, 24],
    [16, 1, 5, 7],
    [19, 2, 7, 4],
    [70, 16, 8, 8],
    [2, 1, 3, 101],
    [1, 2, 4, 128],
    [1, 1, 41, 33],
];

/// Every combination of these options that PyTorch accepts for an image.
fn max_cases([_, _, h, w]: [usize; 4]) -> Vec<MaxPool2d> {
    let mut cases = vec![];
    for kernel in [(1, 1), (2, 2), (3, 2), (2, 3), (17, 17)] {
        for stride in [kernel, (1, 1), (2, 2), (1, 3)] {
            for padding in [(0, 0), (1, 0), (1, 1)] {
                for dilation in [(1, 1), (2, 1), (2, 3)] {
                    for ceil_mode in [false, true] {
                        let extent = |kernel: usize, dilation| (kernel - 1) * dilation + 1;
                        let (eh, ew) = (extent(kernel.0, dilation.0), extent(kernel.1, dilation.1));
                        let fits = eh <= h + 2 * padding.0 && ew <= w + 2 * padding.1;
                        // A dilated window must not step over the whole image: it has a test of its own.
                        let sees = (dilation.0 <= h || padding.0 == 0) && (dilation.1 <= w || padding.1 == 0);
                        if fits && sees && padding.0 <= eh / 2 && padding.1 <= ew / 2 {
                            cases.push(MaxPool2d { kernel, stride, padding, dilation, ceil_mode });
                        }
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn max_agrees_with_the_loops() {
    let mut seen = 0;
    for shape in SHAPES {
        let numel = shape.iter().product();
        // Distinct values, and values with many ties, where the first in reading order must win.
        let ties = labels(2, numel, 3).into_iter().map(|label| label as f32).collect();
        for (kind, x) in [("values", values(1, numel)), ("ties", ties)] {
            let x = Array::from_f32(&shape, &x);
            for case in max_cases(shape) {
                let what = format!("{kind} {shape:?} {case:?}");
                let (y, dx) = run(&tensor(&x), |len| values(3, len), |x| x.max_pool2d(max_options(&case)));
                let (want, winners) = pool::max_pool2d(&x, &case);
                assert_eq!(y.shape()[..], want.shape[..], "{what}");
                assert_eq!(y.to_vec(), want.to_f32(), "{what}");
                let dy = Array::from_f32(&want.shape, &values(3, want.data.len()));
                // Sums of multiples of 1/4096 are exact.
                let want = pool::max_pool2d_gradient(&shape, &winners, &dy);
                assert_eq!(dx.to_vec(), want.to_f32(), "{what}: dx");
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "only {seen} cases fit");
}

#[test]
fn avg_agrees_with_the_loops() {
    let mut seen = 0;
    for shape in SHAPES {
        let x = values(4, shape.iter().product());
        let images = Array::from_f32(&shape, &x);
        for MaxPool2d { kernel, stride, padding, dilation, ceil_mode } in max_cases(shape) {
            if dilation != (1, 1) {
                continue;
            }
            for count_include_pad in [false, true] {
                let case = AvgPool2d { kernel, stride, padding, ceil_mode, count_include_pad };
                let what = format!("{shape:?} {case:?}");
                let (y, dx) =
                    run(&tensor(&images), |len| values(5, len), |x| x.avg_pool2d(avg_options(&case)));
                let want = pool::avg_pool2d(&images, &case);
                assert_eq!(y.shape()[..], want.shape[..], "{what}");
                // Two roundings of an exact sum of multiples of 1/4096; then up to kh + kw shares, of at most
                // 1 each, add up in dx.
                assert_close(&what, &y.to_vec(), &want.data, 2e-7, 1e-12);
                let dy = Array::from_f32(&want.shape, &values(5, want.data.len()));
                let want = pool::avg_pool2d_gradient(&shape, &case, &dy);
                assert_close(&format!("{what}: dx"), &dx.to_vec(), &want.data, 2e-6, 1e-6);
                seen += 1;
            }
        }
    }
    assert!(seen > 300, "only {seen} cases fit");
}

#[test]
fn agree_with_pytorch() {
    let golden = Golden::read("ops.txt");
    let input = |name: &str| Tensor::from_slice(golden.f32(name), golden.shape(name));
    let check = |name: String, got: &Tensor| {
        assert_eq!(got.shape()[..], *golden.shape(&name), "{name}");
        assert_close(&name, &got.to_vec(), &golden.truth(&name), 3e-7, 1e-7);
    };
    for case in golden.cases("max_pool2d") {
        let pair = |part: &str| golden.pair(&format!("{case}.{part}"));
        let options = MaxPool2dOptions::new(pair("kernel"))
            .stride(pair("stride"))
            .padding(pair("padding"))
            .dilation(pair("dilation"))
            .ceil_mode(golden.flag(&format!("{case}.ceil_mode")));
        let dy = golden.f32(&format!("{case}.dy"));
        let tape = Tape::training();
        let x = tape.variable(&input(&format!("{case}.x")));
        let y = x.max_pool2d(options);
        check(format!("{case}.y"), &y.value());
        // A NaN times a zero would be a NaN, so the weights are not multiplied with y here.
        let dy = Tensor::from_slice(dy, y.shape());
        let grads = with_gradient(y, dy).backward();
        check(format!("{case}.dx"), &grads[x]);
    }
    for case in golden.cases("avg_pool2d") {
        let pair = |part: &str| golden.pair(&format!("{case}.{part}"));
        let options = AvgPool2dOptions::new(pair("kernel"))
            .stride(pair("stride"))
            .padding(pair("padding"))
            .ceil_mode(golden.flag(&format!("{case}.ceil_mode")))
            .count_include_pad(golden.flag(&format!("{case}.count_include_pad")));
        let dy = golden.f32(&format!("{case}.dy")).to_vec();
        let (y, dx) = run(&input(&format!("{case}.x")), |_| dy.clone(), |x| x.avg_pool2d(options));
        check(format!("{case}.y"), &y);
        check(format!("{case}.dx"), &dx);
    }
}

/// A number whose gradient for `y` is `dy`.
fn with_gradient(y: Var<'_>, dy: Tensor) -> Var<'_> {
    let id = y.id();
    y.tape().record("given", &[y], Tensor::scalar(0.0), dy, move |dy, _, adjoints| adjoints.add(id, || dy))
}

#[test]
fn the_fast_path_follows_the_rules_for_nan_and_infinity() {
    // Planes of 5 x 40: fewer windows than two vectors in a row, an odd row, and every mixture of special values.
    let special = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 0.0, -0.0, 1.0, 1.0, -1.0];
    let shape = [7, 3, 5, 40];
    let x: Vec<f32> = labels(6, 7 * 3 * 5 * 40, 8).into_iter().map(|label| special[label]).collect();
    let images = Array::from_f32(&shape, &x);
    let options = MaxPool2d::new((2, 2));
    let (want, winners) = pool::max_pool2d(&images, &options);
    let tape = Tape::training();
    let x = tape.variable(&tensor(&images));
    let y = x.max_pool2d(2);
    assert_close("y", &y.value().to_vec(), &want.data, 0.0, 0.0);
    let dy = values(7, want.data.len());
    let grads = with_gradient(y, Tensor::from_slice(&dy, y.shape())).backward();
    let want = pool::max_pool2d_gradient(&shape, &winners, &Array::from_f32(&want.shape, &dy));
    assert_eq!(grads[x].to_vec(), want.to_f32());
}

#[test]
fn bits_do_not_depend_on_threads_or_strides() {
    let max = MaxPool2dOptions::new(3).stride(2).padding(1).ceil_mode(true);
    let avg = AvgPool2dOptions::new(3).stride(2).padding(1).count_include_pad(false);
    let ops: [fn(Var<'_>, MaxPool2dOptions, AvgPool2dOptions) -> Var<'_>; 3] =
        [|x, _, _| x.max_pool2d(2), |x, max, _| x.max_pool2d(max), |x, _, avg| x.avg_pool2d(avg)];
    for op in ops {
        for shape in [[37, 2, 24, 24], [9, 5, 17, 31], [70, 16, 8, 8]] {
            let numel: usize = shape.iter().product();
            // Thirds, so that sums round.
            let third = |seed, len| values(seed, len).into_iter().map(|v| v / 3.0).collect::<Vec<f32>>();
            let x = Tensor::from_slice(&third(8, numel), shape);
            let both = |x: &Tensor| {
                let (y, dx) = run(x, |len| third(9, len), |x| op(x, max, avg));
                (y.to_vec(), dx.to_vec())
            };
            parallel::set_threads(1);
            let one = both(&x);
            parallel::set_threads(3);
            assert_eq!(both(&x), one);
            // Stored with the axes the other way round, and as a slice of something larger.
            assert_eq!(both(&x.permute(&[3, 1, 0, 2]).contiguous().permute(&[2, 1, 3, 0])), one);
            let wide = Tensor::cat(&[&x, &x, &x], 3);
            assert_eq!(both(&wide.narrow(3, shape[3], shape[3])), one);
        }
    }
}

#[test]
fn broadcast_images_get_their_gradients_summed() {
    // One row seen as a whole image: every window ties, and the first place of each wins.
    let tape = Tape::training();
    let x = tape.variable(&Tensor::new([[[[1.0, 2.0, 3.0, 4.0]]]]));
    let grads = x.expand([2, 3, 4, 4]).max_pool2d(2).sum().backward();
    assert_eq!(grads[x].to_vec(), [0.0, 12.0, 0.0, 12.0]);
}

#[test]
fn a_window_of_padding_alone_is_minus_infinity_without_a_gradient() {
    // Taps at -3 and 2 of an image with the one place 0.
    let options = MaxPool2dOptions::new((1, 2)).dilation((1, 5)).padding((0, 3)).stride(1);
    let tape = Tape::training();
    let x = tape.variable(&Tensor::ones([1, 1, 1, 1]));
    let y = x.max_pool2d(options);
    assert_eq!(y.value().to_vec(), [f32::NEG_INFINITY; 2]);
    assert_eq!(y.sum().backward()[x].to_vec(), [0.0]);
}

#[test]
fn no_images_give_no_images() {
    let (y, dx) = run(&Tensor::empty([0, 3, 4, 4]), |_| vec![], |x| x.max_pool2d(2));
    assert_eq!((y.shape(), dx.shape()), ([0, 3, 2, 2].into(), [0, 3, 4, 4].into()));
    assert_eq!(Tensor::empty([2, 0, 4, 4]).avg_pool2d(2).shape(), [2, 0, 2, 2]);
}

/// 32 numbers parted into even and odd, and put together again.
struct Parted([f32; 32]);

impl Kernel for Parted {
    type Output = [[f32; LANES]; 4];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let (vectors, _) = self.0.as_chunks::<LANES>();
        let (even, odd) = isa.load(&vectors[0]).deinterleave(isa.load(&vectors[1]));
        let (first, last) = even.interleave(odd);
        [even, odd, first, last].map(Lanes::to_array)
    }
}

#[test]
fn every_instruction_set_parts_even_from_odd() {
    let numbers: [f32; 32] = std::array::from_fn(|i| i as f32);
    let want: [[f32; LANES]; 4] = [
        std::array::from_fn(|i| 2.0 * i as f32),
        std::array::from_fn(|i| 2.0 * i as f32 + 1.0),
        std::array::from_fn(|i| i as f32),
        std::array::from_fn(|i| 16.0 + i as f32),
    ];
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        assert_eq!(dispatch_at(level, Parted(numbers)), want, "{}", level.name());
    }
}
