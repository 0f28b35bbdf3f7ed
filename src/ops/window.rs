//! A window that slides over an image: kernel, stride, padding and dilation, each by axis.
//!
//! Convolution and pooling share this arithmetic. Along one axis, window `o` looks at the places
//!
//! ```text
//! o * stride + tap * dilation - padding        tap = 0 .. kernel
//! ```
//!
//! and those outside 0 .. size are padding. A window covers an *extent* of dilation * (kernel - 1) + 1 places, and
//! there are (size + 2 * padding - extent) / stride + 1 of them, rounded down: the last window must fit. Pooling
//! may round up (`ceil_mode`), but a window must start in the image or in the padding before it.
//!
//! What this is not: an op. Next: `conv2d/mod.rs`.

use std::fmt;
use std::ops::Range;

/// One number for the rows and one for the columns: `3` is (3, 3), and `(5, 3)` is itself.
///
/// ```
/// use tapegrad::ops::window::Pair;
/// assert_eq!(Pair::from(3), Pair::from((3, 3)));
/// assert_eq!(Pair::from((5, 3)).to_string(), "(5, 3)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// For the rows: along the height.
    pub h: usize,
    /// For the columns: along the width.
    pub w: usize,
}

impl From<usize> for Pair {
    fn from(both: usize) -> Pair {
        Pair { h: both, w: both }
    }
}

impl From<(usize, usize)> for Pair {
    fn from((h, w): (usize, usize)) -> Pair {
        Pair { h, w }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "({}, {})", self.h, self.w)
    }
}

/// The geometry of a sliding window.
///
/// ```
/// use tapegrad::ops::window::Window;
/// let window = Window::new((3, 5)).padding((0, 1)).stride((3, 4));
/// assert_eq!(window.output("conv2d", (6, 8)), (2, 2).into()); // the notebook's cell 15
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// How many places a window looks at.
    pub kernel: Pair,
    /// How far apart windows start.
    pub stride: Pair,
    /// How many places are added on each side of the image.
    pub padding: Pair,
    /// How far apart the places of one window lie.
    pub dilation: Pair,
}

impl Window {
    /// A window with stride 1, no padding, and its places side by side.
    pub fn new(kernel: impl Into<Pair>) -> Window {
        Window { kernel: kernel.into(), stride: 1.into(), padding: 0.into(), dilation: 1.into() }
    }

