//! PNG in and out: what Pillow wrote and read, what the crate wrote, and what is refused.

mod oracle;
mod png_parts;
mod scratch;

use oracle::golden::Golden;
use png_parts::{GRAY, RGB, SIGNATURE, chunk, file, header, picture, zlib};
use scratch::{Scratch, message};
use tapegrad::image::{self, GrayImage, png};

/// The bytes of a golden tensor.
fn bytes(golden: &Golden, name: &str) -> Vec<u8> {
    golden.integers(name).into_iter().map(|byte| u8::try_from(byte).unwrap()).collect()
}

fn size_and_bytes(image: &GrayImage) -> (usize, usize, Vec<u8>) {
    (image.width(), image.height(), image.to_bytes())
}

/// Every filter in grey and in RGB, stored and compressed, with chunks that are skipped; luma to the bit.
#[test]
fn png_reads_what_pillow_reads() {
    let golden = Golden::read("pictures.txt");
    for case in golden.cases("png") {
        let pixels = format!("{case}.pixels");
        let [height, width] = *golden.shape(&pixels) else { panic!("{pixels} has two axes") };
        let image = png::decode(&bytes(&golden, &format!("{case}.file"))).unwrap();
        assert_eq!(size_and_bytes(&image), (width, height, bytes(&golden, &pixels)), "{case}");
        // Bytes become numbers as torchvision's `ToTensor` makes them.
        assert!(image.pixels().iter().zip(image.to_bytes()).all(|(&x, byte)| x == f32::from(byte) / 255.0));
    }
}

/// How the chunks are cut is no matter: the same picture from one piece, from single bytes and with empty pieces.
#[test]
fn the_pixels_may_lie_in_any_number_of_chunks() {
    let golden = Golden::read("pictures.txt");
    for case in ["png.RGB_noise", "png.L_flat"] {
        let whole = bytes(&golden, &format!("{case}.file"));
        let stream = whole.windows(4).position(|name| name == b"IDAT").unwrap() + 4;
        let before = stream - 8;
        let end = whole.len() - 12 - 4;
        for step in [1, 2, 7, 1000] {
            let mut pieces = whole[..before].to_vec();
            pieces.extend(chunk("IDAT", &[]));
            for piece in whole[stream..end].chunks(step) {
                pieces.extend(chunk("IDAT", piece));
                pieces.extend(chunk("IDAT", &[]));
            }
            // Chunks of other programs, after the pixels; the last one's third letter is reserved for later.
            pieces.extend(chunk("tIME", &[7; 7]));
            pieces.extend(chunk("zzzz", b"IDAT"));
            pieces.extend(&whole[whole.len() - 12..]);
            assert_eq!(png::decode(&pieces).unwrap(), png::decode(&whole).unwrap(), "{case} by {step}");
        }
    }
    // A palette in an RGB file is only a hint.
    let rgb = header(1, 1, RGB);
    let hint = [("IHDR", &rgb[..]), ("PLTE", &[1, 2, 3]), ("IDAT", &zlib(&[0, 9, 9, 9])), ("IEND", &[])];
    assert_eq!(png::decode(&file(&hint)).unwrap().to_bytes(), [9]);
}

/// Some programs write a zlib header that declares a smaller window than the matches need. Browsers read that; so do we.
#[test]
fn a_match_may_be_farther_back_than_the_declared_window() {
    // Filter 0, then 256 pixels that do not repeat.
    let row: Vec<u8> = (0..257).map(|i| (i * i / 3) as u8).collect();
    let mut stream = zlib(&row.repeat(2));
    assert!(stream.len() < 2 * row.len() - 100, "the second row is no match");
    // Deflate with a window of 256 bytes, and what makes that divisible by 31.
    stream[..2].copy_from_slice(&[0x08, 0x1d]);
    let image =
        png::decode(&file(&[("IHDR", &header(256, 2, GRAY)), ("IDAT", &stream), ("IEND", &[])])).unwrap();
    assert_eq!(image.to_bytes(), row[1..].repeat(2));
}

