//! The thread pool: started once, asleep when idle, and never visible in a result.
//!
//! Work comes as numbered parts. Which thread does which part is left to chance (an atomic counter), so what a
//! part computes must not depend on it: every op cuts its work by size, never by the number of threads, and adds
//! partial results in the order of their numbers.
//!
//! A job is announced under a lock, workers join it under the same lock, and the caller works along. It then closes
//! the job and waits until the last worker has left, which is why a borrowed closure may cross to other threads. A
//! call from inside a job, or while another thread has the pool, simply runs its parts itself.
//!
//! What this is not: work stealing, futures, or nested parallelism.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;

/// What the pool is doing; guarded by one mutex.
#[derive(Default)]
struct State {
    job: Option<Job>,
    /// Workers with a number from here on leave.
    workers_wanted: usize,
    /// Workers that wait on `wake`. Telling nobody costs a system call, too.
    sleeping: usize,
    /// Whether the caller waits on `left`.
    caller_sleeps: bool,
}

/// A borrowed closure and its counter. The lifetime is erased; `run_on_pool` argues why that is sound.
#[derive(Clone, Copy)]
struct Job {
    work: *const (dyn Fn() + Sync),
}

// SAFETY: the closure behind the pointer is Sync, and `run_on_pool` keeps it alive while any worker uses it.
unsafe impl Send for Job {}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Counts jobs, so that workers can wait for the next one without the lock.
    announced: AtomicU64,
    /// Workers that are inside the job. Goes up only under the lock, while there is a job.
    active: AtomicUsize,
    wake: Condvar,
    left: Condvar,
}

struct Pool {
    shared: Arc<Shared>,
    /// Held for the length of a job: one at a time.
    turn: Mutex<()>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    threads: AtomicUsize,
}

thread_local! {
    /// Whether this thread is inside a job already.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// How often a worker looks for the next job before it sleeps: a hundred microseconds or two, longer than any gap between the
/// ops of a training step. Waking up takes about as long.
const SPINS: usize = 10_000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Closures run outside the locks, so a poisoned lock guards whole data.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool {
        shared: Arc::default(),
        turn: Mutex::new(()),
        workers: Mutex::new(Vec::new()),
        threads: AtomicUsize::new(requested_threads().unwrap_or_else(|message| panic!("{message}"))),
    })
}

/// The number of threads the environment asks for, or what is wrong with what it asks: `TAPEGRAD_THREADS`, and
/// one per core of the machine where that is not set.
pub fn requested_threads() -> Result<usize, String> {
    match std::env::var_os("TAPEGRAD_THREADS") {
        None => Ok(cores()),
        Some(text) => text
            .to_str()
            .and_then(|text| text.parse().ok())
            .filter(|threads| (1..=MAX_THREADS).contains(threads))
            .ok_or_else(|| {
                format!("TAPEGRAD_THREADS: expected a number from 1 to {MAX_THREADS}, found {text:?}")
            }),
    }
}

/// More threads than this are refused.
pub const MAX_THREADS: usize = 1024;

/// Asked once: on Linux the answer takes reading files.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES
        .get_or_init(|| std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS)))
}

/// How many threads work on an op, the calling one included.
pub fn threads() -> usize {
    pool().threads.load(Ordering::Relaxed)
}

/// Sets how many threads work on an op. Threads that are no longer wanted end before this returns. Results do
/// not change.
///
/// # Panics
/// Unless `1 <= threads <= MAX_THREADS`, and from inside a part of a job.
#[track_caller]
pub fn set_threads(threads: usize) {
    assert!(
        (1..=MAX_THREADS).contains(&threads),
        "set_threads: a number of threads is from 1 to {MAX_THREADS}, got {threads}"
    );
    assert!(!BUSY.get(), "set_threads: cannot be called from inside a parallel op");
    let pool = pool();
    let _turn = lock(&pool.turn);
    pool.threads.store(threads, Ordering::Relaxed);
    let mut workers = lock(&pool.workers);
    lock(&pool.shared.state).workers_wanted = threads - 1;
    pool.shared.announced.fetch_add(1, Ordering::Release);
    pool.shared.wake.notify_all();
    let kept = workers.len().min(threads - 1);
    for worker in workers.drain(kept..) {
        let _ = worker.join();
    }
}

/// Runs `work(0)`, `work(1)`, … `work(count - 1)`, each once, on the pool's threads.
///
/// # Panics
/// When a part panics, after all threads have left the job.
pub fn for_each(count: usize, work: impl Fn(usize) + Sync) {
    if count > 1 && threads() > 1 && !BUSY.get() {
        // Somebody else's job: this thread's work goes on alone rather than waiting.
        if let Ok(turn) = pool().turn.try_lock() {
            let outcome = run_on_pool(pool(), count, &work);
            // Before the panic goes on, which would poison the lock: to the next job the pool would look taken for ever.
            drop(turn);
            return outcome.unwrap_or_else(|payload| resume_unwind(payload));
        }
    }
    (0..count).for_each(work);
}

