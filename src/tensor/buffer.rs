//! The memory under a tensor: aligned, zeroed at birth, and recycled.
//!
//! A training step makes and drops the same few dozen tensors again and again. Handing each back to the system
//! would have it unmapped and faulted in afresh, page by page, on every step. So a dropped buffer goes to a free
//! list, sorted by size class, and the next tensor of that class takes it: from the second step on, a training
//! loop allocates no tensor memory at all ([`statistics`] counts, `tests/recycling.rs` asserts).
//!
//! There is no uninitialised memory here. A new block is zeroed; a recycled one holds what its last owner left,
//! which is stale but initialised, so `&mut [f32]` over it is sound. Builds with debug assertions fill recycled
//! blocks with NaN, so that an op that forgets to write an element is seen at once.
//!
//! Large blocks ask for huge pages. With images last, a convolution reads a few numbers in each of hundreds of rows, all of which lie in
//! other pages of 4 KiB once there are a thousand images, and looking these up took a fifteenth of a step's time.
//!
//! What this is not: a general allocator. It serves only `f32` blocks, and never splits or joins them.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;
use std::slice;
use std::sync::{Arc, Mutex};

/// One cache line, and the widest vector register there is.
const ALIGN: usize = 64;

/// Bytes of a huge page, on x86-64 and mostly elsewhere.
const HUGE_PAGE: usize = 2 << 20;

/// The smallest block: one vector of sixteen lanes, which is one cache line.
const MIN_CAPACITY: usize = 16;

/// A block of `f32`s. Tensors share it through a `Shared`.
pub struct Buffer {
    pointer: NonNull<f32>,
    /// The elements in use.
    len: usize,
    /// The elements allocated: `len` rounded up to its size class.
    capacity: usize,
}

// SAFETY: a Buffer owns its memory as a `Vec<f32>` does; `&Buffer` only reads and `&mut Buffer` is exclusive.
unsafe impl Send for Buffer {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for Buffer {}

/// What the free list knows about itself; see [`statistics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks ever asked of the system. Constant while a loop only recycles.
    pub allocated: usize,
    /// Blocks that lie in the free list now.
    pub free: usize,
    /// Bytes that lie in the free list now.
    pub free_bytes: usize,
}

/// Blocks by size class, each with its counter of owners: the counter is recycled, too.
struct FreeList {
    classes: Vec<Vec<Arc<Buffer>>>,
    allocated: usize,
}

static FREE: Mutex<FreeList> = Mutex::new(FreeList { classes: Vec::new(), allocated: 0 });

fn free_list() -> std::sync::MutexGuard<'static, FreeList> {
    // A panic while the lock is held cannot leave the list half changed: each change is one push or one pop.
    FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The size class of `len`: capacities grow by a quarter of a power of two, so at most a fifth is unused.
#[track_caller]
fn class_of(len: usize) -> (usize, usize) {
    assert!(len <= isize::MAX as usize / 8, "Tensor: {len} elements are more than this machine can address");
    let len = len.max(MIN_CAPACITY);
    let octave = len.ilog2() as usize;
    let quarter = 1 << (octave - 2);
    let capacity = len.div_ceil(quarter) * quarter;
    // Rounding up may reach the next octave, whose first class it then is.
    let octave = capacity.ilog2() as usize;
    let step = (capacity >> (octave - 2)) & 3;
    (octave * 4 + step, capacity)
}

fn layout(capacity: usize) -> Layout {
    let bytes = capacity.checked_mul(size_of::<f32>());
    let align = if bytes >= Some(HUGE_PAGE) { HUGE_PAGE } else { ALIGN };
    match bytes.and_then(|bytes| Layout::from_size_align(bytes, align).ok()) {
        Some(layout) => layout,
        None => panic!("Tensor: {capacity} elements are more than this machine can address"),
    }
}