/// The reader is held against Pillow above, so here it may hold the writer.
#[test]
fn png_holds_every_pixel() {
    let scratch = Scratch::new("png-round");
    let path = scratch.dir().join("picture.png");
    for (width, height) in [(1, 1), (28, 28), (300, 5)] {
        let bytes: Vec<u8> = (0..width * height).map(|i| (i * 7 % 256) as u8).collect();
        png::write(&path, &GrayImage::from_bytes(width, height, &bytes), 1).unwrap();
        assert_eq!(size_and_bytes(&png::read(&path).unwrap()), (width, height, bytes));
    }
    // Enlarged: the pixel at (x, y) is the old one at (x / 3, y / 3).
    let small: Vec<u8> = (0..20).map(|i| i * 7).collect();
    let enlarged = png::decode(&png::encode(&GrayImage::from_bytes(5, 4, &small), 3).unwrap()).unwrap();
    assert_eq!((enlarged.width(), enlarged.height()), (15, 12));
    for (i, pixel) in enlarged.to_bytes().into_iter().enumerate() {
        let (x, y) = (i % 15 / 3, i / 15 / 3);
        assert_eq!(usize::from(pixel), (y * 5 + x) * 7, "at {i}");
    }
    // Out of range, rounding, NaN.
    let odd = vec![-1.0, 2.0, 0.5, 0.1, f32::NAN, f32::INFINITY];
    let odd = png::decode(&png::encode(&GrayImage::new(3, 2, odd), 1).unwrap()).unwrap();
    assert_eq!(odd.to_bytes(), [0, 255, 128, 26, 0, 255]);

    for scale in [0, 1 << 20, usize::MAX] {
        let error = png::encode(&GrayImage::new(28, 28, vec![0.0; 784]), scale).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("scale: expected 1 or more, and at most 268435456 pixels from 28 x 28, found {scale}")
        );
    }
}

#[test]
fn a_picture_is_known_by_its_content() {
    let scratch = Scratch::new("either");
    let png = scratch.file("a.pgm", &picture(2, 1, GRAY, &[0, 0, 255]));
    let pgm = scratch.file("b.png", b"P5 2 1 255\n\x00\xff");
    let text = scratch.file("c.png", b"P2 2 1 7  0 7");
    for path in [&png, &pgm, &text] {
        assert_eq!(image::read(path).unwrap(), GrayImage::new(2, 1, vec![0.0, 1.0]));
    }
    for (bytes, wanted) in [
        (&b""[..], "a picture (PGM or PNG), found an empty file"),
        (b"P", "a picture (PGM or PNG), found something else"),
        (b"P6 1 1 255 abc", "a picture (PGM or PNG), found a PPM picture (colour)"),
        (b"P1 1 1 0", "a picture (PGM or PNG), found a PBM picture (black and white)"),
        (b"\xff\xd8\xff\xe0", "a picture (PGM or PNG), found a JPEG picture"),
        (b"GIF89a", "a picture (PGM or PNG), found a GIF picture"),
        (b"RIFF\x00\x00\x00\x00WEBP", "a picture (PGM or PNG), found a WebP picture"),
        (b"BM", "a picture (PGM or PNG), found a BMP picture"),
        (b"\x89PNG\n\x1a\n", "a PNG picture, found one whose signature is damaged"),
        (b"P5", "the width from 1 to 65535, found the end of the file"),
    ] {
        let path = scratch.file("bad", bytes);
        assert_eq!(message(image::read(&path), &path), wanted);
    }
    message(image::read(scratch.dir()), scratch.dir());
    assert_eq!(message(png::read(&pgm), &pgm), "a PNG picture, found a PGM picture");
    let refused = |result: tapegrad::Result<GrayImage>| result.unwrap_err().to_string();
    assert_eq!(
        refused(image::pgm::decode(SIGNATURE)),
        "PGM: expected a PGM picture (starts with P2 or P5), found a PNG picture"
    );
    assert_eq!(refused(png::decode(b"P5")), "PNG: expected a PNG picture, found a PGM picture");
}

