//! Ctrl-C: a flag instead of sudden death, so that the line on the screen can be ended and the step finished.
//!
//! std has no way to catch a signal, so this is the one place that calls the C library, which std links anyway. The handler
//! only sets a flag; a second Ctrl-C ends the program the usual way. Elsewhere than on Unix, Ctrl-C keeps its usual meaning.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C has been pressed since [`catch`].
pub(super) fn flag() -> &'static AtomicBool {
    &INTERRUPTED
}

/// Makes Ctrl-C set the flag, once.
#[cfg(unix)]
pub(super) fn catch() {
    const SIGINT: i32 = 2;
    const SIG_DFL: usize = 0;
    unsafe extern "C" {
        /// POSIX `signal`; a handler is passed as the address of a function.
        fn signal(number: i32, handler: usize) -> usize;
    }
    extern "C" fn handler(_: i32) {
        INTERRUPTED.store(true, Ordering::Relaxed);
        // SAFETY: `signal` may be called from a handler (POSIX lists it as async-signal-safe), with a valid number and handler.
        unsafe { signal(SIGINT, SIG_DFL) };
    }
    // SAFETY: the handler has the signature that `signal` wants, lives as long as the program, and only stores to an atomic and
    // calls an async-signal-safe function.
    unsafe { signal(SIGINT, handler as *const () as usize) };
}

/// Nothing to do here: Ctrl-C ends the program.
#[cfg(not(unix))]
pub(super) fn catch() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}
