//! The profile: where the time of a training goes, op by op.
//!
//! There is one clock for a thread, and it has laps. An op that is put on a tape ends a lap, which counts for its forward; the
//! closure of an op in backward is timed from its start to its end; [`mark`] ends a lap in the name of anything else (reading
//! images, the optimiser). What nobody claims is a row of its own, so the rows always add up to the whole time, to the
//! nanosecond:
//!
//! ```text
//! ── mark ──┬─ input ─┬── conv2d ──┬─ sigmoid ─┬ … ┬─────────┬─ sigmoid ─┬ … ┬── mark ──
//!  images   │  rest   │  forward   │  forward  │   │  rest   │ backward  │   │ optimiser
//! ```
//!
//! A lap of forward begins where the lap before it ended. What a program does between two ops, and does not mark, therefore counts
//! for the second of them.
//!
//! How much an op has computed and moved follows from its shapes (`work.rs`), so nothing is counted while it runs. Without a
//! profile an op looks at one flag.
//!
//! What this is not: a sampler, or a trace of single calls. It sees one thread; the pool's threads work inside of its ops.
//!
//! Reading order: this file, `work.rs`, `peak.rs` (what the machine can do at most), `table.rs`. Next: chapter 4, `autograd/mod.rs`.

mod peak;
mod table;
mod work;

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use crate::{Shape, Tensor};
pub use peak::{Peak, multiply_adds};
pub use table::table;
pub use work::Work;

/// The name of the row of what nobody claims.
pub const REST: &str = "outside of ops";

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// An op on a training tape.
    Forward,
    /// The op's closure in backward.
    Backward,
    /// An op on an inference tape.
    Inference,
    /// No op: what was [marked](mark), and the [`REST`].
    Outside,
}

impl Pass {
    /// The word for it in a table.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
            Pass::Inference => "inference",
            Pass::Outside => "",
        }
    }
}

/// All laps of one op in one direction, or of one mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The op, as the tape calls it, or the mark.
    pub name: &'static str,
    /// Which way it was run.
    pub pass: Pass,
    /// How many laps.
    pub calls: u64,
    /// How long they took together.
    pub time: Duration,
    /// What they did together.
    pub work: Work,
}

impl Row {
    /// Billions of floating-point operations in a second, where the op's are counted.
    pub fn gflops(&self) -> Option<f64> {
        self.rate(self.work.flop)
    }

    /// Billions of bytes in a second, of those that had to move at least.
    pub fn gigabytes(&self) -> Option<f64> {
        self.rate(self.work.bytes)
    }

    fn rate(&self, amount: f64) -> Option<f64> {
        (amount > 0.0 && !self.time.is_zero()).then(|| amount / self.time.as_secs_f64() / 1e9)
    }
}

/// The laps of a thread.
struct Clock {
    lap: Option<Instant>,
    rows: Vec<Row>,
}

impl Clock {
    /// Ends the lap in the name of a row.
    fn lap(&mut self, name: &'static str, pass: Pass, work: Work) {
        let now = Instant::now();
        let time = self.lap.replace(now).map_or(Duration::ZERO, |lap| now - lap);
        let at = self.rows.iter().position(|row| row.pass == pass && row.name == name);
        let at = at.unwrap_or_else(|| {
            self.rows.push(Row { name, pass, calls: 0, time: Duration::ZERO, work: Work::default() });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.calls += 1;
        row.time += time;
        row.work += work;
    }
}

thread_local! {
    /// Whether this thread has a profile: all that is looked at where it has none.
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock { lap: None, rows: Vec::new() }) };
}

/// A profile of this thread, from [`start`](Profile::start) until it is dropped.
///
/// ```
/// use tapegrad::profile::{Pass, Profile};
/// use tapegrad::{Tape, Tensor};
///
/// let profile = Profile::start();
/// let tape = Tape::training();
/// let a = tape.variable(&Tensor::ones([20, 30]));
/// let b = tape.input(&Tensor::ones([30, 40]));
/// a.matmul(b).sum().backward();
///
/// let rows = profile.rows();
/// let forward = rows.iter().find(|row| row.name == "matmul" && row.pass == Pass::Forward).unwrap();
/// assert_eq!((forward.calls, forward.work.flop), (1, 2.0 * 20.0 * 30.0 * 40.0));
/// ```
#[derive(Debug)]
pub struct Profile {
    /// It belongs to the thread that started it, so it is neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl Profile {
    /// Starts the clock. A thread has one profile at a time.
    ///
    /// # Panics
    /// When the thread has a profile already, one that was forgotten ([`std::mem::forget`]) included.
    #[track_caller]
    pub fn start() -> Profile {
        assert!(!IS_ON.get(), "Profile::start: this thread has a profile already; drop that one first");
        CLOCK.with_borrow_mut(|clock| *clock = Clock { lap: Some(Instant::now()), rows: Vec::new() });
        IS_ON.set(true);
        Profile { thread: PhantomData }
    }

    /// The rows so far, the one that took longest first. Their times add up to the time since the start.
    pub fn rows(&self) -> Vec<Row> {
        mark(REST);
        let mut rows = CLOCK.with_borrow(|clock| clock.rows.clone());
        rows.sort_by_key(|row| std::cmp::Reverse(row.time));
        rows
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        IS_ON.set(false);
        // Where the thread is about to end there may be no clock any more.
        let _ = CLOCK.try_with(|clock| clock.borrow_mut().rows = Vec::new());
    }
}

/// Says, where this thread has a profile, what it has done since the last op or mark.
///
/// ```
/// use tapegrad::profile::{Profile, mark};
/// let profile = Profile::start();
/// let squares: Vec<u64> = (0..100).map(|i| i * i).collect();
/// mark("squares");
/// assert!(profile.rows().iter().any(|row| row.name == "squares" && row.calls == 1));
/// # assert_eq!(squares.len(), 100);
/// ```
pub fn mark(name: &'static str) {
    end_lap(name, Pass::Outside, Work::default());
}

fn end_lap(name: &'static str, pass: Pass, work: Work) {
    if IS_ON.get() {
        let _ = CLOCK.try_with(|clock| clock.borrow_mut().lap(name, pass, work));
    }
}

/// What the tape knows of an op when it is recorded, where this thread has a profile.
pub(crate) struct Recorded {
    op: &'static str,
    backward: Work,
}

/// Ends the lap of an op's forward. `inputs` are their shapes, and whether each wants a gradient.
pub(crate) fn forward(
    op: &'static str,
    is_training: bool,
    inputs: impl Iterator<Item = (Shape, bool)>,
    output: Shape,
) -> Option<Recorded> {
    if !IS_ON.get() {
        return None;
    }
    let inputs: Vec<(Shape, bool)> = inputs.collect();
    let pass = if is_training { Pass::Forward } else { Pass::Inference };
    end_lap(op, pass, Work::forward(op, &inputs, &output));
    Some(Recorded { op, backward: Work::backward(op, &inputs, &output) })
}

/// The closure of an op: it takes the gradient of the output, and puts those of the inputs into the tape's `A`.
type Backward<A> = Box<dyn FnOnce(Tensor, &mut A)>;

/// The closure of an op, timed where there was a profile when the op was recorded.
pub(crate) fn timed<A: 'static>(recorded: Option<Recorded>, backward: Backward<A>) -> Backward<A> {
    let Some(Recorded { op, backward: work }) = recorded else { return backward };
    Box::new(move |dy, adjoints| {
        mark(REST);
        backward(dy, adjoints);
        end_lap(op, Pass::Backward, work);
    })
}
