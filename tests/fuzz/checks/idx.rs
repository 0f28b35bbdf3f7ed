//! Any bytes at all are an IDX file or an error of one line, raw and gzipped. Which it is, four lines of model say.

use super::file;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use std::io::Write;
use tapegrad::data::idx::{Idx, IdxKind, IdxReader};

pub fn check(bytes: &[u8]) {
    for kind in [IdxKind::Labels, IdxKind::Images] {
        let wanted = model(bytes, kind);
        // A raw file that begins like a gzip file is taken for one.
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            assert_eq!(read(bytes, kind), wanted, "{kind:?}");
        } else {
            read(bytes, kind);
            read(&mended(bytes), kind);
        }
        assert_eq!(read(&gzip(bytes), kind), wanted, "{kind:?}, gzipped");
    }
}

/// What is read from a file, or nothing.
fn read(bytes: &[u8], kind: IdxKind) -> Option<Idx> {
    let result = file::with(bytes, |path| IdxReader::open(path, kind)?.read());
    match result {
        Ok(idx) => Some(idx),
        Err(error) => {
            assert!(!error.to_string().contains(['\n', '\r']), "{error}");
            None
        }
    }
}

/// What a raw file holds, if it is one of this kind: the magic number, the axes, as many bytes as they promise.
fn model(bytes: &[u8], kind: IdxKind) -> Option<Idx> {
    let header = 4 + 4 * kind.rank();
    if bytes.len() < header || bytes[..4] != kind.magic().to_be_bytes() {
        return None;
    }
    let axis =
        |b: &[u8]| u128::from(b[0]) << 24 | u128::from(b[1]) << 16 | u128::from(b[2]) << 8 | u128::from(b[3]);
    let dims: Vec<u128> = bytes[4..header].chunks(4).map(axis).collect();
    let body = &bytes[header..];
    // Three axes are less than 2^96 in all.
    if dims.iter().product::<u128>() != body.len() as u128 {
        return None;
    }
    let mut crc = Crc::new();
    crc.update(bytes);
    let dims = dims.into_iter().map(|dim| dim as usize).collect();
    Some(Idx { dims, bytes: body.to_vec(), crc32: crc.sum() })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzip file with the trailer that fits its stream, which a fuzzer would not find.
fn mended(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut content = Vec::new();
    // Ten bytes of header, if it has no optional fields.
    let stream = bytes.get(10..).unwrap_or_default();
    let mut decoder = flate2::bufread::DeflateDecoder::new(stream).take(1 << 16);
    if decoder.read_to_end(&mut content).is_err() {
        return bytes.to_vec();
    }
    let used = decoder.get_ref().total_in() as usize;
    let mut crc = Crc::new();
    crc.update(&content);
    let trailer = [crc.sum().to_le_bytes(), (content.len() as u32).to_le_bytes()].concat();
    [&bytes[..10.min(bytes.len())], &stream[..used], &trailer].concat()
}
