//! The same bits on any number of threads, with any instructions, on any machine, in debug and in release.
//!
//! Both nets are trained for three steps on images that a seed makes, and all that they have learned is hashed. The hashes stand
//! here, so that two machines need not meet to be compared. (Alone in their binary: the number of threads is the process's.)

mod every_isa;

use std::sync::Mutex;

use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::{Tape, parallel};

/// What every machine gets: LeNet, and LeNet with batch norm.
///
/// They change whenever the order of an addition anywhere in training does, and with nothing else. Then, and only when that
/// was meant, take the new ones from the message of the test that fails.
const HASHES: [u64; 2] = [0x51b3_eaf1_9c9f_c4e7, 0x8e12_1197_5848_1093];

/// One training at a time: the tests of a binary run side by side, and would change each other's number of threads.
static TURN: Mutex<()> = Mutex::new(());

/// The hash of all parameters after three steps on 100 random images.
fn train(mut net: impl Module) -> u64 {
    let mut init = Init::new(9);
    let (x, labels) = (init.rand([100, 1, 28, 28]), (0..100).map(|i| i * 7 % 10).collect::<Vec<_>>());
    let mut adam = Adam::new(0.001);
    for _ in 0..3 {
        let tape = Tape::training();
        let grads = net.forward(tape.input(&x)).cross_entropy(&labels).backward();
        adam.step(&mut net, &grads);
    }
    net.parameter_hash()
}

#[track_caller]
fn check(threads: usize) {
    let _turn = TURN.lock();
    parallel::set_threads(threads);
    let plain = train(LeNet::new(&mut Init::new(0)));
    let batch_norm = train(lenet_batch_norm(&mut Init::new(0)));
    assert!([plain, batch_norm] == HASHES, "{threads} threads: [{plain:#018x}, {batch_norm:#018x}]");
}

#[test]
fn training_gives_the_published_bits() {
    check(1);
}

#[test]
fn training_gives_the_published_bits_with_any_instructions() {
    every_isa::run_again("training_gives_the_published_bits");
}

#[test]
fn training_gives_the_published_bits_on_any_number_of_threads() {
    for threads in [2, 3, 4, 7, 16] {
        check(threads);
    }
}

/// Or the hash would say nothing.
#[test]
fn another_seed_gives_other_bits() {
    assert_ne!(train(LeNet::new(&mut Init::new(1))), HASHES[0]);
}