/// What a part has panicked with, if one has, is the error.
fn run_on_pool(pool: &Pool, count: usize, work: &(impl Fn(usize) + Sync)) -> std::thread::Result<()> {
    let next = AtomicUsize::new(0);
    let panic: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);
    // Takes part after part until none is left. Never unwinds.
    let take_parts = || {
        BUSY.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                if part >= count {
                    break;
                }
                work(part);
            }
        }));
        BUSY.set(false);
        if let Err(payload) = outcome {
            next.store(count, Ordering::Relaxed);
            let mut first = lock(&panic);
            match *first {
                None => *first = Some(payload),
                // To drop it is to run code that may panic again.
                Some(_) => std::mem::forget(payload),
            }
        }
    };
    start_missing_workers(pool);

    type Work<'a> = dyn Fn() + Sync + 'a;
    let work: &Work = &take_parts;
    // SAFETY: only the lifetime is changed, and the closure outlives its last use: workers reach it only through `state.job`, and count
    // themselves in `active` under the same lock. Below, the job is removed and `active` waited down to zero before `take_parts` and what
    // it borrows go out of scope, and nothing in between unwinds.
    let work: *const Work = unsafe { std::mem::transmute::<&Work, &Work<'static>>(work) };
    let shared = &*pool.shared;
    let mut state = lock(&shared.state);
    state.job = Some(Job { work });
    shared.announced.fetch_add(1, Ordering::Release);
    if state.sleeping > 0 {
        shared.wake.notify_all();
    }
    drop(state);

    take_parts();

    lock(&shared.state).job = None;
    // The others are on their last parts: look for a moment before sleeping.
    let is_done = || shared.active.load(Ordering::Acquire) == 0;
    if !spin_until(is_done) {
        let mut state = lock(&shared.state);
        state.caller_sleeps = true;
        while !is_done() {
            state = shared.left.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state.caller_sleeps = false;
    }
    lock(&panic).take().map_or(Ok(()), Err)
}

fn start_missing_workers(pool: &Pool) {
    let wanted = threads() - 1;
    let mut workers = lock(&pool.workers);
    if workers.len() == wanted {
        return;
    }
    lock(&pool.shared.state).workers_wanted = wanted;
    while workers.len() < wanted {
        let (shared, number) = (pool.shared.clone(), workers.len());
        let named = std::thread::Builder::new().name(format!("tapegrad-{}", number + 1));
        match named.spawn(move || work_forever(&shared, number)) {
            Ok(worker) => workers.push(worker),
            // A system that gives no more threads gets the same result with fewer.
            Err(_) => return,
        }
    }
}

fn work_forever(shared: &Shared, number: usize) {
    let mut seen = 0;
    loop {
        let is_news = || shared.announced.load(Ordering::Acquire) != seen;
        // Spinning pays only where every thread has a core of its own.
        if threads() <= cores() {
            spin_until(is_news);
        }
        let mut state = lock(&shared.state);
        while !is_news() && number < state.workers_wanted {
            state.sleeping += 1;
            state = shared.wake.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            state.sleeping -= 1;
        }
        if number >= state.workers_wanted {
            return;
        }
        seen = shared.announced.load(Ordering::Acquire);
        let Some(job) = state.job else { continue };
        shared.active.fetch_add(1, Ordering::Relaxed);
        drop(state);
        // SAFETY: this worker is counted in `active`, so `run_on_pool` keeps the closure alive.
        unsafe { (*job.work)() };
        // Release: what this worker has written is seen by the caller that finds nobody active.
        if shared.active.fetch_sub(1, Ordering::Release) == 1 && lock(&shared.state).caller_sleeps {
            shared.left.notify_one();
        }
    }
}

/// Looks for a while; gives back whether it came true.
fn spin_until(is_true: impl Fn() -> bool) -> bool {
    for _ in 0..SPINS {
        if is_true() {
            return true;
        }
        std::hint::spin_loop();
    }
    false
}

/// The values of `work(0)` … `work(count - 1)`, in that order.
pub fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut slots: Vec<Option<T>> = (0..count).map(|_| None).collect();
    for_each_part(Chunks::new(&mut slots, 1), |i, slot| slot[0] = Some(work(i)));
    slots.into_iter().flatten().collect()
}

