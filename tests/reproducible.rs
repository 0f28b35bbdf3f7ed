//! The same bits on any number of threads. (Alone in its binary: the number of threads is the process's.)

use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::{Tape, parallel};

/// The hash of all parameters after three steps on 100 random images.
fn train(mut net: impl Module, threads: usize) -> u64 {
    parallel::set_threads(threads);
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

#[test]
fn training_gives_the_same_bits_on_any_number_of_threads() {
    let plain = train(LeNet::new(&mut Init::new(0)), 1);
    let batch_norm = train(lenet_batch_norm(&mut Init::new(0)), 1);
    for threads in [2, 3, 4, 7, 16] {
        assert_eq!(train(LeNet::new(&mut Init::new(0)), threads), plain, "{threads} threads");
        assert_eq!(
            train(lenet_batch_norm(&mut Init::new(0)), threads),
            batch_norm,
            "{threads} threads, batch norm"
        );
    }
    assert_ne!(train(LeNet::new(&mut Init::new(1)), 1), plain, "another seed gives other bits");
}
