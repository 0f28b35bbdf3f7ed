//! How wide the terminal is, so that a line that is rewritten never wraps.
//!
//! std does not tell, so this asks the C library, which std links anyway, with the call that the kernel has for it: `ioctl` with
//! `TIOCGWINSZ`. (POSIX has had `tcgetwinsize` for it since 2024, which many a C library does not know yet.) Where this file does not
//! know the system's number for it, a terminal counts as 80 columns wide, unless the environment variable `COLUMNS` says otherwise.
//!
//! Next to read: `color.rs`.

/// What terminals have had since they were made of glass.
const USUAL: usize = 80;

/// The columns of the terminal that stderr is: what `COLUMNS` says, or what the terminal says now.
pub(super) fn columns() -> usize {
    let set = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    set.filter(|&columns| columns > 0).or_else(of_stderr).unwrap_or(USUAL)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn of_stderr() -> Option<usize> {
    use std::ffi::{c_int, c_ushort};
    // musl declares the number of the request as an int, all others as a long.
    #[cfg(target_env = "musl")]
    use std::ffi::c_int as Request;
    #[cfg(not(target_env = "musl"))]
    use std::ffi::c_ulong as Request;

    /// The systems' `struct winsize`.
    #[repr(C)]
    #[derive(Default)]
    struct Size {
        rows: c_ushort,
        columns: c_ushort,
        width: c_ushort,
        height: c_ushort,
    }
    const STDERR: c_int = 2;
    /// `TIOCGWINSZ`. Linux has another number on its oldest architectures, where this one means nothing.
    const GET_SIZE: Request = if cfg!(target_os = "linux") { 0x5413 } else { 0x4008_7468 };
    unsafe extern "C" {
        fn ioctl(file: c_int, request: Request, ...) -> c_int;
    }
    let mut size = Size::default();
    // SAFETY: the request writes one `struct winsize` through its third argument, which points to one that is ours. Where stderr is
    // no terminal, or the number means nothing, the call fails and writes nothing.
    let outcome = unsafe { ioctl(STDERR, GET_SIZE, &raw mut size) };
    // A terminal that does not know its size says 0.
    (outcome == 0 && size.columns > 0).then_some(size.columns.into())
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn of_stderr() -> Option<usize> {
    None
}
