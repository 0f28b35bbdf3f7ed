//! What is measured: a name, the work of one run, and how to run it.

/// How much one run does, as far as that can be counted. What is left out is not printed.
#[derive(Clone, Copy, Default)]
pub struct Work {
    /// Floating-point operations, for GFLOP/s and the share of the peak.
    pub flop: Option<f64>,
    /// Bytes that must be moved at least: each number that goes into the op or comes out of it, once. For GB/s, which says more about an
    /// op that does little with each number. There is no peak beside it, since that depends on the cache that the numbers lie in.
    pub bytes: Option<f64>,
    /// Images, for the time of one.
    pub images: Option<usize>,
}

/// One thing to measure.
pub struct Case {
    pub name: String,
    pub work: Work,
    setup: Box<dyn FnOnce() -> Box<dyn FnMut()>>,
}

impl Case {
    /// `setup` makes the inputs and gives what is to be measured. It is called only for cases that are run, since some inputs take a
    /// hundred megabytes.
    pub fn new<R: FnMut() + 'static>(
        name: impl Into<String>,
        work: Work,
        setup: impl FnOnce() -> R + 'static,
    ) -> Case {
        Case { name: name.into(), work, setup: Box::new(|| Box::new(setup())) }
    }

    /// The case with its inputs.
    pub fn prepare(self) -> Prepared {
        Prepared { name: self.name, work: self.work, run: (self.setup)() }
    }
}

/// A case that is ready to run, any number of times.
pub struct Prepared {
    pub name: String,
    pub work: Work,
    pub run: Box<dyn FnMut()>,
}
