//! matmul and linear against nested f64 loops and PyTorch, batched, broadcast, transposed and sliced.

mod oracle;

use oracle::{Array, Golden, assert_close, values};
use tapegrad::{Tape, Tensor, parallel};

fn tensor(seed: u32, shape: &[usize]) -> Tensor {
    Tensor::from_slice(&values(seed, shape.iter().product()), shape)
}

/// What rounding may add up to in a sum of `terms` products of numbers below 1, each step off by half of 2^-23 of a partial sum
/// of about 1. (The worst case is `terms` times larger.)
fn rounding(terms: usize) -> f64 {
    6e-8 * (terms as f64 + 1.0)
}

/// Numbers that use all bits of their mantissas. The others' products, of twelve bits each, are exact, and their sums nearly so:
/// another order of additions, or a multiply-add that rounds twice, would leave no trace.
fn full(seed: u32, shape: &[usize]) -> Tensor {
    tensor(seed, shape) / 3.0
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec().iter().map(|x| x.to_bits()).collect()
}

fn array(tensor: &Tensor) -> Array {
    Array::from_f32(&tensor.shape(), &tensor.to_vec())
}

/// The product and its two gradients.
fn run(a: &Tensor, b: &Tensor, dy: &Tensor) -> (Tensor, Tensor, Tensor) {
    let tape = Tape::training();
    let (a, b) = (tape.variable(a), tape.variable(b));
    let y = a.matmul(b);
    let value = y.value();
    let grads = (y * tape.input(dy)).sum().backward();
    (value, grads[a].clone(), grads[b].clone())
}

fn check(name: &str, a: &Tensor, b: &Tensor) {
    let y = oracle::matmul::forward(&array(a), &array(b));
    let dy = tensor(9, &y.shape);
    let (da, db) = oracle::matmul::gradients(&array(a), &array(b), &array(&dy));
    let got = run(a, b, &dy);
    assert_eq!(got.0.shape()[..], y.shape[..], "{name}");
    // A factor that was broadcast has its gradients added up over the batch too.
    let (m, n) = (y.shape[y.shape.len() - 2], y.shape[y.shape.len() - 1]);
    let batch = y.shape[..y.shape.len() - 2].iter().product::<usize>();
    assert_close(&format!("y of {name}"), &got.0.to_vec(), &y.data, 1e-6, rounding(a.size(-1)));
    assert_close(&format!("da of {name}"), &got.1.to_vec(), &da.data, 1e-6, rounding(batch * n));
    assert_close(&format!("db of {name}"), &got.2.to_vec(), &db.data, 1e-6, rounding(batch * m));
}

#[test]
fn agrees_with_the_loops() {
    for (a, b) in [
        (&[1, 1][..], &[1, 1][..]),
        (&[3, 5], &[5, 7]),
        (&[256, 84], &[84, 10]),
        (&[33, 300], &[300, 65]),
        (&[4, 3, 5], &[4, 5, 2]),
        (&[4, 3, 5], &[5, 2]),
        (&[3, 5], &[4, 5, 2]),
        (&[2, 1, 3, 4], &[3, 4, 2]),
        (&[1, 4, 1], &[6, 1, 3]),
    ] {
        let name = format!("{a:?} x {b:?}");
        check(&name, &tensor(1, a), &tensor(2, b));
        // The same shapes as views: stored transposed, and cut out of something larger.
        let swapped = |shape: &[usize]| {
            let mut shape = shape.to_vec();
            let last = shape.len() - 1;
            shape.swap(last - 1, last);
            shape
        };
        check(&format!("{name}, transposed"), &tensor(1, &swapped(a)).t(), &tensor(2, &swapped(b)).t());
        let larger: Vec<usize> = a.iter().map(|dim| dim + 3).collect();
        let mut sliced = tensor(3, &larger);
        for (axis, &dim) in a.iter().enumerate() {
            sliced = sliced.narrow(axis as isize, 2, dim);
        }
        check(&format!("{name}, sliced"), &sliced, &tensor(2, b));
    }
    // A row repeated without a copy: every stride of the first axis is zero.
    check("expanded", &tensor(1, &[1, 6]).expand([5, 6]), &tensor(2, &[6, 3]));
}