/// Tells Linux, which mostly gives huge pages only to who asks, that a block of at least one may have them.
#[cfg(all(target_os = "linux", not(miri)))]
fn prefer_huge_pages(pointer: NonNull<u8>, layout: Layout) {
    const MADV_HUGEPAGE: i32 = 14;
    unsafe extern "C" {
        /// `madvise` of Linux.
        fn madvise(start: *mut u8, bytes: usize, advice: i32) -> i32;
    }
    if layout.align() == HUGE_PAGE {
        // SAFETY: the block is ours and begins with a page; the advice changes nothing that a program sees. A kernel that does not know
        // it says so, which is as well.
        unsafe { madvise(pointer.as_ptr(), layout.size(), MADV_HUGEPAGE) };
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn prefer_huge_pages(_: NonNull<u8>, _: Layout) {}

impl Buffer {
    /// Asks the system for a block. A system that has none ends the op with a panic and not the program, as an allocation mostly does:
    /// the size may be a slip of the pen, and what a program still holds can then be saved.
    #[track_caller]
    fn allocate(len: usize, capacity: usize) -> Buffer {
        let layout = layout(capacity);
        // SAFETY: the layout's size is at least MIN_CAPACITY floats, so not zero.
        let Some(pointer) = NonNull::new(unsafe { alloc(layout) }) else {
            panic!("Tensor: {len} elements need {} bytes, which the system does not have", layout.size())
        };
        prefer_huge_pages(pointer, layout);
        // SAFETY: the block is as large as its layout. (Writing zeros is what brings the pages, so they come last.)
        unsafe { pointer.write_bytes(0, layout.size()) };
        Buffer { pointer: pointer.cast(), len, capacity }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated with exactly this layout, and nobody points to it any more.
        unsafe { dealloc(self.pointer.as_ptr().cast(), layout(self.capacity)) };
    }
}

/// A block that tensors share. The last of them gives it back to the free list.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Taken out only when dropped.
    block: Option<Arc<Buffer>>,
}

impl Shared {
    /// A block of `len` elements whose values are unspecified; the caller writes every one.
    #[track_caller]
    pub fn new(len: usize) -> Shared {
        let (class, capacity) = class_of(len);
        let recycled = free_list().classes.get_mut(class).and_then(Vec::pop);
        let is_stale = recycled.is_some();
        let mut block = match recycled {
            Some(block) => block,
            None => {
                let block = Arc::new(Buffer::allocate(len, capacity));
                free_list().allocated += 1;
                block
            }
        };
        // Nobody else has it: it is new, or was taken out of the list.
        if let Some(buffer) = Arc::get_mut(&mut block) {
            buffer.len = len;
            if is_stale && cfg!(debug_assertions) {
                buffer.fill(f32::NAN);
            }
        }
        Shared { block: Some(block) }
    }

    /// The block to write to, if nobody else has it.
    pub fn get_mut(&mut self) -> Option<&mut Buffer> {
        self.block.as_mut().and_then(Arc::get_mut)
    }

    /// Whether nobody else has the block.
    pub fn is_unique(&self) -> bool {
        self.block.as_ref().is_some_and(|block| Arc::strong_count(block) == 1)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(mut block) = self.block.take() else { return };
        // Where two threads let go of a block at the same time, each may see the other. It goes back to the system then.
        let Some(buffer) = Arc::get_mut(&mut block) else { return };
        let class = class_of(buffer.capacity).0;
        let mut free = free_list();
        if free.classes.len() <= class {
            free.classes.resize_with(class + 1, Vec::new);
        }
        free.classes[class].push(block);
    }
}

impl std::ops::Deref for Shared {
    type Target = Buffer;
    fn deref(&self) -> &Buffer {
        match &self.block {
            Some(block) => block,
            None => unreachable!("taken out only when dropped"),
        }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `pointer` is valid for `capacity >= len` initialised floats (see the header) while self lives,
        // and `&self` keeps writers out.
        unsafe { slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `&mut self` makes this the only access.
        unsafe { slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }
}

/// Bytes in recycled memory: for what an op keeps that is no `f32`, such as the places of maxima.
pub(crate) struct Bytes {
    floats: Shared,
    len: usize,
}

impl Bytes {
    /// `len` bytes whose values are unspecified; the caller writes every one.
    #[track_caller]
    pub fn new(len: usize) -> Bytes {
        Bytes { floats: Shared::new(len.div_ceil(size_of::<f32>())), len }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the floats are initialised, cover at least `len` bytes, and any byte is a valid u8.
        unsafe { slice::from_raw_parts(self.floats.as_ptr().cast(), self.len) }
    }
}

impl std::ops::DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        match self.floats.get_mut() {
            // SAFETY: as above; any four bytes are a valid f32, too, and `&mut self` makes this the only access.
            Some(floats) => unsafe { slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), len) },
            None => unreachable!("never shared"),
        }
    }
}

/// How many blocks were allocated and how many lie free, over the whole process.
///
/// ```
/// use tapegrad::{Tensor, tensor::buffer::statistics};
/// drop(Tensor::zeros([1000]));
/// let before = statistics().allocated;
/// drop(Tensor::zeros([1000]));
/// assert_eq!(statistics().allocated, before); // the second tensor took the first one's memory
/// ```
pub fn statistics() -> Statistics {
    let list = free_list();
    let mut seen = Statistics { allocated: list.allocated, free: 0, free_bytes: 0 };
    for (class, blocks) in list.classes.iter().enumerate() {
        seen.free += blocks.len();
        seen.free_bytes += blocks.len() * capacity_of(class) * size_of::<f32>();
    }
    seen
}

/// Gives every free block back to the system, for a program that is done with large tensors.
pub fn release_free() {
    free_list().classes.clear();
}

/// The capacity of a class: the inverse of [`class_of`].
fn capacity_of(class: usize) -> usize {
    let (octave, step) = (class / 4, class % 4);
    (4 + step) << octave.saturating_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_what_was_asked_and_wastes_at_most_a_fifth() {
        for len in (0..5000).chain([884_736, 47_040_000, 1 << 33]) {
            let (class, capacity) = class_of(len);
            assert!(capacity >= len);
            assert!(capacity <= MIN_CAPACITY || capacity * 4 < len * 5, "{len} took {capacity}");
            assert_eq!(class_of(capacity), (class, capacity), "a block returns to the class it came from");
            assert_eq!(capacity_of(class), capacity);
        }
    }

    #[test]
    fn buffers_are_aligned_for_every_register() {
        for len in [0, 1, 17, 1000] {
            assert_eq!(Shared::new(len).as_ptr() as usize % ALIGN, 0);
        }
    }
}
