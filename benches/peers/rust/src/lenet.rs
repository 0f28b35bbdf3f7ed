//! The training loop for peers that bring none: the same batches, in the same order, that tapegrad's own loop takes.

use std::time::Instant;

use tapegrad::data::{Batch, Batches, FashionMnist};

use crate::protocol::serve;

pub const BATCH: usize = 256;
pub const LEARNING_RATE: f64 = 0.001;

/// A peer's LeNet and its optimiser.
pub trait Trainer {
    /// One step of training: the loss, and how many of the images were right.
    fn step(&mut self, pixels: Vec<f32>, labels: &[u8]) -> (f64, usize);

    /// How many of the images are right.
    fn evaluate(&mut self, pixels: Vec<f32>, labels: &[u8]) -> usize;
}

/// The data, from the folder that the driver names.
pub fn load() -> FashionMnist {
    let folder = std::env::var_os("FASHION_MNIST").expect("FASHION_MNIST names the folder of the data");
    FashionMnist::load(folder).unwrap_or_else(|error| panic!("{error}"))
}

/// `train STEPS`: seconds and mean loss of the first so many steps of a new epoch; `evaluate`: seconds and accuracy on the test images.
pub fn serve_trainer(trainer: &mut impl Trainer) {
    let data = load();
    let mut epoch = 0;
    serve(|request, numbers| {
        let start = Instant::now();
        match request {
            "train" => {
                epoch += 1;
                let batches = Batches::shuffled(&data.train, BATCH, 0, epoch);
                let (mut loss, mut correct) = (0.0, 0);
                for batch in batches.iter().take(numbers[0]) {
                    let (pixels, labels) = copy(&batch);
                    let step = trainer.step(pixels, &labels);
                    loss += step.0;
                    correct += step.1;
                }
                std::hint::black_box(correct);
                vec![start.elapsed().as_secs_f64(), loss / numbers[0] as f64]
            }
            "evaluate" => {
                let mut correct = 0;
                for batch in Batches::in_order(&data.test, BATCH).iter() {
                    let (pixels, labels) = copy(&batch);
                    correct += trainer.evaluate(pixels, &labels);
                }
                vec![start.elapsed().as_secs_f64(), correct as f64 / data.test.len() as f64]
            }
            other => panic!("{other}: not a request to a trainer"),
        }
    });
}

fn copy(batch: &Batch) -> (Vec<f32>, Vec<u8>) {
    (batch.pixels().to_vec(), batch.labels().collect())
}