#[test]
fn linear_agrees_with_the_loops() {
    for (n, inputs, outputs) in [(1, 1, 1), (32, 256, 120), (5, 84, 10), (7, 3, 33)] {
        let (x, w, b) = (tensor(1, &[n, inputs]), tensor(2, &[outputs, inputs]), tensor(3, &[outputs]));
        let dy = tensor(4, &[n, outputs]);
        let tape = Tape::training();
        let (vx, vw, vb) = (tape.variable(&x), tape.variable(&w), tape.variable(&b));
        let y = vx.linear(vw, Some(vb));
        let value = y.value();
        let grads = (y * tape.input(&dy)).sum().backward();
        let want = oracle::matmul::linear(&array(&x), &array(&w), &array(&b));
        let (dx, dw, db) = oracle::matmul::linear_gradients(&array(&x), &array(&w), &array(&dy));
        assert_close("y", &value.to_vec(), &want.data, 1e-6, rounding(inputs));
        assert_close("dx", &grads[vx].to_vec(), &dx.data, 1e-6, rounding(outputs));
        assert_close("dw", &grads[vw].to_vec(), &dw.data, 1e-6, rounding(n));
        assert_close("db", &grads[vb].to_vec(), &db.data, 1e-6, rounding(n));
    }
}

#[test]
fn agrees_with_pytorch() {
    let golden = Golden::read("ops.txt");
    for case in golden.cases("matmul") {
        let tensor = |what: &str| {
            let name = format!("{case}.{what}");
            Tensor::from_slice(golden.f32(&name), golden.shape(&name))
        };
        let got = run(&tensor("a"), &tensor("b"), &tensor("dy"));
        for (what, got) in [("y", &got.0), ("da", &got.1), ("db", &got.2)] {
            let name = format!("{case}.{what}");
            assert_close(&name, &got.to_vec(), &golden.truth(&name), 2e-6, 2e-6);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_strides() {
    for (m, k, n) in [(130, 300, 70), (16, 600, 900), (1, 5, 3)] {
        let (a, b, dy) = (full(1, &[m, k]), full(2, &[k, n]), full(3, &[m, n]));
        parallel::set_threads(1);
        let one = run(&a, &b, &dy);
        parallel::set_threads(3);
        let swapped = |x: &Tensor| x.t().contiguous().t();
        for other in [run(&a, &b, &dy), run(&swapped(&a), &swapped(&b), &swapped(&dy))] {
            assert_eq!(bits(&one.0), bits(&other.0));
            assert_eq!(bits(&one.1), bits(&other.1));
            assert_eq!(bits(&one.2), bits(&other.2));
        }
    }
}

/// What chapter 3 promises of a product holds for the op and its gradients: each element is one chain along k.
#[test]
fn bits_are_those_of_one_chain_of_fused_multiply_adds() {
    let chains = |a: &Tensor, b: &Tensor| {
        let (m, k, n) = (a.size(0), a.size(1), b.size(1));
        let element = |at: usize| {
            (0..k).fold(0.0_f32, |sum, p| a.get([at / n, p]).mul_add(b.get([p, at % n]), sum)).to_bits()
        };
        (0..m * n).map(element).collect::<Vec<_>>()
    };
    let (a, b, dy) = (full(1, &[13, 300]), full(2, &[300, 37]), full(3, &[13, 37]));
    let (y, da, db) = run(&a, &b, &dy);
    assert_eq!(bits(&y), chains(&a, &b));
    assert_eq!(bits(&da), chains(&dy, &b.t()));
    assert_eq!(bits(&db), chains(&a.t(), &dy));
}
