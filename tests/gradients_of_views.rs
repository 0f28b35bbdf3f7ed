//! Every view on the tape against counting indices, and its adjoint against differences; `cat` and `stack`.
//!
//! A view copies numbers, so values are compared with `==`. How gradients are checked stands in `formula/mod.rs`; there every
//! op is also given inputs that are views themselves.

mod formula;
mod oracle;

use formula::{check, tensor};
use oracle::Array;
use tapegrad::{Tape, Tensor, Var};

/// The array whose element at an index is that of `x` at `from(index)`.
fn pick(x: &Array, shape: &[usize], from: impl Fn(&[usize]) -> Vec<usize>) -> Array {
    let mut y = Array::zeros(shape);
    for at in 0..y.data.len() {
        let mut index = vec![0; shape.len()];
        let mut left = at;
        for axis in (0..shape.len()).rev() {
            index[axis] = left % shape[axis];
            left /= shape[axis];
        }
        let source = from(&index);
        assert_eq!(source.len(), x.shape.len());
        let place = source.iter().zip(&x.shape).fold(0, |place, (&i, &size)| {
            assert!(i < size);
            place * size + i
        });
        y.data[at] = x.data[place];
    }
    y
}

fn reshaped(x: &Array, shape: &[usize]) -> Array {
    Array::new(shape, x.data.clone())
}

#[test]
fn shapes() {
    for shape in [&[1, 1][..], &[3, 4], &[2, 3, 5], &[3, 1, 4, 1]] {
        let x = [tensor(1, shape)];
        let all: usize = shape.iter().product();
        check("reshape", &x, |v| v[0].reshape([1, all, 1]), |a| reshaped(&a[0], &[1, all, 1]));
        check("contiguous", &x, |v| v[0].contiguous(), |a| a[0].clone());
        let rest: usize = shape[1..].iter().product();
        check("flatten", &x, |v| v[0].flatten(1), |a| reshaped(&a[0], &[shape[0], rest]));
        for axis in 0..=shape.len() {
            let mut longer = shape.to_vec();
            longer.insert(axis, 1);
            let from_the_end = axis as isize - shape.len() as isize - 1;
            check("unsqueeze", &x, |v| v[0].unsqueeze(axis as isize), |a| reshaped(&a[0], &longer));
            check("unsqueeze", &x, |v| v[0].unsqueeze(from_the_end), |a| reshaped(&a[0], &longer));
        }
        for axis in (0..shape.len()).filter(|&axis| shape[axis] == 1) {
            let mut shorter = shape.to_vec();
            shorter.remove(axis);
            check("squeeze", &x, |v| v[0].squeeze(axis as isize), |a| reshaped(&a[0], &shorter));
        }
    }
    // `view` never copies, so not every layout can be viewed: only what can be cut out of a single axis.
    let x = [tensor(2, &[3, 8])];
    check("view", &x, |v| v[0].view([3, 2, 4]), |a| reshaped(&a[0], &[3, 2, 4]));
}

#[test]
fn orders_of_axes() {
    for shape in [&[1, 1][..], &[3, 4], &[2, 3, 5], &[2, 3, 1, 4]] {
        let x = [tensor(3, shape)];
        let rank = shape.len();
        for a in 0..rank {
            for b in 0..rank {
                let exchanged = |index: &[usize]| {
                    let mut index = index.to_vec();
                    index.swap(a, b);
                    index
                };
                let signed = b as isize - rank as isize;
                let formula = |x: &[Array]| pick(&x[0], &exchanged(shape), exchanged);
                check(&format!("transpose {a} {b}"), &x, |v| v[0].transpose(a as isize, signed), formula);
                if (a, b) == (rank - 2, rank - 1) {
                    check("t", &x, |v| v[0].t(), formula);
                }
            }
        }
        // A rotation differs from its inverse, unlike an exchange.
        let order: Vec<usize> = (0..rank).map(|axis| (axis + 1) % rank).collect();
        let rotated: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let back = |index: &[usize]| {
            let mut source = vec![0; rank];
            for (to, &from) in order.iter().enumerate() {
                source[from] = index[to];
            }
            source
        };
        check("permute", &x, |v| v[0].permute(&order), |a| pick(&a[0], &rotated, back));
    }
}

#[test]
fn pieces() {
    for shape in [&[1][..], &[7], &[5, 3], &[2, 5, 3]] {
        let x = [tensor(4, shape)];
        for axis in 0..shape.len() {
            let signed = axis as isize - shape.len() as isize;
            for (start, length) in [(0, 1), (0, shape[axis]), (shape[axis] / 2, 1), (1, 2)] {
                if start + length > shape[axis] {
                    continue;
                }
                let mut shorter = shape.to_vec();
                shorter[axis] = length;
                let shifted = |index: &[usize]| {
                    let mut index = index.to_vec();
                    index[axis] += start;
                    index
                };
                let formula = |a: &[Array]| pick(&a[0], &shorter, shifted);
                let end = start + length;
                check("narrow", &x, |v| v[0].narrow(signed, start, length), formula);
                check("slice ..", &x, |v| v[0].slice(signed, start..end), formula);
                check("slice ..=", &x, |v| v[0].slice(axis as isize, start..=end - 1), formula);
            }
            for at in [0, shape[axis] - 1] {
                let mut shorter = shape.to_vec();
                shorter.remove(axis);
                let inserted = |index: &[usize]| {
                    let mut index = index.to_vec();
                    index.insert(axis, at);
                    index
                };
                check("select", &x, |v| v[0].select(signed, at), |a| pick(&a[0], &shorter, inserted));
            }
        }
    }
}

