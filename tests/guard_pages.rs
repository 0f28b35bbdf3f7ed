//! Products, convolutions and whole steps of training in memory that ends, and then begins, at a page that nobody may touch: one
//! number read or written too far, and the process dies. The numbers themselves are the concern of the other tests.
//!
//! This binary has an allocator of its own, which gives every block of numbers a mapping with a forbidden page on either side. Vectors
//! lie flush against it. So do tensors whose size is that of the block under them, so the shapes here are 4, 5, 6 or 7 times a power of
//! two. The last test goes one too far in a process of its own, to see that it does not come back.
//!
//! Only Linux has the two functions; elsewhere this file is empty.
#![cfg(all(target_os = "linux", not(miri)))]

mod every_isa;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tapegrad::gemm::{self, Matrix, MatrixMut, Start};
use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::ops::window::Pair;
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::tensor::buffer::release_free;
use tapegrad::{Tape, Tensor, parallel};

// SAFETY: as the C library declares them on 64-bit Linux.
unsafe extern "C" {
    fn mmap(at: *mut c_void, size: usize, access: i32, flags: i32, file: i32, offset: i64) -> *mut c_void;
    fn mprotect(at: *mut c_void, size: usize, access: i32) -> i32;
    fn munmap(at: *mut c_void, size: usize) -> i32;
    safe fn getpagesize() -> i32;
}

const NO_ACCESS: i32 = 0;
const READ_AND_WRITE: i32 = 1 | 2;
const PRIVATE_AND_ANONYMOUS: i32 = 0x02 | 0x20;

/// Whether new blocks end at a guard, or begin at one.
static AT_THE_END: AtomicBool = AtomicBool::new(true);

/// Blocks of numbers between guards, everything else from the system.
struct Guarded;

#[global_allocator]
static ALLOCATOR: Guarded = Guarded;

/// Vectors of `f32` are aligned to 4 bytes, tensors to 64.
fn is_guarded(layout: Layout) -> bool {
    matches!(layout.align(), 4 | 64)
}

fn page() -> usize {
    getpagesize() as usize
}

/// Bytes that a block's pages take, without the guards.
fn room(layout: Layout) -> usize {
    layout.size().next_multiple_of(page())
}

// SAFETY: a block lies inside of its own mapping, at one end or the other; `is_guarded` says of both halves where it came
// from. A size that leaves no room for the guards fails to map, which is null.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_guarded(layout) {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        // SAFETY: a new mapping wherever there is room, of which the middle is opened.
        let pages = unsafe {
            let size = room(layout) + 2 * page();
            let start = mmap(std::ptr::null_mut(), size, NO_ACCESS, PRIVATE_AND_ANONYMOUS, -1, 0);
            if start as isize == -1 {
                return std::ptr::null_mut();
            }
            let pages = start.byte_add(page());
            if mprotect(pages, room(layout), READ_AND_WRITE) != 0 {
                return std::ptr::null_mut();
            }
            pages.cast::<u8>()
        };
        let left = room(layout) - layout.size();
        let skip = if AT_THE_END.load(Ordering::Relaxed) { left - left % layout.align() } else { 0 };
        pages.wrapping_add(skip)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !is_guarded(layout) {
            // SAFETY: the caller's promise.
            return unsafe { System.dealloc(block, layout) };
        }
        // Less than a page is skipped, so this is where the pages begin.
        let start = block.wrapping_sub(block as usize % page() + page());
        // SAFETY: the mapping of this block, which nobody has any more.
        unsafe { munmap(start.cast(), room(layout) + 2 * page()) };
    }
}

/// Runs it with the guards behind all memory and then before it.
fn between_guards(run: impl Fn()) {
    // Where blocks lie is the process's, so one test at a time.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for at_the_end in [true, false] {
        AT_THE_END.store(at_the_end, Ordering::Relaxed);
        release_free();
        run();
    }
}

