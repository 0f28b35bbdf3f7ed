//! Wrong calls, and all that each of them says: the op, what it got, and the rule, at the line of whoever called it.
//!
//! One table for each chapter. A row is a closure with one mistake in it, and the whole text of the panic. Besides the text, the place
//! is held: it must be the row's own line, so `#[track_caller]` has to reach from the public function down to the check.
//!
//! Run it with `--release` as well. Arithmetic wraps silently there, and a check that leaned on overflow would be gone.
//!
//! What this is not: errors of files and arguments, which are values ([`tapegrad::Error`]); see `data.rs` and `cli.rs` beside this folder.
//! Next to read: `tensor.rs`.

mod autograd;
mod data;
mod kernels;
mod nn;
mod ops;
mod optim;
mod save;
mod tensor;
mod windows;

use std::cell::RefCell;
use std::panic::{self, Location, PanicHookInfo};
use std::sync::Once;

/// A wrong call, and what it must say.
type Wrong = (fn(), &'static str);

/// The file and the line of a panic.
type Place = (String, u32);

thread_local! {
    /// Where this thread panicked last, while it wants to know; otherwise `None`.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Runs every call of a table that was written where this is called.
#[track_caller]
fn each_says(cases: &[Wrong]) {
    let here = Location::caller();
    // Rows stand one below the other, so their lines rise. A place in a function that a row calls would not fit in between.
    let mut before = here.line();
    let mut faults = Vec::new();
    for &(call, text) in cases {
        let Some((said, (file, line))) = panic_of(call) else {
            faults.push(format!("nothing was said instead of: {text}"));
            continue;
        };
        if said != text {
            faults.push(format!("said at {file}:{line}: {said}\n   instead of: {text}"));
        } else if file != here.file() || line <= before {
            faults.push(format!("said at {file}:{line}, and not at the caller's line: {text}"));
        } else {
            before = line;
        }
    }
    assert!(faults.is_empty(), "{} of {} calls:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// The text of the panic that `call` ends with, and its place; `None` where it does not panic.
fn panic_of(call: fn()) -> Option<(String, Place)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo| {
            let place = info.location().map(|at| (at.file().to_string(), at.line()));
            // What this thread waits for is not printed.
            match PLACE.with_borrow_mut(|wanted| wanted.as_mut().zip(place).map(|(wanted, at)| *wanted = at))
            {
                Some(()) => {}
                None => usual(info),
            }
        }));
    });
    PLACE.set(Some(Place::default()));
    let outcome = panic::catch_unwind(call);
    let place = PLACE.take().unwrap_or_default();
    let payload = outcome.err()?;
    // A text without numbers in it is a `&str`.
    let text = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a panic says something")).to_string(),
    };
    Some((text, place))
}
