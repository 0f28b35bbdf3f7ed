//! Max and average pooling by PyTorch's rules.
//!
//! ```text
//! max: y[n, c, i, j] = the largest x in the window       avg: the sum of the window / divisor
//! ```
//!
//! The rules that are not in the formula:
//! - max: padding never wins. Of equal values the first in reading order wins and takes the
//!   gradient. NaN beats every number, and of several NaN the last one wins.
//! - the last window: with `ceil_mode` the number of windows is rounded up, but a window that
//!   would start beyond the image and its left padding is left out.
//! - avg: the divisor is the window's size within the padded image (a window that `ceil_mode`
//!   lets hang over the padding's edge counts only what is within), or with
//!   `count_include_pad` off the number of real pixels.
//!
//! Next file: batch_norm.rs.

use super::array::Array;

/// The options of max pooling, by axis: (rows, columns).
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub dilation: (usize, usize),
    pub ceil_mode: bool,
}

impl MaxPool2d {
    /// The defaults: the stride is the kernel, no padding.
    pub fn new(kernel: (usize, usize)) -> MaxPool2d {
        MaxPool2d { kernel, stride: kernel, padding: (0, 0), dilation: (1, 1), ceil_mode: false }
    }
}

/// The options of average pooling, by axis: (rows, columns).
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub ceil_mode: bool,
    pub count_include_pad: bool,
}

impl AvgPool2d {
    /// The defaults: the stride is the kernel, no padding (and if there is any, it counts).
    pub fn new(kernel: (usize, usize)) -> AvgPool2d {
        AvgPool2d { kernel, stride: kernel, padding: (0, 0), ceil_mode: false, count_include_pad: true }
    }
}

/// One axis of a pooling.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

impl Axis {
    /// How many windows there are.
    #[track_caller]
    fn windows(&self, ceil_mode: bool) -> usize {
        let reach = self.dilation * (self.kernel - 1) + 1;
        assert!(self.padding <= reach / 2, "padding is at most half of the window");
        assert!(self.size + 2 * self.padding >= reach, "the window does not fit");
        let room = self.size + 2 * self.padding - reach;
        let mut windows = room / self.stride + 1;
        if ceil_mode && !room.is_multiple_of(self.stride) {
            let start = windows * self.stride;
            if start < self.size + self.padding {
                windows += 1;
            }
        }
        windows
    }

    /// The places of window `i` that lie in the image.
    fn places(&self, i: usize) -> Vec<usize> {
        (0..self.kernel)
            .filter_map(|u| (i * self.stride + u * self.dilation).checked_sub(self.padding))
            .filter(|&place| place < self.size)
            .collect()
    }

    /// How many places of window `i` (not dilated) lie in the image or in its padding.
    fn places_with_padding(&self, i: usize) -> usize {
        let start = i * self.stride;
        (start + self.kernel).min(self.size + 2 * self.padding) - start
    }
}

fn max_axes(x: &Array, o: &MaxPool2d) -> (Axis, Axis) {
    let [_, _, h, w] = x.dims();
    let axis = |size, kernel, stride, padding, dilation| Axis { size, kernel, stride, padding, dilation };
    (
        axis(h, o.kernel.0, o.stride.0, o.padding.0, o.dilation.0),
        axis(w, o.kernel.1, o.stride.1, o.padding.1, o.dilation.1),
    )
}

fn avg_axes(shape: &[usize], o: &AvgPool2d) -> (Axis, Axis) {
    let axis = |size, kernel, stride, padding| Axis { size, kernel, stride, padding, dilation: 1 };
    (axis(shape[2], o.kernel.0, o.stride.0, o.padding.0), axis(shape[3], o.kernel.1, o.stride.1, o.padding.1))
}

/// `x [n,c,h,w]` to `y [n,c,oh,ow]` and, for each element of y, where its winner lies in
/// `x.data`.
#[track_caller]
pub fn max_pool2d(x: &Array, options: &MaxPool2d) -> (Array, Vec<usize>) {
    let [n, c, _, _] = x.dims();
    let (rows, columns) = max_axes(x, options);
    let (oh, ow) = (rows.windows(options.ceil_mode), columns.windows(options.ceil_mode));
    let mut y = Array::zeros(&[n, c, oh, ow]);
    let mut winners = Vec::new();
    for image in 0..n {
        for channel in 0..c {
            for i in 0..oh {
                for j in 0..ow {
                    let mut winner: Option<usize> = None;
                    for row in rows.places(i) {
                        for column in columns.places(j) {
                            let place = x.offset([image, channel, row, column]);
                            let value = x.data[place];
                            if winner.is_none_or(|w| value > x.data[w] || value.is_nan()) {
                                winner = Some(place);
                            }
                        }
                    }
                    let winner = winner.expect("each window has at least one pixel");
                    *y.at_mut([image, channel, i, j]) = x.data[winner];
                    winners.push(winner);
                }
            }
        }
    }
    (y, winners)
}

/// The gradient of `sum(y * dy)` for x: each dy goes to its window's winner.
pub fn max_pool2d_gradient(x_shape: &[usize], winners: &[usize], dy: &Array) -> Array {
    let mut dx = Array::zeros(x_shape);
    for (&winner, &value) in winners.iter().zip(&dy.data) {
        dx.data[winner] += value;
    }
    dx
}

/// Calls `visit` for every pixel of every window, with the indices of y and x and the divisor.
fn for_each_share(
    x_shape: &[usize],
    options: &AvgPool2d,
    mut visit: impl FnMut([usize; 4], [usize; 4], f64),
) -> [usize; 4] {
    let (rows, columns) = avg_axes(x_shape, options);
    let (oh, ow) = (rows.windows(options.ceil_mode), columns.windows(options.ceil_mode));
    let (n, c) = (x_shape[0], x_shape[1]);
    for image in 0..n {
        for channel in 0..c {
            for i in 0..oh {
                for j in 0..ow {
                    let (places, across) = (rows.places(i), columns.places(j));
                    let divisor = if options.count_include_pad {
                        rows.places_with_padding(i) * columns.places_with_padding(j)
                    } else {
                        places.len() * across.len()
                    };
                    for &row in &places {
                        for &column in &across {
                            let pixel = [image, channel, row, column];
                            visit([image, channel, i, j], pixel, divisor as f64);
                        }
                    }
                }
            }
        }
    }
    [n, c, oh, ow]
}

/// `x [n,c,h,w]` to `y [n,c,oh,ow]`.
#[track_caller]
pub fn avg_pool2d(x: &Array, options: &AvgPool2d) -> Array {
    let shape = for_each_share(&x.shape, options, |_, _, _| ());
    let mut y = Array::zeros(&shape);
    for_each_share(&x.shape, options, |at_y, at_x, divisor| {
        *y.at_mut(at_y) += x.at(at_x) / divisor;
    });
    y
}

/// The gradient of `sum(y * dy)` for x: each pixel of a window gets its share of dy.
#[track_caller]
pub fn avg_pool2d_gradient(x_shape: &[usize], options: &AvgPool2d, dy: &Array) -> Array {
    let mut dx = Array::zeros(x_shape);
    for_each_share(x_shape, options, |at_y, at_x, divisor| {
        *dx.at_mut(at_x) += dy.at(at_y) / divisor;
    });
    dx
}