/// Kinds of picture that other programs write, each refused with its name.
#[test]
fn other_kinds_of_png_are_refused() {
    for (rest, wanted) in [
        ([8, 3, 0, 0, 0], "8-bit grey or 8-bit RGB, found 8-bit palette"),
        ([4, 3, 0, 0, 0], "8-bit grey or 8-bit RGB, found 4-bit palette"),
        ([8, 4, 0, 0, 0], "8-bit grey or 8-bit RGB, found 8-bit grey with alpha"),
        ([8, 6, 0, 0, 0], "8-bit grey or 8-bit RGB, found 8-bit RGB with alpha"),
        ([16, 0, 0, 0, 0], "8-bit grey or 8-bit RGB, found 16-bit grey"),
        ([16, 2, 0, 0, 0], "8-bit grey or 8-bit RGB, found 16-bit RGB"),
        ([1, 0, 0, 0, 0], "8-bit grey or 8-bit RGB, found 1-bit grey"),
        ([2, 0, 0, 0, 0], "8-bit grey or 8-bit RGB, found 2-bit grey"),
        ([4, 0, 0, 0, 0], "8-bit grey or 8-bit RGB, found 4-bit grey"),
        ([8, 5, 0, 0, 0], "8-bit grey or 8-bit RGB, found 8-bit colour type 5"),
        (
            [8, 0, 1, 0, 0],
            "compression method 0, filter method 0, found compression method 1, filter method 0",
        ),
        (
            [8, 0, 0, 64, 0],
            "compression method 0, filter method 0, found compression method 0, filter method 64",
        ),
        ([8, 2, 0, 0, 1], "a picture that is not interlaced, found an interlaced one (Adam7)"),
        ([8, 2, 0, 0, 2], "a picture that is not interlaced, found interlace method 2"),
    ] {
        let error = png::decode(&picture(1, 1, rest, &[0; 9])).unwrap_err().to_string();
        assert_eq!(error, format!("PNG: expected {wanted}"));
    }
}

