//! How often a step asks the system's allocator for memory, once the first steps have been made. Alone in its binary: it counts in the
//! allocator.
//!
//! `recycling.rs` asserts that no tensor memory is asked for at all. What is left here is small, and each kind is there for a reason:
//!
//! - 120 in an optimiser's two walks over the net: a list of parts for each module, and a name for each parameter;
//! - 13 closures, one for each op whose gradient is wanted, since each op keeps other things;
//! - 6 lists of where the taps of each convolution and the windows of each pooling lie, in inference, too;
//! - 1 list of labels, which cross-entropy keeps.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tapegrad::nn::{Init, LeNet, Module};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::{Tape, parallel};

/// The system's allocator, counting for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: it hands everything on to the system's allocator; a counter without a destructor allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those that the system's asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above, and all memory comes from there.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of each of five calls, after three that are not counted.
fn count(mut work: impl FnMut()) -> [usize; 5] {
    for _ in 0..3 {
        work();
    }
    std::array::from_fn(|_| {
        let before = ALLOCATIONS.get();
        work();
        ALLOCATIONS.get() - before
    })
}

/// One test: counters are of a thread, but the number of threads is the process's.
#[test]
fn steps_and_inference_allocate_little_and_always_the_same() {
    parallel::set_threads(1);
    let init = &mut Init::new(0);
    let mut net = LeNet::new(init);
    let mut optimizer = Adam::new(0.001);
    let (images, one) = (init.rand([256, 1, 28, 28]), init.rand([1, 1, 28, 28]));
    let labels: Vec<usize> = (0..256).map(|i| i % 10).collect();

    let (mut forward, mut backward, mut update) = (0, 0, 0);
    let steps = count(|| {
        let start = ALLOCATIONS.get();
        let tape = Tape::training();
        let logits = net.forward(tape.input(&images));
        let loss = logits.cross_entropy(&labels);
        assert!(loss.item().is_finite());
        let loss_made = ALLOCATIONS.get();
        let gradients = loss.backward();
        let gradients_made = ALLOCATIONS.get();
        optimizer.step(&mut net, &gradients);
        let end = ALLOCATIONS.get();
        (forward, backward, update) = (loss_made - start, gradients_made - loss_made, end - gradients_made);
    });
    let inference = count(|| drop(net.forward(Tape::inference().input(&one)).value()));

    // Exact numbers, so that whoever changes one sees it.
    assert_eq!((forward, backward, update), (20, 0, 120), "a step of LeNet");
    assert_eq!(steps, [forward + backward + update; 5], "every step of LeNet");
    assert_eq!(inference, [6; 5], "LeNet for one image");
}