    /// This window with another stride.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Window {
        self.stride = stride.into();
        self
    }

    /// This window on an image with padding on each side.
    pub fn padding(mut self, padding: impl Into<Pair>) -> Window {
        self.padding = padding.into();
        self
    }

    /// This window with its places spread out.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Window {
        self.dilation = dilation.into();
        self
    }

    /// The geometry along the height.
    pub fn rows(&self) -> Axis {
        Axis {
            kernel: self.kernel.h,
            stride: self.stride.h,
            padding: self.padding.h,
            dilation: self.dilation.h,
        }
    }

    /// The geometry along the width.
    pub fn columns(&self) -> Axis {
        Axis {
            kernel: self.kernel.w,
            stride: self.stride.w,
            padding: self.padding.w,
            dilation: self.dilation.w,
        }
    }

    /// How many windows there are over an image of `h` by `w`: the size of the output.
    ///
    /// # Panics
    /// Where a kernel, stride or dilation is 0, the image has no pixels, or the kernel is larger than the padded image.
    #[track_caller]
    pub fn output(&self, op: &str, image: impl Into<Pair>) -> Pair {
        let image = image.into();
        self.check(op, image);
        Pair { h: self.rows().windows(image.h), w: self.columns().windows(image.w) }
    }

    /// How many windows a pooling has, by its two further rules: padding is at most half of the extent, so that
    /// no window lies in padding alone (but for dilated ones), and `ceil_mode` rounds the number of windows up.
    ///
    /// # Panics
    /// As [`output`](Window::output), and where the padding is more than half of the extent.
    #[track_caller]
    pub fn pool_output(&self, op: &str, image: impl Into<Pair>, ceil_mode: bool) -> Pair {
        let image = image.into();
        self.check(op, image);
        let (rows, columns) = (self.rows(), self.columns());
        let Window { kernel, padding, dilation, .. } = self;
        assert!(
            padding.h <= rows.extent() / 2 && padding.w <= columns.extent() / 2,
            "{op}: padding {padding} is more than half of kernel {kernel} with dilation {dilation}, which covers {}",
            Pair { h: rows.extent(), w: columns.extent() }
        );
        match ceil_mode {
            false => Pair { h: rows.windows(image.h), w: columns.windows(image.w) },
            true => Pair { h: rows.windows_ceil(image.h), w: columns.windows_ceil(image.w) },
        }
    }

    #[track_caller]
    fn check(&self, op: &str, image: Pair) {
        let Window { kernel, stride, padding, dilation } = self;
        for (name, pair) in [("kernel", kernel), ("stride", stride), ("dilation", dilation)] {
            assert!(pair.h > 0 && pair.w > 0, "{op}: the {name} must be at least 1 on each axis, got {pair}");
        }
        assert!(image.h > 0 && image.w > 0, "{op}: the image has no pixels, its size is {image}");
        let padded = Pair {
            h: padding.h.saturating_mul(2).saturating_add(image.h),
            w: padding.w.saturating_mul(2).saturating_add(image.w),
        };
        assert!(
            padded.h.checked_mul(padded.w).is_some_and(|pixels| pixels <= isize::MAX as usize),
            "{op}: image {image} with padding {padding} has more pixels than this machine can address"
        );
        let fits = self.rows().extent() <= padded.h && self.columns().extent() <= padded.w;
        assert!(
            fits,
            "{op}: kernel {kernel} with dilation {dilation} is larger than the padded image {padded} \
             (image {image}, padding {padding})"
        );
    }
}

/// A window along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// How many places a window looks at.
    pub kernel: usize,
    /// How far apart windows start.
    pub stride: usize,
    /// How many places are added on each side.
    pub padding: usize,
    /// How far apart the places of one window lie.
    pub dilation: usize,
}

impl Axis {
    /// How many places a window covers from its first to its last tap.
    pub fn extent(&self) -> usize {
        // A dilation near the largest number fits no image; it need not be exact.
        self.dilation.saturating_mul(self.kernel.saturating_sub(1)).saturating_add(1)
    }

    /// How many windows fit on `size` places. [`Window::output`] checks that at least one does.
    fn windows(&self, size: usize) -> usize {
        self.room(size) / self.stride + 1
    }

    /// The same rounded up. [`Window::pool_output`] checks the padding.
    fn windows_ceil(&self, size: usize) -> usize {
        let windows = self.room(size).div_ceil(self.stride) + 1;
        // PyTorch's rule: a last window that starts in the padding behind the image is left out.
        let starts_inside = (windows - 1) * self.stride < size + self.padding;
        if starts_inside { windows } else { windows - 1 }
    }

    /// How far the first window can be moved on.
    fn room(&self, size: usize) -> usize {
        self.padding.saturating_mul(2).saturating_add(size) - self.extent()
    }

    /// The taps of window `o` that look at one of `size` real places, not at padding. They follow one another, so
    /// a loop over this range needs no test inside. Empty where a dilated window steps over a tiny image.
    pub fn taps(&self, o: usize, size: usize) -> Range<usize> {
        let start = o * self.stride;
        // The first tap at or after place 0, and the first at or after place `size`.
        let first = self.padding.saturating_sub(start).div_ceil(self.dilation);
        let end = (size + self.padding).saturating_sub(start).div_ceil(self.dilation).min(self.kernel);
        first.min(end)..end
    }

    /// The real places that window `o` looks at: how many, and the first. Neighbours lie `dilation` apart.
    pub fn span(&self, o: usize, size: usize) -> Span {
        let taps = self.taps(o, size);
        match taps.is_empty() {
            true => Span { first: 0, len: 0 },
            false => Span { first: self.place(o, taps.start), len: taps.len() },
        }
    }

