//! Laying a strided tensor out in order: the one loop behind `contiguous`.
//!
//! Axes that lie in memory like one are merged first, so a transposed batch of images costs as few loop levels as
//! its strides allow; the innermost axis is copied as a slice where its stride is one, filled where it is zero.
//!
//! What this is not: the way kernels read their input. GEMM and convolution pack from strides directly.

use super::shape::{Shape, Strides};

/// Copies the elements of a strided view, whose first element is `source[0]`, to `target` in row-major order.
pub(super) fn copy_strided(source: &[f32], shape: &Shape, strides: &Strides, target: &mut [f32]) {
    if target.is_empty() {
        return;
    }
    let (shape, strides) = merge_axes(shape, strides);
    let inner = shape.len() - 1;
    let (run, step) = (shape[inner], strides[inner]);
    let mut index = [0usize; super::MAX_RANK];
    let mut start = 0;
    for row in target.chunks_exact_mut(run) {
        match step {
            1 => row.copy_from_slice(&source[start..start + run]),
            0 => row.fill(source[start]),
            _ => {
                for (to, from) in row.iter_mut().zip(source[start..].iter().step_by(step)) {
                    *to = *from;
                }
            }
        }
        // Count the outer index up by one, like an odometer, and move `start` along.
        for axis in (0..inner).rev() {
            index[axis] += 1;
            start += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            start -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
}

/// The same view with neighbouring axes merged where they lie in memory like one, and at least one axis.
fn merge_axes(shape: &Shape, strides: &Strides) -> (Shape, Strides) {
    let (mut dims, mut steps) = (Shape::SCALAR, Strides::SCALAR);
    for (&dim, &stride) in shape.iter().zip(strides.iter()) {
        match dims.len() {
            _ if dim == 1 => {}
            0 => {
                dims.push(dim);
                steps.push(stride);
            }
            rank if steps[rank - 1] == stride * dim => {
                dims[rank - 1] *= dim;
                steps[rank - 1] = stride;
            }
            _ => {
                dims.push(dim);
                steps.push(stride);
            }
        }
    }
    if dims.is_empty() {
        dims.push(1);
        steps.push(1);
    }
    (dims, steps)
}