/// Numbers in a vector that touches the guard.
#[track_caller]
fn numbers(n: usize) -> Vec<f32> {
    // Not collected, which would leave room at the end.
    let mut numbers = vec![0.0; n];
    numbers.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 7 % 11) as f32 - 5.0);
    assert_touches_guard(&numbers);
    numbers
}

#[track_caller]
fn assert_touches_guard(numbers: &[f32]) {
    let ends = numbers.as_ptr_range();
    let at = if AT_THE_END.load(Ordering::Relaxed) { ends.end } else { ends.start };
    assert!(
        numbers.is_empty() || (at as usize).is_multiple_of(page()),
        "{} numbers do not touch the guard",
        numbers.len()
    );
}

/// Row by row, column by column, and both with gaps.
fn strides(layout: usize, rows: usize, cols: usize) -> (usize, usize) {
    [(cols, 1), (1, rows), (cols + 3, 1), (2, 2 * rows + 1)][layout % 4]
}

fn multiply(m: usize, n: usize, k: usize, case: usize) {
    let (a_strides, b_strides) = (strides(case, m, k), strides(case / 4, k, n));
    let size = |rows: usize, cols: usize, strides: (usize, usize)| match rows * cols {
        0 => 0,
        _ => (rows - 1) * strides.0 + (cols - 1) * strides.1 + 1,
    };
    let (a, b) = (numbers(size(m, k, a_strides)), numbers(size(k, n, b_strides)));
    let bias = numbers([m, n][case / 16 % 2]);
    let start = match case / 16 % 4 {
        0 => Start::PerRow(&bias),
        1 => Start::PerColumn(&bias),
        2 => Start::Zero,
        _ => Start::Accumulate,
    };
    let mut c = vec![if matches!(start, Start::Accumulate) { 1.0 } else { f32::NAN }; m * n];
    assert_touches_guard(&c);
    let a = Matrix::strided(&a, m, k, a_strides.0, a_strides.1);
    let b = Matrix::strided(&b, k, n, b_strides.0, b_strides.1);
    gemm::multiply(start, &a, &b, MatrixMut::new(&mut c, m, n));
    assert!(c.iter().all(|c| c.is_finite()), "[{m}, {k}] times [{k}, {n}]");
}

#[test]
fn products() {
    between_guards(|| {
        // A case comes around with other sizes, as 64 and the number of sizes have no factor in common.
        let mut case = 0;
        for m in [1, 2, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 29, 33, 49] {
            for n in (1..=33).chain([47, 48, 49, 63, 64, 65, 97, 128, 129]) {
                for k in [1, 2, 15, 16, 17, 33, 257] {
                    multiply(m, n, k, case);
                    case += 1;
                }
            }
        }
        for (m, n, k) in [(6, 576, 25), (16, 64, 150), (256, 10, 84), (299, 401, 513), (2, 2113, 300)] {
            (0..64).step_by(5).for_each(|case| multiply(m, n, k, case));
        }
    });
}

/// A tensor that touches the guard, if its size is that of a block.
#[track_caller]
fn tensor<const N: usize>(shape: [usize; N]) -> Tensor {
    let mut tensor = Tensor::zeros(shape);
    tensor.data_mut().iter_mut().enumerate().for_each(|(i, x)| *x = (i * 7 % 11) as f32 - 5.0);
    assert_touches_guard(tensor.data());
    tensor
}

/// Channels and size of the images; filters and size of each; stride, padding, dilation; groups.
type Convolution = ([usize; 3], [usize; 3], [Pair; 3], usize);

