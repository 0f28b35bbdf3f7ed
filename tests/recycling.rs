//! From the second step on, training allocates no tensor memory. Alone in its binary, since the count is the process's.
//!
//! Without recycling every step maps and faults in some thirty megabytes anew; and a tape that kept its nodes would grow by
//! as much (burn#2333). Both show here as a count that rises.

use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::tensor::buffer::statistics;
use tapegrad::{Tape, Tensor};

/// One step as training does it, with a batch of its own.
fn step(net: &mut dyn Module, optimizer: &mut Adam, seed: u64) {
    let images = Init::new(seed).rand([64, 1, 28, 28]);
    let labels: Vec<usize> = (0..64).map(|i| (i + seed as usize) % 10).collect();
    let tape = Tape::training();
    let logits = net.forward(tape.input(&images));
    let loss = logits.cross_entropy(&labels);
    assert!(loss.item().is_finite());
    assert_eq!(logits.value().argmax(1).len(), 64);
    optimizer.step(net, &loss.backward());
}

/// Both nets in one test: two tests would run at the same time and count each other's buffers.
#[test]
fn steps_from_the_second_on_allocate_nothing() {
    let init = &mut Init::new(1);
    let nets: [(&str, Box<dyn Module>); 2] =
        [("LeNet", Box::new(LeNet::new(init))), ("LeNet with batch norm", Box::new(lenet_batch_norm(init)))];
    for (name, mut net) in nets {
        let mut optimizer = Adam::new(0.001);
        let before = statistics().allocated;
        step(&mut *net, &mut optimizer, 0);
        let first = statistics();
        assert!(first.allocated > before, "{name}: the first step allocates, or this counts nothing");
        for seed in 1..6 {
            step(&mut *net, &mut optimizer, seed);
            assert_eq!(statistics(), first, "{name}: after step {}", seed + 1);
        }
        // Evaluating takes what training gave back.
        let tape = Tape::inference();
        net.forward(tape.input(&Tensor::zeros([64, 1, 28, 28])));
        drop(tape);
        assert_eq!(statistics(), first, "{name}: after an evaluation");
    }
}
