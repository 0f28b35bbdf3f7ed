//! Trains LeNet on Fashion-MNIST: `cargo run --release --bin lenet`. All of it is in `src/cli/lenet/`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tapegrad::cli::lenet::run(std::env::args_os().skip(1))
}
