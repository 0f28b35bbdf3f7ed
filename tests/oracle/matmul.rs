//! Matrix products over the last two axes, the axes before them broadcast.
//!
//! ```text
//! y[.., i, j] = sum over p of a[.., i, p] b[.., p, j]      a [.., m, k], b [.., k, n]
//! da[.., i, p] += dy[.., i, j] b[.., p, j]                 db[.., p, j] += dy[.., i, j] a[.., i, p]
//! ```
//!
//! A broadcast operand is met several times and gathers its gradient from each meeting.
//! Next file: numeric.rs.

use super::array::Array;

/// The batch shape of the product: NumPy's rule, sizes equal or one of them 1.
#[track_caller]
fn batch_shape(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        let missing = rank - shape.len();
        if axis < missing { 1 } else { shape[axis - missing] }
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y || y == 1 => x,
            (1, y) => y,
            _ => panic!("batch shapes {a:?} and {b:?} do not broadcast"),
        })
        .collect()
}

/// Which matrix of an operand with batch shape `own` belongs to matrix `index` of the product.
fn matrix(index: usize, full: &[usize], own: &[usize]) -> usize {
    let mut rest = index;
    let mut result = 0;
    let mut step = 1;
    for axis in (0..full.len()).rev() {
        let at = rest % full[axis];
        rest /= full[axis];
        if axis + own.len() >= full.len() {
            let size = own[axis + own.len() - full.len()];
            result += if size == 1 { 0 } else { at * step };
            step *= size;
        }
    }
    result
}

/// Calls `visit` once for every product of the sum, with its places in the data of y, a and b;
/// returns the shape of y.
#[track_caller]
fn for_each_product(a: &Array, b: &Array, mut visit: impl FnMut(usize, usize, usize)) -> Vec<usize> {
    let (batch_a, last_a) = a.shape.split_at(a.shape.len() - 2);
    let (batch_b, last_b) = b.shape.split_at(b.shape.len() - 2);
    let (m, k, n) = (last_a[0], last_a[1], last_b[1]);
    assert_eq!(k, last_b[0], "the columns of a are the rows of b");
    let mut shape = batch_shape(batch_a, batch_b);
    for index in 0..shape.iter().product() {
        let in_a = matrix(index, &shape, batch_a) * m * k;
        let in_b = matrix(index, &shape, batch_b) * k * n;
        for i in 0..m {
            for j in 0..n {
                for p in 0..k {
                    visit(index * m * n + i * n + j, in_a + i * k + p, in_b + p * n + j);
                }
            }
        }
    }
    shape.extend([m, n]);
    shape
}

#[track_caller]
pub fn forward(a: &Array, b: &Array) -> Array {
    let shape = for_each_product(a, b, |_, _, _| ());
    let mut y = Array::zeros(&shape);
    for_each_product(a, b, |at_y, at_a, at_b| y.data[at_y] += a.data[at_a] * b.data[at_b]);
    y
}

/// The gradients (da, db) of `sum(y * dy)`.
#[track_caller]
pub fn gradients(a: &Array, b: &Array, dy: &Array) -> (Array, Array) {
    let mut da = Array::zeros(&a.shape);
    let mut db = Array::zeros(&b.shape);
    let shape = for_each_product(a, b, |at_y, at_a, at_b| {
        da.data[at_a] += dy.data[at_y] * b.data[at_b];
        db.data[at_b] += dy.data[at_y] * a.data[at_a];
    });
    assert_eq!(shape, dy.shape, "dy has the output's shape");
    (da, db)
}

/// `y = x w^T + b` with `x [n,in]`, `w [out,in]`, `b [out]`: PyTorch's Linear.
#[track_caller]
pub fn linear(x: &Array, w: &Array, b: &Array) -> Array {
    let ([n, inputs], [outputs, _], [_]) = (x.dims(), w.dims(), b.dims());
    let mut y = Array::zeros(&[n, outputs]);
    for row in 0..n {
        for o in 0..outputs {
            let products = (0..inputs).map(|i| x.at([row, i]) * w.at([o, i]));
            *y.at_mut([row, o]) = b.at([o]) + products.sum::<f64>();
        }
    }
    y
}

/// The gradients (dx, dw, db) of `sum(linear(x, w, b) * dy)`.
pub fn linear_gradients(x: &Array, w: &Array, dy: &Array) -> (Array, Array, Array) {
    let ([n, inputs], [outputs, _]) = (x.dims(), w.dims());
    let mut dx = Array::zeros(&x.shape);
    let mut dw = Array::zeros(&w.shape);
    let mut db = Array::zeros(&[outputs]);
    for row in 0..n {
        for o in 0..outputs {
            let dy = dy.at([row, o]);
            *db.at_mut([o]) += dy;
            for i in 0..inputs {
                *dx.at_mut([row, i]) += dy * w.at([o, i]);
                *dw.at_mut([o, i]) += dy * x.at([row, i]);
            }
        }
    }
    (dx, dw, db)
}
