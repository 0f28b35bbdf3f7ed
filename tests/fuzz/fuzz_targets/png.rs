//! Beside what an ordinary test can ask, this one has another reader of PNG: what both read, both read alike, and where
//! only one of them reads, the reason is in this file.
//!
//! `cargo fuzz` builds everything with `cfg(fuzzing)`, by which neither `flate2` nor the other reader checks an Adler-32 and
//! the other reader no CRC-32: so the fuzzer comes to what lies behind them.

#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

use flate2::{Decompress, FlushDecompress};
use tapegrad::image::GrayImage;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::png::check(bytes, &agrees));

/// What our messages say of files that are refused on purpose, though others read them.
const STRICTER: [&str; 11] = [
    "the CRC-32",
    // Kinds and sizes of pictures.
    "8-bit grey or 8-bit RGB",
    "a picture that is not interlaced",
    "pixels on a side",
    "at most 33554432 pixels",
    // What does not belong there, whether or not it changes a pixel.
    "a chunk's name of four letters",
    "chunks that may be skipped",
    "nothing in the chunk IEND",
    "nothing after the chunk IEND",
    "rows in IDAT, found more",
    "nothing in IDAT after the zlib stream",
];

fn agrees(file: &[u8], ours: &tapegrad::Result<GrayImage>) {
    match (ours, read(file)) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!((theirs.width, theirs.height), (ours.width(), ours.height()));
            assert_eq!(theirs.gray, ours.to_bytes());
        }
        (Ok(ours), Err(error)) => assert!(
            error == "Corrupt deflate stream. DistanceTooFarBack" && reaches_before_the_start(file, ours),
            "what we read, others read: {error}"
        ),
        (Err(ours), Ok(theirs)) if theirs.is_whole => {
            let ours = ours.to_string();
            assert!(
                STRICTER.iter().any(|reason| ours.contains(reason))
                    // They ask for no more of the stream than the pixels need.
                    || ours.contains("zlib stream in IDAT") && fdeflate::decompress_to_vec(&stream(file)).is_err(),
                "what others read, we read: {ours}"
            );
        }
        (Err(_), _) => {}
    }
}

struct Picture {
    width: usize,
    height: usize,
    gray: Vec<u8>,
    /// Whether what follows the pixels was right, too.
    is_whole: bool,
}

/// The picture as the other reader has it.
fn read(file: &[u8]) -> Result<Picture, String> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().map_err(|e| e.to_string())?;
    // Deflate makes at most 1032 bytes out of one, so no input becomes so large a picture.
    let size = reader.output_buffer_size().filter(|&size| size < 1 << 23).ok_or("too large")?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(|e| e.to_string())?;
    let gray = match info.color_type {
        png::ColorType::Rgb => pixels.chunks_exact(3).map(luma).collect(),
        _ => pixels,
    };
    let is_whole = reader.finish().is_ok();
    Ok(Picture { width: info.width as usize, height: info.height as usize, gray, is_whole })
}

/// BT.601 in whole numbers; the weights are 65536 in all.
fn luma(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(rgb[channel]));
    (f64::from(red * 19595 + green * 38470 + blue * 7471) / 65536.0).round() as u8
}

/// Whether the zlib stream takes bytes from before its first one. A streaming `flate2` reads zeros there, and ours streams;
/// given all at once, the same `flate2` refuses. Only made on purpose can such a file have the right Adler-32.
/// (A distance beyond the window that the zlib header declares is another thing: all read it, browsers too.)
fn reaches_before_the_start(file: &[u8], ours: &GrayImage) -> bool {
    let mut rows = vec![0; ours.height() * (1 + 3 * ours.width())];
    Decompress::new(true).decompress(&stream(file), &mut rows, FlushDecompress::Finish).is_err()
}

/// What the chunks `IDAT` of a file hold, whose chunks are whole.
fn stream(file: &[u8]) -> Vec<u8> {
    let (mut stream, mut rest) = (Vec::new(), &file[8..]);
    while let Some((&[a, b, c, d, name @ ..], body)) = rest.split_first_chunk::<8>() {
        let (content, after) = body.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        if name == *b"IDAT" {
            stream.extend(content);
        }
        rest = &after[4..];
    }
    stream
}
