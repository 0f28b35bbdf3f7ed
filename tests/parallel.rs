//! The thread pool: every part runs once, whoever calls, and a panic comes back to the caller.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use tapegrad::parallel::{Chunks, for_each, for_each_part, map, set_threads, threads};

/// A payload that may be caught but not dropped.
struct Bomb;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Bomb {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        panic!("dropped");
    }
}

/// Two threads panic, and the payload of the second goes nowhere. Were it dropped, and panicked again, the caller could leave a job
/// that others are in. Again and again, since a panic must not leave the next job to one thread.
fn payloads_that_panic_when_dropped() {
    set_threads(2);
    for round in 0..20 {
        let (arrived, start) = (AtomicUsize::new(0), Instant::now());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for_each(2, |_| {
                arrived.fetch_add(1, Ordering::Relaxed);
                while arrived.load(Ordering::Relaxed) < 2 && start.elapsed() < Duration::from_secs(10) {
                    yield_now();
                }
                panic_any(Bomb)
            })
        }));
        let payload = outcome.expect_err("it panics");
        assert!(payload.is::<Bomb>());
        std::mem::forget(payload);
        assert_eq!(arrived.load(Ordering::Relaxed), 2, "threads in job {round}");
        assert_eq!(DROPPED.load(Ordering::Relaxed), 0, "payloads dropped in job {round}");
    }
}

/// One test, since the number of threads is the process's.
#[test]
fn every_part_runs_once_on_any_number_of_threads() {
    for count in [1, 2, 5, 16, 3] {
        set_threads(count);
        assert_eq!(threads(), count);
        for parts in [0, 1, 2, 7, 1000] {
            let ran: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            for_each(parts, |part| {
                ran[part].fetch_add(1, Ordering::Relaxed);
            });
            assert!(ran.iter().all(|ran| ran.load(Ordering::Relaxed) == 1), "{parts} parts, {count} threads");
            assert_eq!(
                map(parts, |part| part * part),
                (0..parts).map(|part| part * part).collect::<Vec<_>>()
            );
        }
        // Parts of memory are disjoint and cover it; the last is shorter.
        let mut memory = vec![0; 1001];
        for_each_part(Chunks::new(&mut memory, 10), |part, chunk| {
            chunk.iter_mut().for_each(|x| *x += part + 1)
        });
        assert!(memory.iter().enumerate().all(|(i, &x)| x == i / 10 + 1));

        // A panic in one part reaches the caller, and the pool goes on.
        let outcome = catch_unwind(AssertUnwindSafe(|| for_each(100, |part| assert!(part != 57, "part 57"))));
        let payload = outcome.expect_err("it panics");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"part 57"));

        // A part that calls again, and threads that call at the same time, do their own work.
        let total = AtomicUsize::new(0);
        let add = |_| {
            total.fetch_add(1, Ordering::Relaxed);
        };
        for_each(10, |_| for_each(10, add));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| for_each(100, add));
            }
        });
        assert_eq!(total.load(Ordering::Relaxed), 500);
    }
    payloads_that_panic_when_dropped();
}