#[test]
fn convolutions() {
    let cases: [Convolution; 8] = [
        ([4, 8, 8], [4, 1, 4], [1.into(), 0.into(), 1.into()], 1),
        ([4, 8, 8], [8, 3, 2], [1.into(), (1, 0).into(), 1.into()], 1),
        ([8, 8, 8], [16, 5, 4], [1.into(), 0.into(), 1.into()], 1),
        ([8, 8, 8], [8, 2, 2], [2.into(), 0.into(), 1.into()], 2),
        ([4, 8, 16], [8, 1, 7], [(1, 2).into(), (0, 3).into(), 1.into()], 1),
        ([16, 4, 4], [32, 1, 1], [1.into(), 0.into(), 1.into()], 1),
        ([4, 8, 8], [4, 1, 4], [1.into(), 0.into(), (1, 2).into()], 1),
        ([2, 32, 32], [16, 5, 1], [1.into(), (2, 0).into(), 1.into()], 1),
    ];
    between_guards(|| {
        for (image, filter, [stride, padding, dilation], groups) in cases {
            // Few images, and as many as are worked on at once.
            for n in [1, 2, 16, 20] {
                let options = Conv2dOptions { stride, padding, dilation, groups };
                let x = tensor([n, image[0], image[1], image[2]]);
                let w = tensor([filter[0], image[0] / groups, filter[1], filter[2]]);
                let b = Tensor::ones([filter[0]]);
                let tape = Tape::training();
                let (x, w, b) = (tape.variable(&x), tape.variable(&w), tape.variable(&b));
                let y = x.conv2d(w, Some(b), &options);
                if n.is_power_of_two() {
                    assert_touches_guard(y.value().contiguous().data());
                }
                let grads = (y * y).sum().backward();
                for grad in [&grads[x], &grads[w], &grads[b]] {
                    assert!(
                        grad.to_vec().iter().all(|x| x.is_finite()),
                        "{image:?} * {filter:?}, {n} images"
                    );
                }
            }
        }
    });
}

/// Everything else that a net is made of, with blocks of all sizes.
#[test]
fn steps_of_training() {
    between_guards(|| {
        let init = &mut Init::new(0);
        let nets: [Box<dyn Module>; 2] = [Box::new(LeNet::new(init)), Box::new(lenet_batch_norm(init))];
        for mut net in nets {
            let mut adam = Adam::new(0.001);
            for n in [1, 5, 16, 32, 112] {
                parallel::set_threads(n % 3 + 1);
                let labels: Vec<usize> = (0..n).map(|i| i % 10).collect();
                let tape = Tape::training();
                let loss = net.forward(tape.input(&init.rand([n, 1, 28, 28]))).cross_entropy(&labels);
                assert!(loss.item().is_finite());
                adam.step(&mut *net, &loss.backward());
            }
        }
    });
}

#[test]
fn with_all_other_instructions() {
    for test in ["products", "convolutions", "steps_of_training"] {
        every_isa::run_again(test);
    }
}

/// The name of a place where the test below goes too far, in a process that it has started for that.
const TOO_FAR: &str = "TAPEGRAD_TOO_FAR";

#[test]
fn the_guards_are_there() {
    if let Ok(place) = std::env::var(TOO_FAR) {
        between_guards(|| {
            let (vector, tensor) = (numbers(17), tensor([4, 16]));
            for slice in [&vector[..], tensor.data()] {
                let ends = slice.as_ptr_range();
                let (is_end, at) = match place.as_str() {
                    "behind" => (true, ends.end),
                    _ => (false, ends.start.wrapping_sub(1)),
                };
                if is_end == AT_THE_END.load(Ordering::Relaxed) {
                    // SAFETY: none. It must end this process.
                    std::hint::black_box(unsafe { std::ptr::read_volatile(at) });
                }
            }
        });
        return;
    }
    let program = std::env::current_exe().expect("this program has a path");
    for place in ["behind", "before"] {
        let mut again = Command::new(&program);
        let output = again.env(TOO_FAR, place).args(["--exact", "the_guards_are_there"]).output();
        let status = output.expect("it starts").status;
        // Killed by a signal, there is no code.
        assert_eq!(status.code(), None, "reading {place} a block: {status}");
    }
}
