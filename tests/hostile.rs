//! What a file costs that lies: every one is refused in one line, and while that happens less than 256 MB are held. Alone
//! in its binary: it counts in the allocator. What the messages say is in `data.rs`, `png.rs` and `image.rs`.

mod peak_memory;
mod png_parts;
mod scratch;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use peak_memory::{alone, measure_peak};
use png_parts::{GRAY, RGB, SIGNATURE, chunk, file, header, picture, zlib};
use scratch::{Scratch, message};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tapegrad::data::FashionMnist;
use tapegrad::data::idx::{IdxKind, IdxReader};
use tapegrad::image::{self, pgm, png};

const MIB: usize = 1 << 20;

/// The most that refusing anything may hold.
const LIMIT: usize = 256_000_000;

/// What all readers have in common: from a path, something or an error.
type Reader = fn(&Path) -> tapegrad::Result<()>;

fn labels(path: &Path) -> tapegrad::Result<()> {
    IdxReader::open(path, IdxKind::Labels)?.read().map(drop)
}

fn images(path: &Path) -> tapegrad::Result<()> {
    IdxReader::open(path, IdxKind::Images)?.read().map(drop)
}

fn a_picture(path: &Path) -> tapegrad::Result<()> {
    image::read(path).map(drop)
}

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

/// The header, then so many MiB of zeros, as a deflate stream that does not end. A full flush ends a block at a whole
/// byte and forgets what was before, so one compressed MiB may be repeated.
fn endless(header: &[u8], mib: usize) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut part = |bytes: &[u8]| {
        let mut packed = Vec::with_capacity(4096);
        deflate.compress_vec(bytes, &mut packed, FlushCompress::Full).unwrap();
        packed
    };
    [part(header), part(&vec![0; MIB]).repeat(mib)].concat()
}

/// A gzip file of such a stream, whose trailer claims a length.
fn gzip_bomb(header: &[u8], mib: usize, claim: usize) -> Vec<u8> {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff";
    [&gzip[..], &endless(header, mib), &[1, 0, 0, 0xff, 0xff], &[0; 4], &(claim as u32).to_le_bytes()]
        .concat()
}

/// A PNG file of such a stream, one row at least.
fn png_bomb(width: u32, height: u32, mib: usize) -> Vec<u8> {
    let stream = [&[0x78, 0x01][..], &endless(&[], mib), &[1, 0, 0, 0xff, 0xff], &[0; 4]].concat();
    file(&[("IHDR", &header(width, height, GRAY)), ("IDAT", &stream), ("IEND", &[])])
}

/// Bytes, then zeros that take no room on the disk, then bytes.
fn sparse(scratch: &Scratch, name: &str, start: &[u8], length: u64, end: &[u8]) -> PathBuf {
    let path = scratch.file(name, start);
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length).unwrap();
    file.seek(SeekFrom::End(-(end.len() as i64))).unwrap();
    file.write_all(end).unwrap();
    path
}

/// Refused, in one line, and holding less than `most` bytes. Returns what the line says after the path.
fn refused(name: &str, path: &Path, read: Reader, most: usize) -> String {
    let mut found = String::new();
    let peak = measure_peak(|| found = message(read(path), path));
    assert!(peak < most, "{name}: {peak} bytes, more than {most}: {found}");
    found
}

