//! conv2d and its three gradients against nested f64 loops and PyTorch, over every option, and bit for bit over threads
//! and strides.

mod oracle;

use oracle::{Array, Golden, assert_close, values};
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::{Tape, Tensor, parallel};

/// One convolution: images [n, c, h, w], filters [oc, c / groups, kh, kw].
struct Case {
    x: [usize; 4],
    w: [usize; 4],
    options: oracle::conv2d::Conv2d,
}

struct Result {
    y: Tensor,
    dx: Tensor,
    dw: Tensor,
    db: Tensor,
}

fn options(of: &oracle::conv2d::Conv2d) -> Conv2dOptions {
    Conv2dOptions {
        stride: of.stride.into(),
        padding: of.padding.into(),
        dilation: of.dilation.into(),
        groups: of.groups,
    }
}

fn run(x: &Tensor, w: &Tensor, b: &Tensor, dy: &[f32], options: &Conv2dOptions) -> Result {
    let tape = Tape::training();
    let (x, w, b) = (tape.variable(x), tape.variable(w), tape.variable(b));
    let y = x.conv2d(w, Some(b), options);
    let value = y.value();
    let grads = (y * tape.input(&Tensor::from_slice(dy, value.shape()))).sum().backward();
    Result { y: value, dx: grads[x].clone(), dw: grads[w].clone(), db: grads[b].clone() }
}

fn cases() -> Vec<Case> {
    let plain = oracle::conv2d::Conv2d::default();
    let mut cases = vec![];
    // LeNet's two, then sizes that are odd, one, or as large as the image.
    for (x, w) in [
        ([3, 1, 28, 28], [6, 1, 5, 5]),
        ([9, 6, 12, 12], [16, 6, 5, 5]),
        ([1, 1, 1, 1], [1, 1, 1, 1]),
        ([2, 3, 5, 7], [4, 3, 5, 7]),
        ([2, 3, 7, 5], [5, 3, 1, 1]),
        ([1, 2, 6, 8], [3, 2, 1, 2]),
        ([17, 2, 9, 20], [3, 2, 3, 3]),
        ([1, 5, 40, 17], [33, 5, 3, 3]),
    ] {
        cases.push(Case { x, w, options: plain });
    }
    for stride in [(1, 1), (2, 3), (3, 1)] {
        for padding in [(0, 0), (1, 2), (3, 0)] {
            for dilation in [(1, 1), (2, 1), (1, 3)] {
                let options = oracle::conv2d::Conv2d { stride, padding, dilation, groups: 1 };
                cases.push(Case { x: [2, 3, 9, 11], w: [4, 3, 3, 2], options });
                let options = oracle::conv2d::Conv2d { groups: 3, ..options };
                cases.push(Case { x: [2, 6, 8, 7], w: [9, 2, 2, 3], options });
            }
        }
    }
    // As many images as are worked on at once.
    for (stride, padding, dilation, groups) in [
        ((1, 1), (0, 0), (1, 1), 1),
        ((1, 1), (1, 2), (1, 1), 2),
        ((2, 3), (3, 0), (1, 1), 1),
        ((1, 2), (0, 1), (2, 1), 2),
        ((3, 1), (2, 2), (1, 3), 1),
    ] {
        for n in [16, 37] {
            let options = oracle::conv2d::Conv2d { stride, padding, dilation, groups };
            cases.push(Case { x: [n, 4, 9, 11], w: [6, 4 / groups, 3, 2], options });
        }
    }
    // Filters side by side: for few images where there is work enough, for many where there are filters enough. Wide rows of few channels.
    for (stride, padding, dilation, groups) in [
        ((1, 1), (1, 1), (1, 1), 1),
        ((1, 1), (0, 2), (2, 3), 2),
        ((2, 3), (3, 1), (1, 1), 1),
        ((2, 1), (1, 0), (1, 2), 2),
    ] {
        let options = oracle::conv2d::Conv2d { stride, padding, dilation, groups };
        cases.push(Case { x: [3, 16, 23, 21], w: [groups * 20, 16 / groups, 3, 2], options });
        cases.push(Case { x: [17, 4, 7, 8], w: [groups * 35, 4 / groups, 3, 2], options });
        let stride = (stride.0, 1);
        let options = oracle::conv2d::Conv2d { stride, ..options };
        cases.push(Case { x: [2, 2, 5, 75], w: [groups * 3, 2 / groups, 3, 2], options });
    }
    // More taps than are summed at a time, and more weights than a task reads.
    let padded = oracle::conv2d::Conv2d { padding: (1, 1), ..plain };
    cases.push(Case { x: [16, 260, 3, 2], w: [70, 260, 3, 3], options: padded });
    cases.push(Case { x: [64, 3, 8, 7], w: [17, 3, 3, 3], options: plain });
    cases.push(Case {
        x: [2, 8, 6, 6],
        w: [8, 1, 3, 3],
        options: oracle::conv2d::Conv2d { groups: 8, ..plain },
    });
    cases
}