    /// By which taps of which of the `windows` a place is seen, in the order of the taps. The adjoint of [`place`](Axis::place).
    pub fn seen(self, place: usize, windows: usize) -> impl DoubleEndedIterator<Item = Seen> + Clone {
        (0..self.kernel).filter_map(move |tap| {
            // place = window · stride + tap · dilation - padding
            let start = (place + self.padding).checked_sub(tap * self.dilation)?;
            let window = start / self.stride;
            (start.is_multiple_of(self.stride) && window < windows).then_some(Seen { window, tap })
        })
    }

    /// Where tap `tap` of window `o` looks. Only for a tap from [`taps`](Axis::taps); in padding it would be
    /// before 0.
    pub fn place(&self, o: usize, tap: usize) -> usize {
        o * self.stride + tap * self.dilation - self.padding
    }
}

/// The real places of one window along one axis; see [`Axis::span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first place.
    pub first: usize,
    /// How many there are.
    pub len: usize,
}

/// A window, and the tap with which it sees some place; see [`Axis::seen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The window.
    pub window: usize,
    /// The tap.
    pub tap: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every small geometry, against windows counted and looked at one by one.
    #[test]
    fn windows_and_taps_are_what_counting_gives() {
        let mut seen = 0;
        for size in 1..8 {
            for kernel in 1..4 {
                for (stride, dilation, padding) in
                    [(1, 1, 0), (1, 2, 1), (2, 1, 1), (3, 2, 2), (2, 3, 3), (5, 1, 1)]
                {
                    let axis = Axis { kernel, stride, padding, dilation };
                    let padded = size + 2 * padding;
                    if axis.extent() > padded {
                        continue;
                    }
                    seen += 1;
                    let starts = || (0..padded).step_by(stride);
                    let fitting = starts().filter(|start| start + axis.extent() <= padded).count();
                    assert_eq!(axis.windows(size), fitting, "{axis:?} on {size}");
                    // Rounded up: one more where places are left over, if it starts before the image ends.
                    let next = fitting * stride;
                    let left_over = !(padded - axis.extent()).is_multiple_of(stride);
                    let more = usize::from(left_over && next < size + padding);
                    if padding <= axis.extent() / 2 {
                        assert_eq!(axis.windows_ceil(size), fitting + more, "{axis:?} on {size}, ceil");
                    }
                    for o in 0..fitting + more {
                        let place = |tap: usize| (o * stride + tap * dilation) as isize - padding as isize;
                        let real: Vec<_> =
                            (0..kernel).filter(|&t| (0..size as isize).contains(&place(t))).collect();
                        assert!(
                            axis.taps(o, size).eq(real.iter().copied()),
                            "{axis:?} on {size}, window {o}"
                        );
                        assert!(real.iter().all(|&tap| axis.place(o, tap) as isize == place(tap)));
                        let span = axis.span(o, size);
                        assert_eq!(span.len, real.len());
                        assert!(real.is_empty() || span.first as isize == place(real[0]));
                    }
                    for at in 0..size {
                        let all =
                            (0..kernel).flat_map(|tap| (0..fitting).map(move |window| Seen { window, tap }));
                        let sees = |seen: &Seen| {
                            axis.taps(seen.window, size).contains(&seen.tap)
                                && axis.place(seen.window, seen.tap) == at
                        };
                        assert_eq!(
                            axis.seen(at, fitting).collect::<Vec<_>>(),
                            all.filter(sees).collect::<Vec<_>>(),
                            "{axis:?}, {at}"
                        );
                    }
                }
            }
        }
        assert!(seen > 80, "only {seen} geometries fit");
    }

    #[test]
    fn the_notebook_s_output_sizes() {
        let cells = [
            (Window::new(3).padding(1), (6, 8)),
            (Window::new((5, 3)).padding((2, 1)), (6, 8)),
            (Window::new(3).padding(1).stride(2), (3, 4)),
            (Window::new((3, 5)).padding((0, 1)).stride((3, 4)), (2, 2)),
        ];
        for (window, want) in cells {
            assert_eq!(window.output("conv2d", (6, 8)), want.into());
        }
    }
}