/// A promise alone takes nothing, and a bomb no more than what it may promise.
#[test]
fn memory_is_taken_only_as_it_is_earned() {
    let _alone = alone();
    let scratch = Scratch::new("earned");
    let most_labels = (64 * MIB - 8) as u32;
    let small = gzip(&idx(&[3], &[0; 3]));
    let long_name =
        [&b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff"[..], &vec![b'a'; 8 * MIB], &small[10..]].concat();
    let gray = header(4096, 4096, GRAY);
    let end = ("IEND", &[][..]);
    let crumbs =
        [SIGNATURE, &chunk("IHDR", &gray), &chunk("IDAT", b"").repeat(MIB / 2), &chunk("IEND", b"")].concat();
    let text = file(&[("IHDR", &gray), ("zTXt", &vec![0; 8 * MIB]), ("IDAT", &zlib(&[0; 9])), end]);
    // A thousand rows of a picture that should have four thousand.
    let begun = zlib(&vec![0; 1000 * 4097]);
    let begun = file(&[("IHDR", &gray), ("IDAT", &[&begun[..], &[0; 20_000]].concat()), end]);
    let wide = picture(65_535, 500, RGB, &[0; 4 * 196_606]);
    let cases: Vec<(&str, Vec<u8>, Reader, usize, &str)> = vec![
        ("IDX: promise", idx(&[85_000, 28, 28], &[]), images, MIB, "66640016 bytes (16 of header"),
        ("IDX: promise of too much", idx(&[u32::MAX; 3], &[]), images, MIB, "at most 67108864 bytes"),
        ("gzip: promise", gzip(&idx(&[85_000, 28, 28], &[])), images, MIB, "66640016 bytes decompressed"),
        (
            "gzip: promise, and the trailer lies",
            gzip_bomb(&idx(&[most_labels], &[]), 63, 64 * MIB),
            labels,
            LIMIT,
            "an undamaged gzip stream, found damage: corrupt gzip",
        ),
        (
            "gzip: gigabytes after a small promise",
            gzip_bomb(&idx(&[3], &[]), 4096, 11),
            labels,
            MIB,
            "nothing after the 3 bytes that the header promises, found more bytes",
        ),
        (
            "gzip: gigabytes after a large promise",
            gzip_bomb(&idx(&[most_labels], &[]), 4096, 64 * MIB),
            labels,
            LIMIT,
            "nothing after the 67108856 bytes that the header promises, found more bytes",
        ),
        (
            "gzip: little, stretched to what would be large enough",
            [&gzip(&idx(&[most_labels], &[1; 100]))[..], &vec![0; MIB], &(64_u32 << 20).to_le_bytes()]
                .concat(),
            labels,
            4 * MIB,
            "a whole file, found only 100 of 67108856 bytes",
        ),
        ("gzip: a name without end", long_name, labels, MIB, "an undamaged gzip stream, found damage"),
        ("PNG: promise", picture(8192, 4096, GRAY, &[0; 9]), a_picture, MIB, "too few to hold that"),
        (
            "PNG: promise of too much",
            picture(65_535, 65_535, GRAY, &[0; 9]),
            a_picture,
            MIB,
            "at most 33554432",
        ),
        (
            "PNG: gigabytes after one pixel",
            png_bomb(1, 1, 4096),
            a_picture,
            24 * MIB,
            "1 rows in IDAT, found more",
        ),
        (
            "PNG: gigabytes after many",
            png_bomb(8191, 4096, 4096),
            a_picture,
            LIMIT,
            "4096 rows in IDAT, found more",
        ),
        ("PNG: crumbs", crumbs, a_picture, 24 * MIB, "4096 x 4096 pixels, found only 0"),
        (
            "PNG: a text that unpacks to gigabytes",
            text,
            a_picture,
            24 * MIB,
            "4096 x 4096 pixels, found only",
        ),
        ("PNG: begun", begun, a_picture, 12 * MIB, "4096 rows in IDAT, found an end in row 1000"),
        ("PNG: wide", wide, a_picture, 2 * MIB, "too few to hold that"),
        (
            "PGM: promise",
            b"P5 8192 4096 255\n\x00".to_vec(),
            a_picture,
            MIB,
            "33554432 bytes for 8192 x 4096",
        ),
        (
            "PGM: promise in text",
            b"P2 8192 4096 255\n0".to_vec(),
            a_picture,
            MIB,
            "8192 x 4096 pixels, found only",
        ),
        (
            "PGM: digits",
            [b"P2 ", &vec![b'9'; MIB][..]].concat(),
            a_picture,
            2 * MIB,
            "a number of 1048576 digits",
        ),
        ("PGM: comments", b"P2#".repeat(MIB), a_picture, 4 * MIB, "the width from 1 to 65535, found the end"),
    ];
    for (name, bytes, read, most, wanted) in cases {
        let path = scratch.file("bad", &bytes);
        drop(bytes);
        let found = refused(name, &path, read, most);
        assert!(found.contains(wanted), "{name}: {found:?} does not say {wanted:?}");
    }
}

/// The largest files that are read at all, each wrong only at its end.
#[test]
fn the_largest_files_are_refused_within_the_limit() {
    let _alone = alone();
    let scratch = Scratch::new("largest");
    let long = 96 * MIB as u64;
    for (name, path, read, wanted) in [
        (
            "PGM: one byte too many",
            sparse(&scratch, "1", b"P5 1 1 1\n", long + 1, b""),
            a_picture as Reader,
            "a picture (PGM or PNG) of at most 100663296 bytes, found 100663297 bytes",
        ),
        (
            "PGM: the last pixel is wrong",
            sparse(&scratch, "2", b"P5 8192 4096 257\n", 17 + (64 << 20), b"\xff\xff"),
            a_picture,
            "pixels from 0 to 257, found 65535",
        ),
        (
            "PNG: nothing but zeros",
            sparse(&scratch, "3", SIGNATURE, long, b""),
            a_picture,
            "four letters at byte 12",
        ),
        (
            "IDX: sparse",
            sparse(&scratch, "4", &idx(&[u32::MAX], &[]), 8 + u64::from(u32::MAX), b""),
            labels,
            "at most 67108864 bytes, found one that promises 4294967295",
        ),
    ] {
        let found = refused(name, &path, read, LIMIT);
        assert!(found.contains(wanted), "{name}: {found:?} does not say {wanted:?}");
    }

    // Pixels as text: two bytes each, and the last is missing.
    let mut text = b"P2 8192 4096 9\n".to_vec();
    text.resize(text.len() + (64 << 20), b' ');
    text[16..].iter_mut().step_by(2).for_each(|byte| *byte = b'1');
    *text.last_mut().unwrap() = b'x';
    let path = scratch.file("text", &text);
    drop(text);
    let found = refused("PGM: text", &path, a_picture, LIMIT);
    assert!(found.contains("a pixel from 0 to 9, found 'x'"), "{found}");

    // Rows as long as may be, in a file as long as may be; what is left of it is a text.
    let mut rows = chunk("IHDR", &header(65_535, 512, RGB));
    let stream = [&[0x78, 0x01][..], &endless(&[], 95)].concat();
    rows.extend(chunk("IDAT", &stream));
    rows.extend(chunk("tEXt", &vec![0; 96 * MIB - 8 - rows.len() - 24]));
    rows.extend(chunk("IEND", b""));
    let path = scratch.file("rows", &[SIGNATURE, &rows].concat());
    drop(rows);
    let found = refused("PNG: a row is missing", &path, a_picture, LIMIT);
    assert!(found.contains("a whole zlib stream in IDAT, found one that is cut short"), "{found}");
}

/// Four bombs at once, since the four files are read at the same time.
#[test]
fn a_set_of_bombs_is_refused_within_the_limit() {
    let _alone = alone();
    let scratch = Scratch::new("bombs");
    let images = gzip_bomb(&idx(&[85_000, 28, 28], &[]), 4096, 16 + 85_000 * 784);
    let labels = gzip_bomb(&idx(&[85_000], &[]), 4096, 8 + 85_000);
    for half in ["train", "t10k"] {
        scratch.file(&format!("{half}-images-idx3-ubyte.gz"), &images);
        scratch.file(&format!("{half}-labels-idx1-ubyte.gz"), &labels);
    }
    drop((images, labels));
    let first = scratch.dir().join("train-images-idx3-ubyte.gz");
    let mut found = String::new();
    let peak = measure_peak(|| found = message(FashionMnist::load(scratch.dir()), &first));
    assert_eq!(found, "nothing after the 66640000 bytes that the header promises, found more bytes");
    assert!(peak < LIMIT, "{peak} bytes");

    // As many labels as pictures would be bytes: refused by the headers, before any body.
    let path = scratch.dir().join("t10k-labels-idx1-ubyte.gz");
    File::create(&path).unwrap().write_all(&gzip_bomb(&idx(&[60 << 20], &[]), 4096, 8 + (60 << 20))).unwrap();
    let peak = measure_peak(|| found = message(FashionMnist::load(scratch.dir()), &path));
    assert_eq!(found, "85000 labels, one for each image, found 62914560 labels");
    assert!(peak < MIB, "{peak} bytes");
}

/// A small file, cut off at every byte and with every byte changed into every other: an answer for each, never a panic.
struct Damage<'a> {
    good: &'a [u8],
    decode: &'a dyn Fn(&[u8]) -> tapegrad::Result<()>,
    /// At which lengths it may be cut off and still be a file of its kind.
    may_end_at: &'a dyn Fn(usize) -> bool,
    /// Which bytes may be others.
    may_change: &'a dyn Fn(usize) -> bool,
}

