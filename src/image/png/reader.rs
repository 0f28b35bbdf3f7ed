//! Reads PNG: eight bits, grey or RGB, not interlaced. Colour becomes grey.
//!
//! Before deflate, each row of bytes is replaced by its differences to a prediction; the byte before the row names
//! which one (ISO/IEC 15948, section 9). With `a` the same channel of the pixel to the left, `b` of the one above and
//! `c` of the one left of that, all 0 outside the picture:
//!
//! ```text
//! 0 none      1 a      2 b      3 (a + b) / 2      4 whichever of a, b, c is nearest to a + b - c
//! ```
//!
//! Colour becomes grey by the weights of ITU-R Recommendation BT.601, 0.299 R + 0.587 G + 0.114 B, in whole 65536ths:
//! what Pillow's `convert("L")` computes.
//!
//! Read strictly, since a picture that is read wrongly looks like a bad net. Every checksum is checked, what decides how
//! pixels look and is not understood is refused with its name (palette, alpha, 1, 2, 4 or 16 bits, interlacing), nothing
//! may follow the end. Only ancillary chunks (time, text, gamma, a transparent colour …) are skipped. A header is
//! believed only as far as its compressed bytes can hold so many pixels, and pixels take memory as they arrive.
//!
//! Next to read: `image/terminal.rs`.

use super::chunks::{Chunks, Inflate, letters};
use crate::error::Result;
use crate::error::{Mistake, mistake};
use crate::image::GrayImage;
use crate::image::read::{MAX_PIXELS, MAX_SIDE, bytes_of};
use std::path::Path;

const EXPECTED: &str = "a PNG picture";

/// Deflate's best case: two bits for a match of 258 bytes, so 1032 bytes out of one.
const MAX_DEFLATE_RATIO: usize = 1032;

/// Reads the PNG file at `path`. White becomes 1, black 0, colour its luma.
///
/// # Errors
/// The file cannot be read, is no PNG file or a damaged one, is not of eight bits in grey or RGB, is interlaced, or has
/// more than 2^25 pixels or more than 65535 on a side.
pub fn read(path: impl AsRef<Path>) -> Result<GrayImage> {
    let path = path.as_ref();
    parse(&bytes_of(path, EXPECTED)?).map_err(|mistake| mistake.at(path))
}

/// The picture from the bytes of a PNG file, as [`read`] gives it.
///
/// # Errors
/// The same as [`read`]'s, about `PNG` instead of a path.
///
/// ```
/// use tapegrad::image::{GrayImage, png};
///
/// let checks = GrayImage::new(2, 2, vec![0.0, 1.0, 1.0, 0.0]);
/// assert_eq!(png::decode(&png::encode(&checks, 1)?)?, checks);
/// # Ok::<(), tapegrad::Error>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<GrayImage> {
    parse(bytes).map_err(|mistake| mistake.at("PNG"))
}

pub(in crate::image) fn parse(bytes: &[u8]) -> std::result::Result<GrayImage, Mistake> {
    let mut chunks = Chunks::new(bytes)?;
    let header = match chunks.next()? {
        Some(chunk) if chunk.name == *b"IHDR" => parse_header(chunk.content)?,
        Some(chunk) => return mistake("the chunk IHDR first", letters(chunk.name)),
        None => return mistake("the chunk IHDR", "the end of the file"),
    };
    let inflate = find_pixels(chunks, &header)?;
    let gray = read_rows(inflate, &header)?;
    Ok(GrayImage::from_bytes(header.width, header.height, &gray))
}

struct Header {
    width: usize,
    height: usize,
    /// Bytes per pixel: 1 for grey, 3 for RGB.
    channels: usize,
}

fn parse_header(content: &[u8]) -> std::result::Result<Header, Mistake> {
    let [w0, w1, w2, w3, h0, h1, h2, h3, depth, color, compression, filter, interlace] = *content else {
        return mistake("13 bytes in the chunk IHDR", content.len().to_string());
    };
    let (width, height) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) {
        return mistake(format!("1 to {MAX_SIDE} pixels on a side"), format!("{width} x {height}"));
    }
    let channels = match (color, depth) {
        (0, 8) => 1,
        (2, 8) => 3,
        _ => {
            let kind = match color {
                0 => "grey",
                2 => "RGB",
                3 => "palette",
                4 => "grey with alpha",
                6 => "RGB with alpha",
                _ => &format!("colour type {color}"),
            };
            return mistake("8-bit grey or 8-bit RGB", format!("{depth}-bit {kind}"));
        }
    };
    if compression != 0 || filter != 0 {
        let found = format!("compression method {compression}, filter method {filter}");
        return mistake("compression method 0, filter method 0", found);
    }
    match interlace {
        0 => {}
        1 => return mistake("a picture that is not interlaced", "an interlaced one (Adam7)"),
        _ => return mistake("a picture that is not interlaced", format!("interlace method {interlace}")),
    }
    let (width, height) = (width as usize, height as usize);
    if width * height > MAX_PIXELS {
        return mistake(format!("at most {MAX_PIXELS} pixels"), format!("{width} x {height}"));
    }
    Ok(Header { width, height, channels })
}

