//! Data sets from files: the real Fashion-MNIST, and files that nobody should trust.

mod scratch;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use scratch::{Scratch, message};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tapegrad::data::idx::{Idx, IdxKind, IdxReader};
use tapegrad::data::{Batches, CLASSES, DatasetName, FashionMnist, Images, permutation};

fn real_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist")
}

/// The real set, decoded once for all tests.
fn real() -> &'static FashionMnist {
    static SET: OnceLock<FashionMnist> = OnceLock::new();
    SET.get_or_init(|| FashionMnist::load(real_dir()).unwrap())
}

/// An IDX file of unsigned bytes.
fn idx(dims: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(body);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Three pictures of a few grey values, and their labels.
fn three() -> (Vec<u8>, Vec<u8>) {
    let pixels: Vec<u8> = (0..3 * 784).map(|i| (i * i % 251) as u8).collect();
    (idx(&[3, 28, 28], &pixels), idx(&[3], &[9, 0, 5]))
}

/// A folder with a good set of three pictures, raw, for tests that then spoil one file.
fn small_set(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let (images, labels) = three();
    for half in ["train", "t10k"] {
        scratch.file(&format!("{half}-images-idx3-ubyte"), &images);
        scratch.file(&format!("{half}-labels-idx1-ubyte"), &labels);
    }
    scratch
}

fn read(path: &Path, kind: IdxKind) -> tapegrad::Result<Idx> {
    IdxReader::open(path, kind)?.read()
}

#[test]
fn the_real_set_is_whole() {
    let set = real();
    assert_eq!(set.name, DatasetName::FashionMnist);
    for (images, count) in [(&set.train, 60_000), (&set.test, 10_000)] {
        assert_eq!(images.len(), count);
        assert_eq!(images.pixels().len(), count * 784);
        let mut of_class = [0; 10];
        images.labels().iter().for_each(|&label| of_class[usize::from(label)] += 1);
        assert_eq!(of_class, [count / 10; 10], "Fashion-MNIST is balanced");
    }
    // The first training picture is an ankle boot; its upper left corner is background.
    assert_eq!(CLASSES[usize::from(set.train.label(0))], "Ankle boot");
    assert_eq!(set.train.image(0)[0], 0);
    // The figures that everyone normalises the training set with: mean 0.2860, standard deviation 0.3530.
    let n = set.train.pixels().len() as f64;
    let sum: f64 = set.train.pixels().iter().map(|&x| f64::from(x) / 255.0).sum();
    let squares: f64 = set.train.pixels().iter().map(|&x| (f64::from(x) / 255.0).powi(2)).sum();
    let mean = sum / n;
    assert!((mean - 0.2860).abs() < 5e-5, "mean {mean}");
    let deviation = (squares / n - mean * mean).sqrt();
    assert!((deviation - 0.3530).abs() < 5e-5, "standard deviation {deviation}");
}

/// The CRC-32 that `gzip -lv` prints for the test labels, found both ways: carried by gzip, computed for a raw file.
#[test]
fn gzipped_and_raw_read_the_same() {
    let zipped = read(&real_dir().join("t10k-labels-idx1-ubyte.gz"), IdxKind::Labels).unwrap();
    assert_eq!((zipped.crc32, &zipped.dims[..]), (0x8014_2c1f, &[10_000][..]));
    let scratch = Scratch::new("raw");
    let raw = scratch.file("labels", &idx(&[10_000], &zipped.bytes));
    assert_eq!(read(&raw, IdxKind::Labels).unwrap(), zipped);

    let (images, labels) = three();
    let set = small_set("sets");
    let from_raw = FashionMnist::load(set.dir()).unwrap();
    assert_eq!(from_raw.name, DatasetName::Other);
    assert_eq!(from_raw.name.to_string(), "not Fashion-MNIST (perhaps MNIST)");
    assert_eq!((from_raw.train.pixels(), from_raw.train.labels()), (&images[16..], &labels[8..]));
    assert_eq!(from_raw.test, from_raw.train);
    // Where both are there, the gzipped file is read: here it is another one.
    let other = idx(&[3], &[1, 1, 1]);
    set.file("t10k-labels-idx1-ubyte.gz", &gzip(&other));
    assert_eq!(FashionMnist::load(set.dir()).unwrap().test.labels(), [1, 1, 1]);
    // A gzip header with every optional field.
    let mut fields =
        GzBuilder::new().filename("a").comment("b").extra("c").write(vec![], Compression::best());
    fields.write_all(&other).unwrap();
    let fields = set.file("fields", &fields.finish().unwrap());
    assert_eq!(read(&fields, IdxKind::Labels).unwrap().bytes, [1, 1, 1]);
}

/// Bytes that are no good IDX file, and what the message must say.
#[test]
fn hostile_files_are_refused() {
    use IdxKind::{Images, Labels};
    let (images, labels) = three();
    let with = |bytes: &[u8], more: &[u8]| [bytes, more].concat();
    // A gzip file whose last four bytes claim another length.
    let claim = |mut bytes: Vec<u8>, length: u32| {
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    let zipped = gzip(&labels);
    let bomb = gzip(&idx(&[3], &vec![1; 8 << 20]));
    let greedy = gzip(&idx(&[80_000, 28, 28], &[0; 784]));
    let cases: &[(&str, IdxKind, Vec<u8>, &str)] = &[
        ("empty", Images, vec![], "an IDX image file (magic 0x00000803), found an empty file"),
        ("short", Images, vec![0, 0, 8], "an IDX image file (magic 0x00000803), found only 3 bytes"),
        ("header", Images, images[..11].to_vec(), "image file (magic 0x00000803), found only 11 bytes"),
        ("labels", Images, labels.clone(), "an IDX image file (magic 0x00000803), found magic 0x00000801"),
        ("images", Labels, images.clone(), "an IDX label file (magic 0x00000801), found magic 0x00000803"),
        ("floats", Labels, with(&[0, 0, 13, 1], &labels[4..]), "found magic 0x00000d01"),
        ("text", Labels, b"label\n1\n2\n".to_vec(), "found magic 0x6c616265"),
        (
            "overflow",
            Images,
            idx(&[u32::MAX; 3], &[0; 9]),
            "found one that promises 4294967295 x 4294967295 x",
        ),
        // 2^31 x 2^31 x 4 = 2^64, which is 0 to a careless multiplication.
        (
            "wrap",
            Images,
            idx(&[1 << 31, 1 << 31, 4], &[]),
            "found one that promises 2147483648 x 2147483648 x 4",
        ),
        (
            "huge",
            Images,
            idx(&[100_000, 28, 28], &[]),
            "at most 67108864 bytes, found one that promises 100000 x 28 x 28",
        ),
        (
            "short body",
            Images,
            images[..2000].to_vec(),
            "2368 bytes (16 of header, then 3 x 28 x 28), found 2000",
        ),
        ("long body", Labels, with(&labels, b"\n"), "11 bytes (8 of header, then 3), found 12 bytes"),
        ("tiny gzip", Labels, zipped[..12].to_vec(), "a whole file, found a gzip file of 12 bytes"),
        ("nothing zipped", Labels, gzip(&[]), "(magic 0x00000801), found only 0 bytes"),
        ("zipped twice", Labels, gzip(&zipped), "found magic 0x1f8b0800"),
        (
            "zipped short",
            Labels,
            gzip(&labels[..10]),
            "11 bytes decompressed (8 of header, then 3), found 10 bytes",
        ),
        (
            "zipped long",
            Labels,
            gzip(&with(&labels, b"\n")),
            "11 bytes decompressed (8 of header, then 3), found 12",
        ),
        ("trailing", Labels, with(&zipped, b"\n"), "(cut short, or followed by something?)"),
        (
            "two members",
            Labels,
            with(&zipped, &zipped),
            "a gzip file of one member, found a second member or other",
        ),
        (
            "lying short",
            Labels,
            claim(gzip(&idx(&[3], &[9, 0])), 11),
            "an undamaged gzip stream, found damage: corrupt gzip",
        ),
        ("bomb", Labels, bomb.clone(), "found 8388616 bytes by the last four"),
        (
            "lying bomb",
            Labels,
            claim(bomb, 11),
            "nothing after the 3 bytes that the header promises, found more",
        ),
        ("greedy", Images, claim(greedy, 62_720_016), "too small to hold that"),
    ];
    let scratch = Scratch::new("hostile");
    for (name, kind, bytes, wanted) in cases {
        let path = scratch.file(name, bytes);
        let found = message(read(&path, *kind), &path);
        assert!(found.contains(wanted), "{name}: {found:?} does not say {wanted:?}");
    }

    // A raw file really as long as its header promises, but over the limit. The file is sparse, it takes no room.
    let path = scratch.file("sparse", &idx(&[u32::MAX], &[]));
    File::options().write(true).open(&path).unwrap().set_len(8 + u64::from(u32::MAX)).unwrap();
    assert!(message(read(&path, Labels), &path).contains("promises 4294967295"));
}

/// Somebody writes to the file while it is read: after the header was found good.
#[test]
fn a_file_that_changes_is_refused() {
    let scratch = Scratch::new("changing");
    let bytes = idx(&[100, 28, 28], &[7; 78_400]);
    for (length, wanted) in [
        (70_016, "a whole file, found only 70000 of 78400 bytes"),
        (78_417, "nothing after the 78400 bytes that the header promises, found more bytes"),
    ] {
        let path = scratch.file("images", &bytes);
        let reader = IdxReader::open(&path, IdxKind::Images).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        assert_eq!(message(reader.read(), &path), wanted);
    }
}

/// Whatever is cut off or changed, the answer is an error that names the file, never a panic and never wrong data.
#[test]
fn damage_is_found_at_every_byte() {
    let scratch = Scratch::new("damage");
    let (images, _) = three();
    let zipped = gzip(&images);
    for (bytes, step) in [(&images, 97), (&zipped, 7)] {
        let good = read(&scratch.file("good", bytes), IdxKind::Images).unwrap();
        for length in (0..40).chain((40..bytes.len()).step_by(step)) {
            let path = scratch.file("cut", &bytes[..length]);
            message(read(&path, IdxKind::Images), &path);
        }
        // Behind its header a raw file has nothing that could be wrong: any byte is a pixel.
        let end = if bytes.starts_with(&[0x1f]) { bytes.len() } else { 16 };
        for at in 0..end {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let path = scratch.file("changed", &changed);
                match read(&path, IdxKind::Images) {
                    // Bytes 3 to 9 of gzip hold "is text", the time and the system of its making. The last byte before
                    // the trailer has unused bits.
                    Ok(idx) => {
                        let no_matter = (3..10).contains(&at) || at == bytes.len() - 9;
                        assert!(idx == good && no_matter, "byte {at} ^ {flip:#x}");
                    }
                    Err(error) => {
                        message(Err::<(), _>(error), &path);
                    }
                }
            }
        }
    }
}

#[test]
fn a_set_that_does_not_fit_together_is_refused() {
    let spoil = |name: &str, bytes: &[u8], wanted: &str| {
        let set = small_set(&format!("set-{}", wanted.len()));
        let path = set.file(name, bytes);
        let found = message(FashionMnist::load(set.dir()), &path);
        assert_eq!(found, wanted);
    };
    spoil("t10k-labels-idx1-ubyte", &idx(&[2], &[1, 2]), "3 labels, one for each image, found 2 labels");
    spoil(
        "train-labels-idx1-ubyte",
        &idx(&[3], &[9, 10, 0]),
        "labels from 0 to 9, found 10 for picture 1, counted from 0",
    );
    spoil(
        "t10k-images-idx3-ubyte",
        &idx(&[3, 28, 27], &[0; 3 * 28 * 27]),
        "images of 28 x 28, found images of 28 x 27",
    );
    spoil(
        "t10k-images-idx3-ubyte",
        &idx(&[0, 28, 28], &[]),
        "one or more entries, found a header that promises none",
    );

    // The first in order is named, however the threads race.
    let set = small_set("two-bad");
    set.file("t10k-labels-idx1-ubyte", b"");
    let path = set.file("train-labels-idx1-ubyte", b"");
    message(FashionMnist::load(set.dir()), &path);

    let set = small_set("missing");
    fs::remove_file(set.dir().join("t10k-images-idx3-ubyte")).unwrap();
    let found = message(FashionMnist::load(set.dir()), set.dir());
    assert_eq!(found, "t10k-images-idx3-ubyte.gz or t10k-images-idx3-ubyte in it, found neither");
    let folder = set.dir().join("t10k-images-idx3-ubyte.gz");
    fs::create_dir(&folder).unwrap();
    let found = message(FashionMnist::load(set.dir()), &folder);
    assert_eq!(found, "an IDX image file (magic 0x00000803), found a folder");

    let nowhere = set.dir().join("nowhere");
    let found = message(FashionMnist::load(&nowhere), &nowhere);
    assert!(found.starts_with("a folder with IDX files, found: "), "{found}");
    let file = set.dir().join("train-images-idx3-ubyte");
    assert_eq!(message(FashionMnist::load(&file), &file), "a folder with IDX files, found a file");
}

#[test]
fn pictures_from_memory_are_checked_too() {
    let error =
        |pixels: usize, labels: &[u8]| Images::new(vec![0; pixels], labels.to_vec()).unwrap_err().to_string();
    assert_eq!(
        error(0, &[]),
        "pixels: expected one picture or more, each of 28 x 28 = 784 bytes, found 0 bytes"
    );
    assert_eq!(
        error(785, &[1]),
        "pixels: expected one picture or more, each of 28 x 28 = 784 bytes, found 785 bytes"
    );
    assert_eq!(error(784, &[1, 2]), "labels: expected 1 labels, one for each picture, found 2");
    assert_eq!(
        error(784, &[255]),
        "labels: expected labels from 0 to 9, found 255 for picture 0, counted from 0"
    );
}

/// The expected orders come from this Python, written from the papers and not from the Rust:
/// ```python
/// def mix(z):
///     z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 % 2**64
///     z = (z ^ z >> 27) * 0x94d049bb133111eb % 2**64
///     return z ^ z >> 31
/// STEP = 0x9e3779b97f4a7c15
/// def permutation(n, seed, epoch):
///     state = mix(((mix((seed + STEP) % 2**64) ^ epoch) + STEP) % 2**64)
///     order = list(range(n))
///     for last in range(n - 1, 0, -1):
///         bound = last + 1
///         while True:
///             state = (state + STEP) % 2**64
///             pick, low = divmod((mix(state) >> 32) * bound, 2**32)
///             if low >= 2**32 % bound: break
///         order[last], order[pick] = order[pick], order[last]
///     return order
/// print(permutation(10, 0, 0), permutation(10, 42, 3), permutation(10, 2**64 - 1, 2**63))
/// big = permutation(60000, 1, 1)
/// print(big[:4], big[-4:], sum((i + 1) * x for i, x in enumerate(big)))
/// ```
#[test]
fn the_order_of_an_epoch_is_fixed_for_all_time() {
    assert_eq!(permutation(10, 0, 0), [4, 7, 0, 5, 9, 3, 6, 2, 8, 1]);
    assert_eq!(permutation(10, 42, 3), [6, 2, 0, 7, 8, 3, 9, 5, 4, 1]);
    assert_eq!(permutation(10, u64::MAX, 1 << 63), [6, 7, 2, 4, 9, 1, 0, 3, 5, 8]);
    let big = permutation(60_000, 1, 1);
    assert_eq!(
        (&big[..4], &big[59_996..]),
        (&[38_022, 24_219, 45_937, 23_587][..], &[44_594, 56_286, 36_561, 20_497][..])
    );
    let weighted: u64 = (1..).zip(&big).map(|(i, &x)| i * u64::from(x)).sum();
    assert_eq!(weighted, 54_024_701_972_174);
}

#[test]
fn the_order_is_a_permutation_and_differs_between_epochs_and_seeds() {
    let mut seen = Vec::new();
    for (seed, epoch) in [(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (u64::MAX, 0)] {
        let order = permutation(1000, seed, epoch);
        assert_eq!(order, permutation(1000, seed, epoch));
        let mut sorted = order.clone();
        sorted.sort();
        assert!(sorted.iter().copied().eq(0..1000));
        assert!(!seen.contains(&order), "seed {seed} epoch {epoch} is a repetition");
        seen.push(order);
    }
    // Each of the six orders of three comes up about equally often: 1000 expected, standard deviation 29.
    let mut counts = std::collections::HashMap::new();
    (0..6000).for_each(|epoch| *counts.entry(permutation(3, 5, epoch)).or_insert(0_u32) += 1);
    assert!(counts.len() == 6 && counts.values().all(|count| count.abs_diff(1000) < 145), "{counts:?}");
}

#[test]
fn batches_deal_every_picture_once() {
    let set = real();
    let batches = Batches::shuffled(&set.train, 256, 7, 3);
    assert_eq!((batches.len(), batches.iter().len()), (235, 235));
    assert_eq!(batches.batch(234).len(), 60_000 - 234 * 256);
    let order: Vec<u32> = batches.iter().flat_map(|batch| batch.indices().to_vec()).collect();
    assert_eq!(order, permutation(60_000, 7, 3));

    // A batch holds the pictures and the labels of its indices, divided by 255 as torchvision's `ToTensor` does it.
    let batch = batches.batch(234);
    let (pixels, mut labels) = (batch.pixels().to_vec(), vec![99_usize; 96]);
    batch.copy_labels(&mut labels);
    assert!(batch.labels().map(usize::from).eq(labels.iter().copied()));
    for (i, &index) in batch.indices().iter().enumerate() {
        assert_eq!(labels[i], usize::from(set.train.label(index as usize)));
        let bytes = set.train.image(index as usize);
        // A division in f64, then rounded, is the nearest f32, as one division in f32 must be.
        let wanted = bytes.iter().map(|&byte| (f64::from(byte) / 255.0) as f32);
        assert!(wanted.eq(pixels[i * 784..][..784].iter().copied()), "picture {index}");
    }

    let batches = Batches::in_order(&set.test, 4096);
    let indices: Vec<u32> = batches.iter().flat_map(|batch| batch.indices().to_vec()).collect();
    assert!(indices.into_iter().eq(0..10_000));
    assert_eq!(Batches::in_order(&set.test, usize::MAX).batch(0).len(), 10_000);
}
