//! 2-D convolution (cross-correlation, as everywhere in deep learning) by its definition.
//!
//! ```text
//! y[n, oc, i, j] = b[oc] + sum over c, u, v of
//!                  x[n, c, i * stride + u * dilation - padding, ...] * w[oc, c', u, v]
//! ```
//!
//! where x is zero outside of the image and an output channel of group g sees only the input
//! channels of group g (c' counts within the group). Every product of the sum gives `dy * w`
//! to dx and `dy * x` to dw; [`gradients`] is that sentence as loops.
//!
//! Fast it is not. Next file: pool.rs.

use super::array::Array;

/// The options of a convolution, by axis: (rows, columns).
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub dilation: (usize, usize),
    pub groups: usize,
}

impl Default for Conv2d {
    fn default() -> Conv2d {
        Conv2d { stride: (1, 1), padding: (0, 0), dilation: (1, 1), groups: 1 }
    }
}

/// The notebook's cell 3: one image, one kernel, no options.
pub fn corr2d(x: &Array, k: &Array) -> Array {
    let [rows, columns] = x.dims();
    let [h, w] = k.dims();
    let mut y = Array::zeros(&[rows - h + 1, columns - w + 1]);
    for i in 0..rows - h + 1 {
        for j in 0..columns - w + 1 {
            for u in 0..h {
                for v in 0..w {
                    *y.at_mut([i, j]) += x.at([i + u, j + v]) * k.at([u, v]);
                }
            }
        }
    }
    y
}

/// The shape of the output: `[n, oc, oh, ow]`.
#[track_caller]
pub fn output_shape(x: &Array, w: &Array, options: &Conv2d) -> [usize; 4] {
    let [n, c, h, width] = x.dims();
    let [oc, c_per_group, kh, kw] = w.dims();
    assert_eq!(c, c_per_group * options.groups, "input channels are groups times the kernel's");
    assert_eq!(oc % options.groups, 0, "output channels are a multiple of groups");
    let size = |input: usize, kernel: usize, stride: usize, padding: usize, dilation: usize| {
        let reach = dilation * (kernel - 1) + 1;
        let padded = input + 2 * padding;
        assert!(padded >= reach, "a window of {reach} does not fit into {padded}");
        (padded - reach) / stride + 1
    };
    let (s, p, d) = (options.stride, options.padding, options.dilation);
    [n, oc, size(h, kh, s.0, p.0, d.0), size(width, kw, s.1, p.1, d.1)]
}

/// Calls `visit` once for every product that the definition adds up, with the indices of
/// y, x and w. What lies in the padding is left out: it is zero.
fn for_each_product(
    x: &Array,
    w: &Array,
    options: &Conv2d,
    mut visit: impl FnMut([usize; 4], [usize; 4], [usize; 4]),
) {
    let [n, oc, oh, ow] = output_shape(x, w, options);
    let [_, _, h, width] = x.dims();
    let [_, c_per_group, kh, kw] = w.dims();
    let oc_per_group = oc / options.groups;
    let (s, p, d) = (options.stride, options.padding, options.dilation);
    for image in 0..n {
        for o in 0..oc {
            let first_channel = o / oc_per_group * c_per_group;
            for i in 0..oh {
                for j in 0..ow {
                    for c in 0..c_per_group {
                        for u in 0..kh {
                            for v in 0..kw {
                                let row = inside(i * s.0 + u * d.0, p.0, h);
                                let column = inside(j * s.1 + v * d.1, p.1, width);
                                if let (Some(row), Some(column)) = (row, column) {
                                    let pixel = [image, first_channel + c, row, column];
                                    visit([image, o, i, j], pixel, [o, c, u, v]);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// From a place in the padded image to the place in the image, if it has one.
fn inside(padded: usize, padding: usize, size: usize) -> Option<usize> {
    padded.checked_sub(padding).filter(|&place| place < size)
}

/// `x [n,c,h,w]`, `w [oc,c/groups,kh,kw]`, `b [oc]` to `y [n,oc,oh,ow]`.
#[track_caller]
pub fn forward(x: &Array, w: &Array, b: Option<&Array>, options: &Conv2d) -> Array {
    let shape = output_shape(x, w, options);
    let mut y = Array::zeros(&shape);
    if let Some(b) = b {
        let [oc] = b.dims();
        assert_eq!(oc, shape[1], "one bias for each output channel");
        let pixels = shape[2] * shape[3];
        for (i, value) in y.data.iter_mut().enumerate() {
            *value = b.at([i / pixels % oc]);
        }
    }
    for_each_product(x, w, options, |at_y, at_x, at_w| {
        *y.at_mut(at_y) += x.at(at_x) * w.at(at_w);
    });
    y
}

/// The gradients (dx, dw, db) of `sum(y * dy)`.
#[track_caller]
pub fn gradients(x: &Array, w: &Array, options: &Conv2d, dy: &Array) -> (Array, Array, Array) {
    let shape = output_shape(x, w, options);
    assert_eq!(dy.shape, shape, "dy has the output's shape");
    let mut dx = Array::zeros(&x.shape);
    let mut dw = Array::zeros(&w.shape);
    let mut db = Array::zeros(&[shape[1]]);
    for_each_product(x, w, options, |at_y, at_x, at_w| {
        *dx.at_mut(at_x) += dy.at(at_y) * w.at(at_w);
        *dw.at_mut(at_w) += dy.at(at_y) * x.at(at_x);
    });
    let pixels = shape[2] * shape[3];
    for (i, value) in dy.data.iter().enumerate() {
        *db.at_mut([i / pixels % shape[1]]) += value;
    }
    (dx, dw, db)
}
