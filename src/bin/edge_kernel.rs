//! Learns an edge detector: `cargo run --bin edge_kernel`. All of it is in `src/cli/edge_kernel.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tapegrad::cli::edge_kernel::run(std::env::args_os().skip(1))
}