/// Cuts mutable memory into parts and runs `work(i, part i)` for each, on the pool's threads.
///
/// ```
/// use tapegrad::parallel::{Chunks, for_each_part};
/// let (mut x, mut sums) = ([1, 2, 3, 4, 5], [0; 3]);
/// for_each_part((Chunks::new(&mut x, 2), Chunks::new(&mut sums, 1)), |_, (x, sum)| sum[0] = x.iter().sum());
/// assert_eq!(sums, [3, 7, 5]);
/// ```
///
/// # Panics
/// When the members of a tuple have different numbers of parts.
#[track_caller]
pub fn for_each_part<P: Parts>(parts: P, work: impl Fn(usize, P::Part) + Sync) {
    for_each(parts.count(), |i| {
        // SAFETY: `for_each` calls each number below the count once.
        let part = unsafe { parts.part(i) };
        work(i, part);
    });
}

/// Mutable memory that can be cut into numbered, disjoint parts.
///
/// # Safety
/// Parts of different numbers must not overlap.
pub unsafe trait Parts: Sync {
    /// One part.
    type Part;
    /// How many parts there are.
    #[track_caller]
    fn count(&self) -> usize;
    /// Part `i`.
    ///
    /// # Safety
    /// `i < count()`, and no number is asked for twice.
    unsafe fn part(&self, i: usize) -> Self::Part;
}

/// A slice in chunks of one size; the last may be shorter.
pub struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    size: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: a Chunks stands for a `&mut [T]` that is given out in disjoint pieces; T: Send lets them cross threads.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    /// Cuts `slice` into chunks of `size` elements, at least one.
    ///
    /// # Panics
    /// When `size` is 0.
    #[track_caller]
    pub fn new(slice: &'a mut [T], size: usize) -> Self {
        assert!(size > 0, "Chunks: a chunk needs at least one element, got size 0");
        Chunks { start: slice.as_mut_ptr(), len: slice.len(), size, owner: PhantomData }
    }
}

// SAFETY: chunk i covers [i * size, min((i + 1) * size, len)), so chunks are disjoint and inside the slice.
unsafe impl<'a, T: Send + 'a> Parts for Chunks<'a, T> {
    type Part = &'a mut [T];
    fn count(&self) -> usize {
        self.len.div_ceil(self.size)
    }
    unsafe fn part(&self, i: usize) -> &'a mut [T] {
        let begin = i * self.size;
        // SAFETY: in bounds and disjoint, see above; the caller asks for each part once.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(begin), self.size.min(self.len - begin)) }
    }
}

// SAFETY: each member's parts are disjoint, and the members borrow different memory.
unsafe impl<A: Parts, B: Parts> Parts for (A, B) {
    type Part = (A::Part, B::Part);
    fn count(&self) -> usize {
        let counts = (self.0.count(), self.1.count());
        assert!(
            counts.0 == counts.1,
            "for_each_part: all members need the same number of parts, got {counts:?}"
        );
        counts.0
    }
    unsafe fn part(&self, i: usize) -> Self::Part {
        // SAFETY: the caller's promise holds for both.
        unsafe { (self.0.part(i), self.1.part(i)) }
    }
}

// SAFETY: as for pairs.
unsafe impl<A: Parts, B: Parts, C: Parts> Parts for (A, B, C) {
    type Part = (A::Part, B::Part, C::Part);
    fn count(&self) -> usize {
        let counts = (self.0.count(), self.1.count(), self.2.count());
        let same = counts.0 == counts.1 && counts.1 == counts.2;
        assert!(same, "for_each_part: all members need the same number of parts, got {counts:?}");
        counts.0
    }
    unsafe fn part(&self, i: usize) -> Self::Part {
        // SAFETY: the caller's promise holds for all three.
        unsafe { (self.0.part(i), self.1.part(i), self.2.part(i)) }
    }
}

/// Working memory of the calling thread: floats with unspecified values, aligned to a cache line. It goes back to the
/// thread when dropped and serves the next one, so packing buffers cost nothing after the first time.
///
/// ```
/// let mut scratch = tapegrad::parallel::Scratch::new(100);
/// scratch.fill(1.0);
/// assert_eq!(scratch.len(), 100);
/// ```
pub struct Scratch {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

thread_local! {
    /// Last in, first out, so that nested uses find the memory that they had the last time.
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

impl Scratch {
    /// `len` floats.
    pub fn new(len: usize) -> Scratch {
        const LINE: usize = 16;
        let mut memory = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
        if memory.len() < len + LINE {
            memory.resize(len + LINE, 0.0);
        }
        let start = memory.as_ptr().align_offset(64).min(LINE);
        Scratch { memory, start, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        // At thread exit there is nowhere to keep it.
        let _ = SCRATCH.try_with(|free| free.borrow_mut().push(memory));
    }
}

impl std::ops::Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