impl Damage<'_> {
    fn check(&self, name: &str) {
        (self.decode)(self.good).unwrap();
        let may = |bytes: &[u8], allowed: bool, what: &dyn Fn() -> String| match (self.decode)(bytes) {
            Ok(()) => assert!(allowed, "{name}: read in spite of {}", what()),
            Err(error) => {
                let line = error.to_string();
                assert!(!line.contains(['\n', '\r']), "{name}: more than one line: {line:?}");
                assert!(line.contains(": expected ") && line.contains(", found"), "{name}: {line:?}");
            }
        };
        for length in 0..self.good.len() {
            let allowed = (self.may_end_at)(length);
            may(&self.good[..length], allowed, &|| format!("its end at {length}"));
        }
        let mut changed = self.good.to_vec();
        for at in 0..changed.len() {
            let allowed = (self.may_change)(at);
            for byte in (0..=255).filter(|&byte| byte != self.good[at]) {
                changed[at] = byte;
                may(&changed, allowed, &|| format!("byte {at}, {byte:#04x}"));
            }
            changed[at] = self.good[at];
        }
        changed.push(0);
        may(&changed, false, &|| "a byte too many".to_string());
    }
}

#[test]
fn every_byte_is_cut_off_and_changed() {
    let _alone = alone();
    let scratch = Scratch::new("every-byte");
    let never = |_| false;
    let peak = measure_peak(|| {
        // Every byte of a PNG file is under a checksum or is one.
        let rgb = header(2, 2, RGB);
        let good = file(&[("IHDR", &rgb), ("tEXt", b"a\0b"), ("IDAT", &zlib(&[4; 14])), ("IEND", b"")]);
        let decode = |bytes: &[u8]| png::decode(bytes).map(drop);
        Damage { good: &good, decode: &decode, may_end_at: &never, may_change: &never }.check("PNG");

        // PGM has no checksum, so all that is sure of a changed one is that the pixels are as many as the header says.
        let decode = |bytes: &[u8]| {
            let image = pgm::decode(bytes)?;
            assert_eq!(image.pixels().len(), image.width() * image.height());
            assert!(image.pixels().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
            Ok(())
        };
        let good = b"P5\n2 2\n300\n\0\x01\0\x02\0\x03\x01\0";
        Damage { good, decode: &decode, may_end_at: &never, may_change: &|at| at > 0 }.check("PGM, P5");
        // The last number may lose digits.
        let good = b"P2\n3 2 #c\n65535\n0 1 2\n3 4 50000";
        let in_last = |length| length > good.len() - 5;
        Damage { good, decode: &decode, may_end_at: &in_last, may_change: &|at| at > 0 }.check("PGM, P2");

        // Any label is one to this reader; which there are, the data set knows.
        let path = scratch.file("labels", &[]);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let read = |bytes: &[u8]| {
            // Written over, not made anew ten thousand times: some file systems go to the disk for each new one.
            (&file).seek(SeekFrom::Start(0)).unwrap();
            (&file).write_all(bytes).unwrap();
            file.set_len(bytes.len() as u64).unwrap();
            labels(&path)
        };
        let raw = idx(&[3], &[9, 0, 5]);
        Damage { good: &raw, decode: &read, may_end_at: &never, may_change: &|at| at >= 8 }.check("IDX");
        // Of gzip only "is text", the time and the system of its making, and the unused bits of the last byte.
        let good = gzip(&raw);
        let unused = |at| (3..10).contains(&at) || at == good.len() - 9;
        Damage { good: &good, decode: &read, may_end_at: &never, may_change: &unused }.check("gzip");
    });
    assert!(peak < MIB, "{peak} bytes");
}