/// Bytes that are no good PNG file, and what the message must say.
#[test]
fn hostile_png_is_refused() {
    let gray = header(2, 2, GRAY);
    let rows = [0, 1, 2, 0, 3, 4];
    let stream = zlib(&rows);
    let (start, end) = (("IHDR", &gray[..]), ("IEND", &[][..]));
    let pixels = ("IDAT", &stream[..]);
    let good = file(&[start, pixels, end]);
    assert_eq!(png::decode(&good).unwrap().to_bytes(), [1, 2, 3, 4]);

    let with = |zlib: &[u8]| file(&[start, ("IDAT", zlib), end]);
    let sized = |width, height| picture(width, height, GRAY, &rows);
    let mut adler = stream.clone();
    *adler.last_mut().unwrap() ^= 1;
    let mut crc = good.clone();
    *crc.last_mut().unwrap() ^= 1;
    let long = [&good[..8], &u32::MAX.to_be_bytes(), b"IHDR", &gray[..]].concat();
    let second = zlib(&[0]);
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("signature only", SIGNATURE.to_vec(), "the chunk IHDR, found the end of the file"),
        ("no IHDR", file(&[pixels, end]), "the chunk IHDR first, found IDAT"),
        ("text first", file(&[("tEXt", b"a\0b"), start, pixels, end]), "the chunk IHDR first, found tEXt"),
        ("short IHDR", file(&[("IHDR", &gray[..12]), pixels, end]), "13 bytes in the chunk IHDR, found 12"),
        ("long IHDR", file(&[("IHDR", &[&gray[..], &[0]].concat()), pixels, end]), "chunk IHDR, found 14"),
        ("two IHDR", file(&[start, start, pixels, end]), "one IHDR, then IDAT and IEND, and chunks that"),
        ("no width", sized(0, 2), "1 to 65535 pixels on a side, found 0 x 2"),
        ("no height", sized(2, 0), "1 to 65535 pixels on a side, found 2 x 0"),
        ("wide", sized(65_536, 1), "1 to 65535 pixels on a side, found 65536 x 1"),
        ("huge", sized(u32::MAX, u32::MAX), "pixels on a side, found 4294967295 x 4294967295"),
        ("large", sized(65_535, 65_535), "at most 33554432 pixels, found 65535 x 65535"),
        (
            "greedy",
            sized(5000, 5000),
            "compressed bytes for 5000 x 5000 pixels, found only 14, too few to hold",
        ),
        ("no IDAT", file(&[start, end]), "a chunk IDAT, found none"),
        ("no IEND", file(&[start, pixels]), "the chunk IEND, found the end of the file"),
        ("full IEND", file(&[start, pixels, ("IEND", b"x")]), "nothing in the chunk IEND, found 1 bytes"),
        ("trailing", [&good[..], b"\n"].concat(), "nothing after the chunk IEND, found 1 bytes"),
        ("two pictures", [&good[..], &good].concat(), "nothing after the chunk IEND, found 71 bytes"),
        ("critical", file(&[start, ("CgBI", &[]), pixels, end]), "chunks that may be skipped, found CgBI"),
        ("grey palette", file(&[start, ("PLTE", &[1, 2, 3]), pixels, end]), "may be skipped, found PLTE"),
        (
            "apart",
            file(&[start, pixels, ("tIME", &[]), pixels, end]),
            "all chunks IDAT in a row, found one after tIME",
        ),
        ("name", file(&[start, ("ID\0T", &stream), end]), "four letters at byte 37, found [49, 44, 00, 54]"),
        ("too long", long, "4294967295 bytes and a CRC-32 in the chunk IHDR, found only 13 bytes"),
        ("cut name", good[..good.len() - 5].to_vec(), "a chunk's length and name, found only 7 bytes"),
        (
            "cut CRC",
            good[..good.len() - 1].to_vec(),
            "0 bytes and a CRC-32 in the chunk IEND, found only 3 bytes",
        ),
        ("CRC", crc, "the CRC-32 0xae426082 after the chunk IEND, found 0xae426083"),
        ("Adler", with(&adler), "an undamaged zlib stream in IDAT, found damage, or a wrong Adler-32"),
        ("no zlib", with(&rows), "an undamaged zlib stream in IDAT"),
        ("empty", with(&[]), "compressed bytes for 2 x 2 pixels, found only 0"),
        ("cut header", with(&stream[..1]), "a whole zlib stream in IDAT, found one that is cut short"),
        (
            "cut Adler",
            with(&stream[..stream.len() - 1]),
            "a whole zlib stream in IDAT, found one that is cut short",
        ),
        (
            "cut pixels",
            with(&stream[..stream.len() - 6]),
            "a whole zlib stream in IDAT, found one that is cut short",
        ),
        ("few pixels", with(&zlib(&rows[..5])), "2 rows in IDAT, found an end in row 1, counted from 0"),
        ("no pixels", with(&zlib(&[])), "2 rows in IDAT, found an end in row 0, counted from 0"),
        ("many pixels", with(&zlib(&[0; 7])), "2 rows in IDAT, found more"),
        ("bomb", with(&zlib(&vec![0; 1 << 20])), "2 rows in IDAT, found more"),
        (
            "after zlib",
            with(&[&stream[..], &[0]].concat()),
            "nothing in IDAT after the zlib stream, found more",
        ),
        (
            "two streams",
            file(&[start, pixels, ("IDAT", &second), end]),
            "nothing in IDAT after the zlib stream",
        ),
        ("filter", with(&zlib(&[0, 1, 2, 5, 3, 4])), "a filter from 0 to 4 in row 1, found 5"),
    ];
    let scratch = Scratch::new("hostile-png");
    for (name, bytes, wanted) in cases {
        let path = scratch.file("bad.png", bytes);
        let found = message(png::read(&path), &path);
        assert!(found.contains(wanted), "{name}: {found:?} does not say {wanted:?}");
        assert_eq!(message(image::read(&path), &path), found, "{name}");
    }
}
