//! Reads back the PNG files that the crate writes, and no others. It shares no code with the writer: it checks the signature, every
//! length and every CRC-32, and undoes the (absent) filters. Whatever is wrong panics.

use flate2::Crc;
use flate2::read::ZlibDecoder;
use std::io::Read;

/// Width, height and pixels.
pub fn decode_png(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let length = number(rest) as usize;
        let (name, content) = (&rest[4..8], &rest[8..8 + length]);
        let mut crc = Crc::new();
        crc.update(&rest[4..8 + length]);
        assert_eq!(number(&rest[8 + length..]), crc.sum());
        chunks.push((name, content));
        rest = &rest[12 + length..];
    }
    let [(b"IHDR", header), (b"IDAT", zlib), (b"IEND", [])] = chunks[..] else { panic!("{chunks:?}") };
    let (width, height) = (number(header), number(&header[4..]));
    assert_eq!(header[8..], [8, 0, 0, 0, 0], "eight bits, grey, not interlaced");
    let mut rows = Vec::new();
    ZlibDecoder::new(zlib).read_to_end(&mut rows).unwrap();
    assert_eq!(rows.len(), height as usize * (1 + width as usize));
    let pixels = rows.chunks_exact(1 + width as usize).flat_map(|row| {
        assert_eq!(row[0], 0, "filter: none");
        row[1..].to_vec()
    });
    (width, height, pixels.collect())
}