fn inputs(case: &Case) -> (Tensor, Tensor, Tensor, Vec<f32>) {
    let make = |seed, shape: [usize; 4]| Tensor::from_slice(&values(seed, shape.iter().product()), shape);
    let (x, w) = (make(1, case.x), make(2, case.w));
    let b = Tensor::from_slice(&values(3, case.w[0]), [case.w[0]]);
    let y_shape = oracle::conv2d::output_shape(&array(&x), &array(&w), &case.options);
    (x, w, b, values(4, y_shape.iter().product()))
}

/// What rounding may add up to in a sum of `terms` products of numbers below 1, each step off by half of 2^-23 of a partial sum
/// of about 1. (The worst case is `terms` times larger.)
fn rounding(terms: usize) -> f64 {
    6e-8 * (terms as f64 + 1.0)
}

fn array(tensor: &Tensor) -> Array {
    Array::from_f32(&tensor.shape(), &tensor.to_vec())
}

#[test]
fn agrees_with_the_loops() {
    for case in cases() {
        let (x, w, b, dy) = inputs(&case);
        let got = run(&x, &w, &b, &dy, &options(&case.options));
        let name = format!("{:?} * {:?} {:?}", case.x, case.w, case.options);
        let y = oracle::conv2d::forward(&array(&x), &array(&w), Some(&array(&b)), &case.options);
        assert_eq!(got.y.shape()[..], y.shape[..], "{name}");
        let dy = Array::from_f32(&y.shape, &dy);
        let (dx, dw, db) = oracle::conv2d::gradients(&array(&x), &array(&w), &case.options, &dy);
        let taps: usize = case.w[1..].iter().product();
        let windows = y.shape[0] * y.shape[2] * y.shape[3];
        let filters = case.w[0] * case.w[2] * case.w[3];
        assert_close(&format!("y of {name}"), &got.y.to_vec(), &y.data, 1e-6, rounding(taps));
        assert_close(&format!("dx of {name}"), &got.dx.to_vec(), &dx.data, 1e-6, rounding(filters));
        assert_close(&format!("dw of {name}"), &got.dw.to_vec(), &dw.data, 1e-6, rounding(windows));
        assert_close(&format!("db of {name}"), &got.db.to_vec(), &db.data, 1e-6, rounding(windows));
    }
}

/// The chain of an output goes along its taps, whichever way the products are done.
#[test]
fn an_image_alone_gives_the_bits_that_it_gives_among_many() {
    for (w, padding) in [([6, 3, 5, 5], 0), ([24, 3, 3, 3], 1), ([40, 3, 5, 5], 2)] {
        let options = oracle::conv2d::Conv2d { padding: (padding, padding), ..Default::default() };
        for size in [11, 30, 70] {
            let (x, w, b, _) = inputs(&Case { x: [16, 3, size, size], w, options });
            let y = |x: &Tensor| {
                let tape = Tape::inference();
                tape.input(x).conv2d(tape.input(&w), Some(tape.input(&b)), &self::options(&options)).value()
            };
            let many = y(&x);
            for images in [1, 3] {
                let few = y(&x.slice(0, 0..images));
                assert_eq!(few.to_vec(), many.slice(0, 0..images).to_vec(), "{images} images of {size}");
            }
        }
    }
}

