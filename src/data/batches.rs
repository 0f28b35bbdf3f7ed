//! Batches: the pictures dealt out in groups, in order or shuffled.
//!
//! The order of an epoch is a pure function of (seed, epoch). There is no generator that lives from epoch to epoch, so
//! epoch 7 can be dealt without dealing 1 to 6 first: resuming needs no state, and evaluating cannot shift training.
//!
//! A byte becomes a number as in torchvision's `ToTensor`: `x / 255`, one rounded division. Multiplying by a rounded
//! 1/255 gives other bits for 126 of the 256 bytes.
//!
//! A batch is written into slices of the caller, so a training loop allocates them once. Nothing here is drawn with
//! `rand`: a shuffle must stay the same when a dependency changes its mind, so its few lines are spelled out below.
//! Next to read: [`crate::image`], pictures in and out.

use super::fashion_mnist::{HEIGHT, Images, WIDTH};
use crate::Tensor;
use crate::ops::images_last;
use crate::ops::window::Pair;

/// An epoch's worth of batches over a set of pictures.
///
/// ```
/// use tapegrad::data::{Batches, Images};
///
/// let images = Images::new(vec![255; 5 * 28 * 28], vec![0, 1, 2, 3, 4])?;
/// let mut labels = vec![0_usize; 2];
/// let mut seen = Vec::new();
/// for batch in Batches::shuffled(&images, 2, 42, 1).iter() {
///     let n = batch.len(); // 2, 2, then 1: the last batch may be short
///     assert_eq!(batch.pixels().shape(), [n, 1, 28, 28]);
///     batch.copy_labels(&mut labels[..n]);
///     assert_eq!(batch.pixels().get([0, 0, 0, 0]), 1.0);
///     seen.extend_from_slice(&labels[..n]);
/// }
/// seen.sort();
/// assert_eq!(seen, [0, 1, 2, 3, 4]);
/// # Ok::<(), tapegrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    images: &'a Images,
    order: Vec<u32>,
    batch_size: usize,
}

impl<'a> Batches<'a> {
    /// The pictures in the order of the file, for evaluation.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    #[track_caller]
    pub fn in_order(images: &'a Images, batch_size: usize) -> Batches<'a> {
        Batches::with_order(images, batch_size, (0..images.len() as u32).collect())
    }

    /// The pictures in the order [`permutation`]`(images.len(), seed, epoch)`, for training.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    #[track_caller]
    pub fn shuffled(images: &'a Images, batch_size: usize, seed: u64, epoch: u64) -> Batches<'a> {
        Batches::with_order(images, batch_size, permutation(images.len(), seed, epoch))
    }

    #[track_caller]
    fn with_order(images: &'a Images, batch_size: usize, order: Vec<u32>) -> Batches<'a> {
        assert!(batch_size > 0, "batches: batch_size must be at least 1, got 0");
        Batches { images, order, batch_size }
    }

    /// The number of batches, the short one at the end included: 235 for 60,000 pictures by 256.
    #[allow(clippy::len_without_is_empty, reason = "there is always a picture, so there is always a batch")]
    pub fn len(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// Batch `i`.
    ///
    /// # Panics
    /// If there is no batch `i`.
    #[track_caller]
    pub fn batch(&self, i: usize) -> Batch<'_> {
        assert!(i < self.len(), "batch: expected an index below {}, got {i}", self.len());
        let start = i * self.batch_size;
        let end = self.order.len().min(start + self.batch_size);
        Batch { images: self.images, indices: &self.order[start..end] }
    }

    /// All batches, one after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Batch<'_>> {
        self.order.chunks(self.batch_size).map(|indices| Batch { images: self.images, indices })
    }
}

/// Some pictures of a set, by their indices.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    images: &'a Images,
    indices: &'a [u32],
}

impl<'a> Batch<'a> {
    /// The number of pictures, at least one.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Where the pictures stand in their set.
    pub fn indices(&self) -> &'a [u32] {
        self.indices
    }

    /// The pictures as `[n, 1, 28, 28]`, each byte divided by 255, so from 0 to 1. Where there are enough of them for ops to work on
    /// many at a time, they lie images last, as conv2d wants them.
    pub fn pixels(&self) -> Tensor {
        let size = Pair { h: HEIGHT, w: WIDTH };
        images_last::from_bytes(self.len(), size, |i| self.images.image(self.indices[i] as usize))
    }

    /// Writes the labels, each from 0 to 9, as numbers of the caller's choice (`u8`, `usize`, `f32` …).
    ///
    /// # Panics
    /// If `out` has not exactly `len()` elements.
    #[track_caller]
    pub fn copy_labels<T: From<u8>>(&self, out: &mut [T]) {
        assert!(
            out.len() == self.len(),
            "copy_labels: {} pictures need {} elements, got {}",
            self.len(),
            self.len(),
            out.len()
        );
        for (out, label) in out.iter_mut().zip(self.labels()) {
            *out = T::from(label);
        }
    }

    /// The labels, one after the other.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = u8> + use<'a> {
        let images = self.images;
        self.indices.iter().map(move |&index| images.label(index as usize))
    }
}

/// The numbers `0..count` in a random order that depends on `seed` and `epoch` alone.
///
/// The shuffle is Fisher and Yates' (Durstenfeld 1964; Knuth, TAOCP 3.4.2, algorithm P): going down from the last
/// place, each place takes one of those not yet taken, all with the same chance.
///
/// # Panics
/// If `count` does not fit 32 bits.
#[track_caller]
pub fn permutation(count: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let Ok(count) = u32::try_from(count) else {
        panic!("permutation: expected a count of at most {}, got {count}", u32::MAX);
    };
    let mut order: Vec<u32> = (0..count).collect();
    let mut random = SplitMix64::of_epoch(seed, epoch);
    for last in (1..count).rev() {
        let pick = random.below(last + 1);
        order.swap(last as usize, pick as usize);
    }
    order
}

/// SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"): a counter with a large odd
/// step, each value scrambled. Small, portable, and good enough to shuffle with.
struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The step: 2^64 divided by the golden ratio, made odd.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// Scrambles the seed before the epoch comes in, and once more after it. Adding them raw would make (seed 1,
    /// epoch 2) and (seed 2, epoch 1) the same order.
    fn of_epoch(seed: u64, epoch: u64) -> SplitMix64 {
        let seed = SplitMix64 { state: seed }.next();
        SplitMix64 { state: SplitMix64 { state: seed ^ epoch }.next() }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(Self::STEP);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound - 1`, all with the same chance (Lemire 2019, "Fast random integer generation in an
    /// interval"). `x * bound` of a 32-bit `x` has its answer in the upper half. The 2^32 values of `x` do not share
    /// out evenly among `bound` answers; throwing away the products whose lower half is under `2^32 mod bound` leaves
    /// the same number for each.
    fn below(&mut self, bound: u32) -> u32 {
        let surplus = bound.wrapping_neg() % bound; // 2^32 mod bound
        loop {
            let x = self.next() >> 32; // the better half
            let product = x * u64::from(bound);
            if product as u32 >= surplus {
                return (product >> 32) as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    /// The first outputs for seed 1234567, as published for the authors' reference implementation.
    #[test]
    fn splitmix64_is_the_published_one() {
        let mut random = SplitMix64 { state: 1_234_567 };
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    /// Every number below the bound comes up, none above, and none much more often than the others.
    #[test]
    fn below_is_even() {
        let mut random = SplitMix64 { state: 7 };
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[random.below(6) as usize] += 1;
        }
        // 10,000 expected, standard deviation 91: five of them.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 456), "{counts:?}");
        assert_eq!(random.below(1), 0);
    }
}
