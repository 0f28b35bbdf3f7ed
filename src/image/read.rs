//! Reads a picture of either format: PGM or PNG, told apart by the first bytes and not by the file's name.
//!
//! What both readers share is here: the limits, and the reading of the file into memory. Refusing a file takes less than
//! 256 MB of memory whatever it holds: at most [`MAX_FILE_BYTES`] for the file, and for the pixels at most four bytes each.
//!
//! This file decodes nothing. Next to read: `image/pgm.rs`.

use super::{GrayImage, pgm, png};
use crate::error::{Error, Result, mistake};
use crate::file;
use std::io::Read;
use std::path::Path;

/// Longer files are refused.
pub(super) const MAX_FILE_BYTES: u64 = 96 << 20;

/// More pixels are refused: 32 million, 128 MiB as `f32`.
pub(super) const MAX_PIXELS: usize = 32 << 20;

/// Longer rows and columns are refused, so that one row is always small beside the file.
pub(super) const MAX_SIDE: u32 = 65_535;

/// Reads the picture at `path`: PGM as [`pgm::read`] does, PNG as [`png::read`] does.
///
/// # Errors
/// The file cannot be read, is of another format, or is not what its format asks for.
///
/// ```
/// use tapegrad::image;
///
/// let error = image::read("Cargo.toml").unwrap_err();
/// assert_eq!(error.to_string(), "Cargo.toml: expected a picture (PGM or PNG), found something else");
/// ```
pub fn read(path: impl AsRef<Path>) -> Result<GrayImage> {
    const EXPECTED: &str = "a picture (PGM or PNG)";
    let path = path.as_ref();
    let bytes = bytes_of(path, EXPECTED)?;
    let picture = match bytes[..] {
        [b'P', b'2' | b'5', ..] => pgm::parse(&bytes),
        [0x89, b'P', b'N', b'G', ..] => png::parse(&bytes),
        _ => mistake(EXPECTED, format_of(&bytes)),
    };
    picture.map_err(|mistake| mistake.at(path))
}

/// The whole file, if it is not longer than the limit.
pub(super) fn bytes_of(path: &Path, expected: &str) -> Result<Vec<u8>> {
    let (file, length) = file::open(path, expected)?;
    if length > MAX_FILE_BYTES {
        let expected = format!("{expected} of at most {MAX_FILE_BYTES} bytes");
        return Err(Error::format(path, expected, format!("{length} bytes")));
    }
    // The length is the file's own, so it is earned. The limit holds also if the file grows while it is read.
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|e| Error::io(path, expected, e))?;
    Ok(bytes)
}

/// Names the format of a file by its first bytes, for the message that refuses it.
pub(super) fn format_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [b'P', b'1' | b'4', ..] => "a PBM picture (black and white)",
        [b'P', b'2' | b'5', ..] => "a PGM picture",
        [b'P', b'3' | b'6', ..] => "a PPM picture (colour)",
        [0x89, b'P', b'N', b'G', ..] => "a PNG picture",
        [0xff, 0xd8, ..] => "a JPEG picture",
        [b'G', b'I', b'F', b'8', ..] => "a GIF picture",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "a WebP picture",
        [b'B', b'M', ..] => "a BMP picture",
        _ => "something else",
    }
}