#[test]
fn agrees_with_pytorch() {
    let golden = Golden::read("ops.txt");
    for case in golden.cases("conv2d") {
        let tensor = |what: &str| {
            let name = format!("{case}.{what}");
            Tensor::from_slice(golden.f32(&name), golden.shape(&name))
        };
        let pair = |what: &str| golden.pair(&format!("{case}.{what}"));
        let options = Conv2dOptions {
            stride: pair("stride").into(),
            padding: pair("padding").into(),
            dilation: pair("dilation").into(),
            groups: golden.number(&format!("{case}.groups")) as usize,
        };
        let (x, w) = (tensor("x"), tensor("w"));
        let b = match golden.has(&format!("{case}.b")) {
            true => tensor("b"),
            false => Tensor::zeros([w.size(0)]),
        };
        let got = run(&x, &w, &b, golden.f32(&format!("{case}.dy")), &options);
        for (what, got) in [("y", &got.y), ("dx", &got.dx), ("dw", &got.dw)] {
            let name = format!("{case}.{what}");
            assert_close(&name, &got.to_vec(), &golden.truth(&name), 2e-6, 2e-6);
        }
    }
}

/// A sum over nothing is the bias, and what is not there has a gradient of no elements.
#[test]
fn no_images_no_channels_no_filters() {
    for n in [0, 1, 16] {
        for (c, oc) in [(0, 2), (2, 0), (0, 0), (2, 3)] {
            let tape = Tape::training();
            let variable = |shape: &[usize]| tape.variable(&Tensor::ones(shape));
            let (x, w, b) = (variable(&[n, c, 4, 5]), variable(&[oc, c, 3, 3]), variable(&[oc]));
            let options = Conv2dOptions { padding: 1.into(), ..Conv2dOptions::default() };
            let y = x.conv2d(w, Some(b), &options);
            assert_eq!(y.shape(), [n, oc, 4, 5]);
            assert!(c > 0 || y.value().to_vec().iter().all(|&y| y == 1.0));
            let grads = y.sum().backward();
            assert_eq!((grads[x].shape(), grads[w].shape()), ([n, c, 4, 5].into(), [oc, c, 3, 3].into()));
            assert!(oc > 0 || grads[x].to_vec().iter().all(|&dx| dx == 0.0));
            assert_eq!(grads[b].to_vec(), vec![20.0 * n as f32; oc]);
        }
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec().iter().map(|x| x.to_bits()).collect()
}

/// A third of the other tests' numbers uses all bits of its mantissa. Their own products, of twelve bits each, are exact, and
/// their sums nearly so: another order of additions, or a multiply-add that rounds twice, would leave no trace.
#[test]
fn bits_do_not_depend_on_threads_or_strides() {
    for case in cases() {
        let (x, w, b, dy) = inputs(&case);
        let (x, w, b, dy) = (x / 3.0, w / 3.0, b / 3.0, dy.iter().map(|dy| dy / 3.0).collect::<Vec<_>>());
        let options = options(&case.options);
        parallel::set_threads(1);
        let one = run(&x, &w, &b, &dy, &options);
        parallel::set_threads(3);
        let three = run(&x, &w, &b, &dy, &options);
        // The same images and filters, stored the other way round.
        let strided = |t: &Tensor| t.permute(&[3, 1, 0, 2]).contiguous().permute(&[2, 1, 3, 0]);
        let other = run(&strided(&x), &strided(&w), &b, &dy, &options);
        for result in [three, other] {
            assert_eq!(bits(&one.y), bits(&result.y));
            assert_eq!(bits(&one.dx), bits(&result.dx));
            assert_eq!(bits(&one.dw), bits(&result.dw));
            assert_eq!(bits(&one.db), bits(&result.db));
        }
    }
}

#[test]
fn what_nobody_wants_is_not_computed() {
    let tape = Tape::training();
    let x = tape.input(&Tensor::ones([1, 1, 4, 4]));
    let w = tape.variable(&Tensor::ones([1, 1, 2, 2]));
    let grads = x.conv2d(w, None, &Conv2dOptions::default()).sum().backward();
    assert_eq!(grads[w].to_vec(), [9.0; 4]);
    let images = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| grads[x].shape()));
    assert!(images.is_err(), "constant images have no gradient");
}
