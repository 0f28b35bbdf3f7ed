//! Any bytes at all are a PNG picture or an error of one line, and a picture survives being written and read again.
//!
//! A fuzzer does not find checksums, so each input is taken three times: as a file; as a file whose checksums are made
//! right; and as the parts that a file is then made of. `agrees` may hold what was read, or why not, against others.

use flate2::Crc;
use tapegrad::Result;
use tapegrad::image::{GrayImage, png};

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

pub fn check(bytes: &[u8], agrees: &dyn Fn(&[u8], &Result<GrayImage>)) {
    check_file(bytes, agrees);
    check_file(&mended(bytes), agrees);
    if let Some(file) = assembled(bytes) {
        check_file(&file, agrees);
    }
}

fn check_file(file: &[u8], agrees: &dyn Fn(&[u8], &Result<GrayImage>)) {
    let read = png::decode(file);
    match &read {
        Ok(image) => {
            assert_eq!(image.pixels().len(), image.width() * image.height());
            assert!(
                image.pixels().iter().zip(image.to_bytes()).all(|(&x, byte)| x == f32::from(byte) / 255.0)
            );
            // Deflate is slow beside all else here.
            if image.pixels().len() < 4096 {
                assert_eq!(png::decode(&png::encode(image, 1).unwrap()).unwrap(), *image);
            }
        }
        Err(error) => assert!(!error.to_string().contains(['\n', '\r']), "{error}"),
    }
    agrees(file, &read);
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}

/// The same bytes with a right signature and, as far as the lengths lead, right checksums.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(start) = bytes.first_chunk_mut() {
        *start = *SIGNATURE;
    }
    let mut at = 8;
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let end = at + 8 + u32::from_be_bytes(*head) as usize;
        if end + 4 > bytes.len() {
            break;
        }
        let right = crc(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&right);
        at = end + 4;
    }
    bytes
}

/// A file whose header, cuts and rows come from the input.
fn assembled(bytes: &[u8]) -> Option<Vec<u8>> {
    let (&[width, height, color, piece, extra], rows) = bytes.split_first_chunk()?;
    let mut file = SIGNATURE.to_vec();
    let mut push = |name: &[u8; 4], content: &[u8]| {
        file.extend((content.len() as u32).to_be_bytes());
        let part = [name, content].concat();
        file.extend(&part);
        file.extend(crc(&part));
    };
    let color = if color & 1 == 0 { 0 } else { 2 };
    push(b"IHDR", &[0, 0, 0, width, 0, 0, 0, height, 8, color, 0, 0, 0]);
    let stream = stored(rows);
    if extra & 1 == 1 {
        push(b"tEXt", b"a\0b");
    }
    // Pieces of no bytes where the size of a piece is odd.
    for part in stream.chunks(1 + usize::from(piece)) {
        push(b"IDAT", part);
        if piece & 1 == 1 {
            push(b"IDAT", &[]);
        }
    }
    if extra & 2 == 2 {
        push(b"tIME", &[7, 230, 1, 1, 0, 0, 0]);
    }
    push(b"IEND", &[]);
    Some(file)
}

/// A zlib stream of one block that is not compressed (RFC 1950, 1951), of at most 65535 bytes.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[..bytes.len().min(65_535)];
    let length = bytes.len() as u16;
    let (mut a, mut b) = (1, 0);
    for &byte in bytes {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let adler = (b << 16 | a).to_be_bytes();
    [&[0x78, 0x01, 0x01][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes, &adler].concat()
}