/// Walks through all chunks after the header, to the end of the file. Returns the pixels' stream.
fn find_pixels<'a>(mut chunks: Chunks<'a>, header: &Header) -> std::result::Result<Inflate<'a>, Mistake> {
    let (mut pixels, mut compressed, mut last) = (None, 0, *b"IHDR");
    loop {
        let here = chunks.clone();
        let Some(chunk) = chunks.next()? else { return mistake("the chunk IEND", "the end of the file") };
        match &chunk.name {
            b"IDAT" if pixels.is_some() && last != *b"IDAT" => {
                return mistake("all chunks IDAT in a row", format!("one after {}", letters(last)));
            }
            b"IDAT" => {
                pixels.get_or_insert(here);
                compressed += chunk.content.len();
            }
            b"IEND" if chunk.content.is_empty() => break,
            b"IEND" => return mistake("nothing in the chunk IEND", format!("{} bytes", chunk.content.len())),
            // For RGB a palette is only advice to screens of few colours.
            b"PLTE" if header.channels == 3 && pixels.is_none() => {}
            // A small first letter: the picture is whole without this chunk.
            [b'a'..=b'z', ..] => {}
            _ => {
                let expected = "one IHDR, then IDAT and IEND, and chunks that may be skipped";
                return mistake(expected, letters(chunk.name));
            }
        }
        last = chunk.name;
    }
    if chunks.left() > 0 {
        return mistake("nothing after the chunk IEND", format!("{} bytes", chunks.left()));
    }
    let Some(pixels) = pixels else { return mistake("a chunk IDAT", "none") };
    let promised = header.height * (1 + header.width * header.channels);
    if promised > compressed.saturating_mul(MAX_DEFLATE_RATIO) {
        let expected = format!("compressed bytes for {} x {} pixels", header.width, header.height);
        return mistake(expected, format!("only {compressed}, too few to hold that"));
    }
    Ok(Inflate::new(pixels))
}

/// One byte of grey for each pixel.
fn read_rows(mut inflate: Inflate, header: &Header) -> std::result::Result<Vec<u8>, Mistake> {
    let Header { width, height, channels } = *header;
    // Row by row, so that a stream that goes on for gigabytes is read no further than the picture.
    let (mut row, mut above) = (vec![0; 1 + width * channels], vec![0; 1 + width * channels]);
    let mut gray = Vec::new();
    for y in 0..height {
        if inflate.fill(&mut row)? < row.len() {
            return mistake(format!("{height} rows in IDAT"), format!("an end in row {y}, counted from 0"));
        }
        let filter = row[0];
        if filter > 4 {
            return mistake(format!("a filter from 0 to 4 in row {y}"), filter.to_string());
        }
        undo_filter(filter, &mut row[1..], &above[1..], channels);
        match channels {
            1 => gray.extend_from_slice(&row[1..]),
            _ => gray.extend(row[1..].chunks_exact(3).map(|rgb| luma(rgb[0], rgb[1], rgb[2]))),
        }
        std::mem::swap(&mut row, &mut above);
    }
    // Asking for one more byte also makes the stream check its checksum.
    if inflate.fill(&mut [0])? > 0 {
        return mistake(format!("{height} rows in IDAT"), "more");
    }
    if !inflate.is_used_up()? {
        return mistake("nothing in IDAT after the zlib stream", "more bytes");
    }
    Ok(gray)
}

/// Turns differences back into a row. `above` is the row above, or zeros.
fn undo_filter(filter: u8, row: &mut [u8], above: &[u8], channels: usize) {
    for i in 0..row.len() {
        let left = |row: &[u8]| if i < channels { 0 } else { row[i - channels] };
        let (a, b, c) = (left(row), above[i], left(above));
        let prediction = match filter {
            0 => 0,
            1 => a,
            2 => b,
            3 => a.midpoint(b),
            _ => paeth(a, b, c),
        };
        row[i] = row[i].wrapping_add(prediction);
    }
}

/// Alan W. Paeth's predictor. Of equally near ones the first of a, b, c counts.
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let estimate = i16::from(a) + i16::from(b) - i16::from(c);
    let distance = |value: u8| (estimate - i16::from(value)).abs();
    // The first of several smallest ones is what `min_by_key` returns.
    [a, b, c].into_iter().min_by_key(|&value| distance(value)).unwrap_or(a)
}

fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    // The weights' sum is 65536 and half of that rounds, so this is at most 255.
    ((sum + 0x8000) >> 16) as u8
}
