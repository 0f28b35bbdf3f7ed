//! Makes PNG files from their parts, right ones and wrong ones. It shares no code with the crate's writer.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::io::Write;

pub const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The content of `IHDR`: depth, colour type, compression, filter and interlace method are the last five.
pub fn header(width: u32, height: u32, rest: [u8; 5]) -> Vec<u8> {
    [&width.to_be_bytes()[..], &height.to_be_bytes(), &rest].concat()
}

pub const GRAY: [u8; 5] = [8, 0, 0, 0, 0];
pub const RGB: [u8; 5] = [8, 2, 0, 0, 0];

pub fn chunk(name: &str, content: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(name.as_bytes());
    crc.update(content);
    [&(content.len() as u32).to_be_bytes(), name.as_bytes(), content, &crc.sum().to_be_bytes()].concat()
}

pub fn file(chunks: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    chunks.iter().for_each(|(name, content)| bytes.extend(chunk(name, content)));
    bytes
}

pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A file with one `IDAT`: `rows` has a filter byte before each row.
pub fn picture(width: u32, height: u32, rest: [u8; 5], rows: &[u8]) -> Vec<u8> {
    file(&[("IHDR", &header(width, height, rest)), ("IDAT", &zlib(rows)), ("IEND", &[])])
}