#[test]
fn expansions() {
    let cases: [(&[usize], &[usize]); 6] = [
        (&[], &[3]),
        (&[1], &[5]),
        (&[3, 1], &[3, 4]),
        (&[1, 3], &[2, 4, 3]),
        (&[2, 1, 3, 1], &[2, 5, 3, 2]),
        (&[2, 3], &[2, 3]),
    ];
    for (shape, target) in cases {
        let added = target.len() - shape.len();
        let source = |index: &[usize]| {
            index[added..].iter().zip(shape).map(|(&i, &size)| if size == 1 { 0 } else { i }).collect()
        };
        let x = [tensor(5, shape)];
        check("expand", &x, |v| v[0].expand(target), |a| pick(&a[0], target, source));
    }
}

#[test]
fn windows() {
    // Apart, touching, overlapping, and with a rest that no window reaches.
    for (shape, axis, size, step) in [
        (&[1][..], 0, 1, 1),
        (&[9], 0, 3, 1),
        (&[9], 0, 3, 3),
        (&[9], 0, 2, 4),
        (&[7, 3], 0, 4, 2),
        (&[3, 7], 1, 4, 2),
        (&[2, 6, 3], 1, 5, 1),
        (&[2, 6, 3], -3, 2, 1),
    ] {
        let x = [tensor(6, shape)];
        let at = isize::rem_euclid(axis, shape.len() as isize) as usize;
        let mut target = shape.to_vec();
        target[at] = (shape[at] - size) / step + 1;
        target.push(size);
        let source = |index: &[usize]| {
            let mut from = index[..shape.len()].to_vec();
            from[at] = index[at] * step + index[shape.len()];
            from
        };
        let name = format!("unfold {axis} {size} {step}");
        check(&name, &x, |v| v[0].unfold(axis, size, step), |a| pick(&a[0], &target, source));
    }
    // Twice: the patches of a convolution.
    let x = [tensor(7, &[2, 5, 6])];
    check(
        "patches",
        &x,
        |v| v[0].unfold(1, 3, 1).unfold(2, 2, 2),
        |a| pick(&a[0], &[2, 3, 3, 3, 2], |i| vec![i[0], i[1] + i[3], i[2] * 2 + i[4]]),
    );
}

#[test]
fn joined() {
    for axis in [0, 1, 2, -1] {
        let at = if axis < 0 { 2 } else { axis as usize };
        let shape = [2, 3, 4];
        // Pieces of different lengths, one of them empty of neighbours.
        let inputs: Vec<Tensor> = [2, 1, 3]
            .iter()
            .enumerate()
            .map(|(i, &length)| {
                let mut shape = shape;
                shape[at] = length;
                tensor(8 + i as u32, &shape)
            })
            .collect();
        let cat = |arrays: &[Array]| {
            let (outer, _, inner) = arrays[0].around(at);
            let mut shape = shape.to_vec();
            shape[at] = 6;
            let mut data = vec![];
            for block in 0..outer {
                for array in arrays {
                    let run = array.shape[at] * inner;
                    data.extend_from_slice(&array.data[block * run..][..run]);
                }
            }
            Array::new(&shape, data)
        };
        check("cat", &inputs, |v| Var::cat(v, axis), cat);
    }
    for axis in [0_isize, 1, 2, -1, -2] {
        let at = axis.rem_euclid(3) as usize;
        let inputs = [tensor(11, &[3, 5]), tensor(12, &[3, 5])];
        let mut target = vec![3, 5];
        target.insert(at, 2);
        let stack = |arrays: &[Array]| {
            // Both one after the other, and then the new axis put where it belongs.
            let both = Array::new(&[2, 3, 5], [&arrays[0].data[..], &arrays[1].data[..]].concat());
            pick(&both, &target, |index| {
                let mut index = index.to_vec();
                let which = index.remove(at);
                index.insert(0, which);
                index
            })
        };
        check("stack", &inputs, |v| Var::stack(v, axis), stack);
    }
    // The same value in several places gets the sum.
    let x = [tensor(13, &[2, 3])];
    check(
        "cat of one",
        &x,
        |v| Var::cat(&[v[0], v[0]], 0),
        |a| Array::new(&[4, 3], [&a[0].data[..], &a[0].data[..]].concat()),
    );
}

#[test]
fn views_of_nothing() {
    let tape = Tape::training();
    let x = tape.variable(&Tensor::ones([3, 4]));
    let y = x.narrow(0, 1, 0);
    assert_eq!(y.shape(), [0, 4]);
    assert_eq!(y.sum().backward()[x].to_vec(), [0.0; 12]);
}
