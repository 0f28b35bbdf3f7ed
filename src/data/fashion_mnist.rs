//! Fashion-MNIST, and every set of 28 x 28 pictures in the same four files (MNIST, for one).
//!
//! Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747): 60,000 pictures to train with and 10,000 to test with,
//! grey, 28 x 28, of ten kinds of clothing. It was made to take MNIST's place, so the files have MNIST's names and
//! format and one reader serves both. Which of them was read, the CRC-32 of the files tells ([`DatasetName`]).
//!
//! Pictures stay bytes, 0 for the background to 255. The four files are decoded at the same time, each by its own
//! thread; one gzip stream cannot be split, so the 26 MB of training pictures set the time.
//!
//! This file downloads nothing and shuffles nothing. Next to read: `data/batches.rs`.

use super::idx::{Idx, IdxKind, IdxReader};
use crate::error::{Error, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};

/// Rows of a picture.
pub const HEIGHT: usize = 28;
/// Columns of a picture.
pub const WIDTH: usize = 28;
/// The names of Fashion-MNIST's labels 0 to 9, as torchvision has them.
pub const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// The four files: name without `.gz`, what it holds, and the CRC-32 of Fashion-MNIST's own, decompressed.
/// `gzip -lv` prints the same numbers.
const FILES: [(&str, IdxKind, u32); 4] = [
    ("train-images-idx3-ubyte", IdxKind::Images, 0xb4f2_9f28),
    ("train-labels-idx1-ubyte", IdxKind::Labels, 0x741a_4657),
    ("t10k-images-idx3-ubyte", IdxKind::Images, 0x678f_e0b1),
    ("t10k-labels-idx1-ubyte", IdxKind::Labels, 0x8014_2c1f),
];

/// Which data set the files hold, by their checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetName {
    /// All four files are Fashion-MNIST's, bit for bit.
    FashionMnist,
    /// At least one file is not: MNIST, a changed Fashion-MNIST, or a set of one's own.
    Other,
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DatasetName::FashionMnist => "Fashion-MNIST",
            DatasetName::Other => "not Fashion-MNIST (perhaps MNIST)",
        })
    }
}

/// Pictures and their labels, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    /// All pictures, one after the other, each row by row: `len() * 28 * 28` bytes.
    pixels: Vec<u8>,
    /// One label from 0 to 9 for each picture.
    labels: Vec<u8>,
}

impl Images {
    /// Puts pictures and labels together.
    ///
    /// # Errors
    /// There is no picture, the pixels are no whole number of 28 x 28 pictures, there is not one label for each
    /// picture, or a label is 10 or more.
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>) -> Result<Images> {
        let size = HEIGHT * WIDTH;
        if pixels.is_empty() || !pixels.len().is_multiple_of(size) {
            let expected = format!("one picture or more, each of {HEIGHT} x {WIDTH} = {size} bytes");
            return Err(Error::argument("pixels", expected, format!("{} bytes", pixels.len())));
        }
        let count = pixels.len() / size;
        if labels.len() != count {
            let expected = format!("{count} labels, one for each picture");
            return Err(Error::argument("labels", expected, labels.len().to_string()));
        }
        if let Some((expected, found)) = wrong_label(&labels) {
            return Err(Error::argument("labels", expected, found));
        }
        Ok(Images { pixels, labels })
    }

    /// The number of pictures, at least one.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The 784 bytes of picture `i`, row by row.
    ///
    /// # Panics
    /// If there is no picture `i`.
    #[track_caller]
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.len(), "image: expected an index below {}, got {i}", self.len());
        let size = HEIGHT * WIDTH;
        &self.pixels[i * size..(i + 1) * size]
    }

    /// The label of picture `i`, from 0 to 9; for Fashion-MNIST an index into [`CLASSES`].
    ///
    /// # Panics
    /// If there is no picture `i`.
    #[track_caller]
    pub fn label(&self, i: usize) -> u8 {
        assert!(i < self.len(), "label: expected an index below {}, got {i}", self.len());
        self.labels[i]
    }

    /// All pictures, one after the other.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All labels.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }
}

/// Millions of bytes are no use in a message, so this says only how many pictures there are.
impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A training set and a test set.
///
/// ```no_run
/// use tapegrad::data::{CLASSES, FashionMnist};
///
/// let set = FashionMnist::load("data/fashion-mnist")?;
/// assert_eq!(set.train.len(), 60_000);
/// println!("the first picture shows: {}", CLASSES[usize::from(set.train.label(0))]);
/// # Ok::<(), tapegrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FashionMnist {
    /// The pictures to train with.
    pub train: Images,
    /// The pictures to test with.
    pub test: Images,
    /// Which data set this is.
    pub name: DatasetName,
}

