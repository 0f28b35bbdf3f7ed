//! How memory grows: with the images of a batch in proportion, with the number of steps not at all. Alone in its binary, since memory is the
//! process's. (That no step after the first asks for tensor memory is in `recycling.rs`; here the system is asked, so a list that grows
//! or a closure that stays would show, too.)

use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::tensor::buffer::{release_free, statistics};
use tapegrad::{Tape, Tensor};

fn step(net: &mut dyn Module, adam: &mut Adam, images: &Tensor, labels: &[usize]) {
    let tape = Tape::training();
    let loss = net.forward(tape.input(images)).cross_entropy(labels);
    assert!(loss.item().is_finite());
    adam.step(net, &loss.backward());
}

fn batch(n: usize) -> (Tensor, Vec<usize>) {
    (Init::new(0).rand([n, 1, 28, 28]), (0..n).map(|i| i % 10).collect())
}

fn nets() -> [(&'static str, Box<dyn Module>); 2] {
    let init = &mut Init::new(1);
    [("LeNet", Box::new(LeNet::new(init))), ("LeNet with batch norm", Box::new(lenet_batch_norm(init)))]
}

/// Bytes of tensor memory that a step takes: all that lies free after it.
fn bytes(net: &mut dyn Module, n: usize) -> usize {
    let (images, labels) = batch(n);
    let mut adam = Adam::new(0.001);
    step(net, &mut adam, &images, &labels);
    release_free();
    step(net, &mut adam, &images, &labels);
    statistics().free_bytes
}

/// Pages of this process that are in memory, in KiB, where the system says so.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// One test, since two would run at the same time.
#[test]
fn memory_grows_with_the_batch_and_not_with_the_steps() {
    // First, before there is memory that a leak could take unseen.
    if resident().is_none() {
        println!("skipped: this system does not say in /proc/self/status how much memory a process has");
    }
    // A step takes a fifth of a millisecond or so. (`tests/soak.sh` goes ten times as many, with batches of 64.)
    let steps = 1000;
    for (name, mut net) in nets() {
        let (images, labels) = batch(2);
        let mut adam = Adam::new(0.001);
        let mut seen = [0; 2];
        for at in 1..=steps {
            step(&mut *net, &mut adam, &images, &labels);
            if [100, steps].contains(&at) {
                seen[usize::from(at == steps)] = resident().unwrap_or(0);
            }
        }
        println!("{name}: {} KiB after 100 steps, {} KiB after {steps}", seen[0], seen[1]);
        assert!(
            seen[1] < seen[0] + 256,
            "{name}: {} KiB after 100 steps, {} KiB after {steps}",
            seen[0],
            seen[1]
        );
    }

    for (name, mut net) in nets() {
        let sizes = [64, 128, 256, 512, 1024].map(|n| (n, bytes(&mut *net, n)));
        println!("{name}: images in a batch, and bytes of a step: {sizes:?}");
        for pair in sizes.windows(2) {
            // Sizes are rounded up, by a quarter at most, and gradients of parameters do not grow.
            let growth = pair[1].1 as f64 / pair[0].1 as f64;
            assert!(
                (1.6..=2.1).contains(&growth),
                "{name}: twice the images take {growth:.2} times the memory"
            );
        }
    }
}
