//! Writes PNG: grey, eight bits, one chunk `IDAT`, every row with filter 0 (none).
//!
//! It writes no colour and does not look for the best filter. A picture of 28 x 28 is a dot on today's screens, so
//! every pixel may become a square of `scale` x `scale`: no smoothing, the reader should see the pixels. Next to read:
//! `image/png/chunks.rs`.

use super::SIGNATURE;
use crate::error::{Error, Result};
use crate::file;
use crate::image::{GrayImage, MAX_PIXELS};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::io::Write;
use std::path::Path;

/// Writes the picture to `path`, each pixel as a square of `scale` x `scale`. What was at `path` is replaced only when
/// the new file is complete.
///
/// # Errors
/// The file cannot be written, `scale` is 0, or the enlarged picture has more than 2^28 pixels.
pub fn write(path: impl AsRef<Path>, image: &GrayImage, scale: usize) -> Result<()> {
    file::replace(path.as_ref(), &encode(image, scale)?)
}

/// The picture as the bytes of a PNG file, each pixel as a square of `scale` x `scale`.
///
/// # Errors
/// `scale` is 0, or the enlarged picture has more than 2^28 pixels.
///
/// ```
/// use tapegrad::image::{GrayImage, png};
///
/// let checks = GrayImage::new(2, 2, vec![0.0, 1.0, 1.0, 0.0]);
/// let bytes = png::encode(&checks, 32)?;
/// assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
/// # Ok::<(), tapegrad::Error>(())
/// ```
pub fn encode(image: &GrayImage, scale: usize) -> Result<Vec<u8>> {
    let (w, h) = (image.width(), image.height());
    let enlarged = scale.checked_mul(w).zip(scale.checked_mul(h));
    let area = enlarged.and_then(|(w, h)| w.checked_mul(h)).filter(|area| (1..=MAX_PIXELS).contains(area));
    // An area in range has sides in range too, so the casts to u32 below lose nothing.
    let (Some((width, height)), Some(_)) = (enlarged, area) else {
        let expected = format!("1 or more, and at most {MAX_PIXELS} pixels from {w} x {h}");
        return Err(Error::argument("scale", expected, scale.to_string()));
    };

    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut row = Vec::with_capacity(1 + width);
    let mut pack = || {
        for pixels in image.to_bytes().chunks_exact(w) {
            row.clear();
            row.push(0);
            for &pixel in pixels {
                row.extend(std::iter::repeat_n(pixel, scale));
            }
            for _ in 0..scale {
                zlib.write_all(&row)?;
            }
        }
        zlib.try_finish()?;
        Ok(std::mem::take(zlib.get_mut()))
    };
    // Writing into memory has no reason to fail; if it does, the error goes up like any other.
    let rows = pack().map_err(|e| Error::io("PNG", "compressed pixels", e))?;

    let mut header = Vec::with_capacity(13);
    header.extend((width as u32).to_be_bytes());
    header.extend((height as u32).to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);

    let mut png = SIGNATURE.to_vec();
    push_chunk(&mut png, b"IHDR", &header);
    push_chunk(&mut png, b"IDAT", &rows);
    push_chunk(&mut png, b"IEND", &[]);
    Ok(png)
}

/// Appends one chunk. The content is under 2^31 bytes: 2^28 pixels, a filter byte for each row, and deflate adds less
/// than a thousandth to what it cannot shrink.
fn push_chunk(png: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    png.extend((content.len() as u32).to_be_bytes());
    png.extend(name);
    png.extend(content);
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(content);
    png.extend(crc.sum().to_be_bytes());
}