impl FashionMnist {
    /// Reads the four files from the folder `dir`. Each may be gzipped (`train-images-idx3-ubyte.gz`) or raw
    /// (`train-images-idx3-ubyte`); where both are there, the gzipped one is read.
    ///
    /// # Errors
    /// A file is missing or cannot be read, is no IDX file of its kind, is damaged, holds pictures that are not 28 x 28
    /// or labels over 9, or the numbers of pictures and labels differ. With several bad files the error is about the
    /// first in the order train images, train labels, test images, test labels; bad headers come before bad bodies.
    pub fn load(dir: impl AsRef<Path>) -> Result<FashionMnist> {
        let dir = dir.as_ref();
        // Look for all four before reading any: a missing file should not show only after the others are decoded.
        let paths = [find(dir, 0)?, find(dir, 1)?, find(dir, 2)?, find(dir, 3)?];
        // And at all headers before any body: refused by the headers, a set costs no memory.
        let [train_x, train_y, test_x, test_y] = [0, 1, 2, 3].map(|i| open_one(&paths[i], FILES[i].1));
        let readers = [train_x?, train_y?, test_x?, test_y?];
        agree(&readers[0], &readers[1], &paths[1])?;
        agree(&readers[2], &readers[3], &paths[3])?;
        let [train_x, train_y, test_x, test_y] = read_all(readers, &paths)?;
        let crcs = [train_x.crc32, train_y.crc32, test_x.crc32, test_y.crc32];
        let name = if crcs == FILES.map(|(.., crc32)| crc32) {
            DatasetName::FashionMnist
        } else {
            DatasetName::Other
        };
        let join = |images: Idx, labels: Idx| Images { pixels: images.bytes, labels: labels.bytes };
        Ok(FashionMnist { train: join(train_x, train_y), test: join(test_x, test_y), name })
    }
}

/// The path of `FILES[i]` in `dir`, gzipped or raw.
fn find(dir: &Path, i: usize) -> Result<PathBuf> {
    let (name, ..) = FILES[i];
    let zipped = dir.join(format!("{name}.gz"));
    let raw = dir.join(name);
    for path in [&zipped, &raw] {
        // Anything by that name counts: a folder there gets a better message from the reader than "not found".
        if path.symlink_metadata().is_ok() {
            return Ok(path.clone());
        }
    }
    match dir.metadata() {
        Ok(found) if found.is_dir() => {
            Err(Error::format(dir, format!("{name}.gz or {name} in it"), "neither"))
        }
        Ok(_) => Err(Error::format(dir, "a folder with IDX files", "a file")),
        Err(e) => Err(Error::io(dir, "a folder with IDX files", e)),
    }
}

/// Reads the four files at the same time, one thread each; the largest, which is the first, on this one.
fn read_all(readers: [IdxReader; 4], paths: &[PathBuf; 4]) -> Result<[Idx; 4]> {
    let [train_x, train_y, test_x, test_y] = readers;
    thread::scope(|scope| {
        let start = |i: usize, reader: IdxReader| {
            let read = move || read_one(reader, &paths[i], FILES[i].1);
            let thread = thread::Builder::new().spawn_scoped(scope, read);
            thread.map_err(|e| Error::io(&paths[i], "a thread to read it", e))
        };
        let (train_y, test_x, test_y) = (start(1, train_y)?, start(2, test_x)?, start(3, test_y)?);
        let train_x = read_one(train_x, &paths[0], FILES[0].1)?;
        Ok([train_x, finish(train_y)?, finish(test_x)?, finish(test_y)?])
    })
}

/// The result of a thread. It has no reason to panic; if it does, the panic goes on in the caller, message and all.
fn finish(thread: ScopedJoinHandle<'_, Result<Idx>>) -> Result<Idx> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn open_one(path: &Path, kind: IdxKind) -> Result<IdxReader> {
    let reader = IdxReader::open(path, kind)?;
    match reader.dims() {
        [0, ..] => Err(Error::format(path, "one or more entries", "a header that promises none")),
        [_, h, w] if (*h, *w) != (HEIGHT, WIDTH) => {
            Err(Error::format(path, format!("images of {HEIGHT} x {WIDTH}"), format!("images of {h} x {w}")))
        }
        _ => Ok(reader),
    }
}

/// Refuses labels that are not one for each picture; `labels_path` is named.
fn agree(images: &IdxReader, labels: &IdxReader, labels_path: &Path) -> Result<()> {
    let (images, labels) = (images.dims()[0], labels.dims()[0]);
    if images == labels {
        return Ok(());
    }
    Err(Error::format(
        labels_path,
        format!("{images} labels, one for each image"),
        format!("{labels} labels"),
    ))
}

fn read_one(reader: IdxReader, path: &Path, kind: IdxKind) -> Result<Idx> {
    let idx = reader.read()?;
    if kind == IdxKind::Labels
        && let Some((expected, found)) = wrong_label(&idx.bytes)
    {
        return Err(Error::format(path, expected, found));
    }
    Ok(idx)
}

/// What is wrong with the first label that is no class, as (expected, found).
fn wrong_label(labels: &[u8]) -> Option<(String, String)> {
    let classes = CLASSES.len();
    let at = labels.iter().position(|&label| usize::from(label) >= classes)?;
    let found = format!("{} for picture {at}, counted from 0", labels[at]);
    Some((format!("labels from 0 to {}", classes - 1), found))
}
