//! Reads PGM, the plainest of picture formats: a few numbers in text, then the pixels.
//!
//! ```text
//! P2                 P2: pixels as decimal numbers; P5: as bytes
//! # a comment        from # to the end of the line, anywhere before the pixels of P5
//! 28 28              width and height
//! 255                the value of white, 1 to 65535
//! 0 0 17 ...         row by row; in P5 two bytes each, high byte first, if white is over 255
//! ```
//!
//! (The format is Netpbm's, man page pgm(5).) Every program that works with pictures can write it, which makes it the
//! way in for a picture of one's own. A header is believed only as far as the file is long: width and height are
//! multiplied with checked arithmetic, and memory is taken only when the file is large enough to hold so many pixels.
//!
//! Not read: a second picture in the same file, and the sister formats for black-and-white and colour. They are refused
//! with their names. Next to read: `image/png/mod.rs`.

use super::GrayImage;
use super::read::{MAX_PIXELS, MAX_SIDE, bytes_of, format_of};
use crate::error::Result;
use crate::error::{Mistake, mistake};
use std::path::Path;

/// Reads the PGM file at `path`. White becomes 1, black 0.
///
/// # Errors
/// The file cannot be read, is no PGM file, is cut short, holds a pixel brighter than white, or goes on after the last
/// pixel. P2 may end with white space and comments.
pub fn read(path: impl AsRef<Path>) -> Result<GrayImage> {
    let path = path.as_ref();
    parse(&bytes_of(path, "a PGM picture (P2 or P5)")?).map_err(|mistake| mistake.at(path))
}

/// The picture from the bytes of a PGM file, as [`read`] gives it.
///
/// # Errors
/// The same as [`read`]'s, about `PGM` instead of a path.
///
/// ```
/// use tapegrad::image::pgm;
///
/// assert_eq!(pgm::decode(b"P2 3 1 255  0 51 255")?.pixels(), [0.0, 0.2, 1.0]);
/// # Ok::<(), tapegrad::Error>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<GrayImage> {
    parse(bytes).map_err(|mistake| mistake.at("PGM"))
}

pub(super) fn parse(bytes: &[u8]) -> std::result::Result<GrayImage, Mistake> {
    let text = match bytes {
        [b'P', b'2', ..] => true,
        [b'P', b'5', ..] => false,
        _ => return mistake("a PGM picture (starts with P2 or P5)", format_of(bytes)),
    };
    let mut reader = Reader { bytes, at: 2 };
    if bytes.get(2).is_some_and(|byte| !byte.is_ascii_whitespace() && *byte != b'#') {
        return mistake("white space after P2 or P5", reader.describe());
    }
    let width = reader.number("the width", 1, MAX_SIDE)? as usize;
    let height = reader.number("the height", 1, MAX_SIDE)? as usize;
    let white = reader.number("the value of white", 1, 65535)?;
    if !text {
        // Exactly one white space ends the header; what follows may already be a pixel that looks like white space.
        if !reader.bytes.get(reader.at).is_some_and(u8::is_ascii_whitespace) {
            return mistake("white space after the header", reader.describe());
        }
        reader.at += 1;
    }

    let rest = bytes.len() - reader.at;
    // Neither is over 65535, so the product fits into 32 bits.
    let count = width * height;
    if count > MAX_PIXELS {
        return mistake(format!("at most {MAX_PIXELS} pixels"), format!("{width} x {height}"));
    }
    let pixels = if text {
        // A pixel takes a separator and a digit at least.
        if count > rest / 2 {
            return mistake(
                format!("{width} x {height} pixels"),
                format!("only {rest} bytes of text after the header"),
            );
        }
        let mut pixels = Vec::with_capacity(count);
        for _ in 0..count {
            pixels.push(reader.number("a pixel", 0, white)? as f32 / white as f32);
        }
        reader.skip_space();
        if reader.at < bytes.len() {
            return mistake(format!("nothing after {width} x {height} pixels"), reader.describe());
        }
        pixels
    } else {
        let size = if white > 255 { 2 } else { 1 };
        if rest != count * size {
            return mistake(
                format!("{} bytes for {width} x {height} pixels", count * size),
                format!("{rest} bytes after the header"),
            );
        }
        let samples = bytes[reader.at..].chunks_exact(size);
        let samples = samples.map(|sample| sample.iter().fold(0, |high, &low| high << 8 | u32::from(low)));
        // All are looked at before the first takes memory.
        if let Some(sample) = samples.clone().find(|&sample| sample > white) {
            return mistake(format!("pixels from 0 to {white}"), sample.to_string());
        }
        samples.map(|sample| sample as f32 / white as f32).collect()
    };
    Ok(GrayImage::new(width, height, pixels))
}

/// Numbers in text, one after the other.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// Skips white space and comments.
    fn skip_space(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'#' => {
                    let rest = &self.bytes[self.at..];
                    let line = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r');
                    self.at += line.unwrap_or(rest.len());
                }
                _ if byte.is_ascii_whitespace() => self.at += 1,
                _ => break,
            }
        }
    }

    /// The next number, which must be from `low` to `high`.
    fn number(&mut self, name: &str, low: u32, high: u32) -> std::result::Result<u32, Mistake> {
        self.skip_space();
        let start = self.at;
        let mut value = Some(0_u32);
        while let Some(digit) = self.bytes.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            let next = |value: u32| value.checked_mul(10)?.checked_add(u32::from(digit - b'0'));
            value = value.and_then(next);
            self.at += 1;
        }
        let expected = || format!("{name} from {low} to {high}");
        if start == self.at {
            return mistake(expected(), self.describe());
        }
        match value {
            Some(value) if (low..=high).contains(&value) => Ok(value),
            Some(value) => mistake(expected(), value.to_string()),
            None => mistake(expected(), format!("a number of {} digits", self.at - start)),
        }
    }

    /// What stands at the current place, for a message.
    fn describe(&self) -> String {
        match self.bytes.get(self.at) {
            None => "the end of the file".to_string(),
            Some(byte) if byte.is_ascii_graphic() => {
                format!("'{}' at byte {}", char::from(*byte), self.at)
            }
            Some(byte) => format!("byte {byte:#04x} at byte {}", self.at),
        }
    }
}
