//! The IDX format, as MNIST and Fashion-MNIST use it, gzipped or raw.
//!
//! ```text
//! 00 00 08 rr    magic: two zeros, 08 for unsigned bytes, rr axes (1: labels, 3: images)
//! 4 bytes each   the length of every axis, most significant byte first
//! the bytes      row by row, nothing after them
//! ```
//!
//! A file is read in two steps. [`IdxReader::open`] reads the header and holds it against the size of the file;
//! [`IdxReader::read`] then reads the body. Between the two a caller looks at [`IdxReader::dims`] and may refuse, so
//! that a wrong file costs no memory.
//!
//! What keeps a hostile file harmless:
//!
//! - the axes are multiplied with checked arithmetic, and more than 64 MiB is refused;
//! - a raw file must have exactly the length that its header promises;
//! - a gzip file ends with the CRC-32 and the length of its content. That length must match the header. The trailer may
//!   lie, so it only serves to refuse early, together with this: deflate cannot shrink data by more than 1032 to 1;
//! - memory grows with the bytes that really arrive, at most to twice as many, never past the promise;
//! - a gzip file must be one member and end there. RFC 1952 allows several, one after the other. No IDX file in use is
//!   made so, and with one member the trailer at the end of the file speaks for the whole content.
//!
//! This is no general IDX reader: only unsigned bytes, one axis or three. Next to read: `data/fashion_mnist.rs`.

use crate::error::{Error, Result};
use crate::file;
use flate2::Crc;
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// More than this is refused, whatever the header promises: a third more than Fashion-MNIST. A damaged gzip file shows
/// its damage only at its end, when all of it is in memory; with this limit, refusing a set of four such files takes
/// less than 256 MB. It also keeps every length under 2^32, so that the length in a gzip trailer (which is modulo 2^32)
/// means what it says.
const MAX_BYTES: u64 = 64 << 20;

/// Deflate's best case: two bits for a match of 258 bytes, so 1032 bytes out of one.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Ten bytes of header, an empty deflate stream of at least two, eight bytes of trailer.
const SHORTEST_GZIP: u64 = 20;

/// What the first allocation for a body is at most; every further one at most doubles it.
const FIRST_STEP: usize = 1 << 20;

/// What an IDX file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdxKind {
    /// One axis: one byte per picture.
    Labels,
    /// Three axes: pictures, rows, columns.
    Images,
}

impl IdxKind {
    /// The number of axes, which is also the last byte of the magic number.
    pub fn rank(self) -> usize {
        match self {
            IdxKind::Labels => 1,
            IdxKind::Images => 3,
        }
    }

    /// The first four bytes of the file as one number.
    pub fn magic(self) -> u32 {
        match self {
            IdxKind::Labels => 0x0000_0801,
            IdxKind::Images => 0x0000_0803,
        }
    }

    /// The kind in words, for messages.
    fn name(self) -> &'static str {
        match self {
            IdxKind::Labels => "an IDX label file (magic 0x00000801)",
            IdxKind::Images => "an IDX image file (magic 0x00000803)",
        }
    }

    fn header_bytes(self) -> usize {
        4 + 4 * self.rank()
    }
}

/// The content of one IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The length of every axis: `[n]` for labels, `[n, h, w]` for images.
    pub dims: Vec<usize>,
    /// The body, row by row; its length is the product of `dims`.
    pub bytes: Vec<u8>,
    /// The CRC-32 of the whole decompressed file, header included. It tells one data set from another.
    pub crc32: u32,
}

/// An IDX file whose header is read and found to agree with the size of the file.
pub struct IdxReader {
    path: PathBuf,
    kind: IdxKind,
    source: Source,
    dims: Vec<usize>,
    body: usize,
}

/// Where decompressed bytes come from. Each source brings the CRC-32 in its own way: gzip carries it (and the decoder
/// checks it), a raw file does not, so there it is computed along the way.
enum Source {
    Raw { file: BufReader<File>, crc: Crc },
    Gzip { decoder: Box<GzDecoder<BufReader<File>>>, crc32: u32 },
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Raw { file, crc } => {
                let count = file.read(buffer)?;
                crc.update(&buffer[..count]);
                Ok(count)
            }
            Source::Gzip { decoder, .. } => decoder.read(buffer),
        }
    }
}

/// The last eight bytes of a gzip file.
struct Trailer {
    crc32: u32,
    length: u32,
}

impl IdxReader {
    /// Opens the file at `path` and reads its header. Gzip is known by its first two bytes, not by the file's name.
    ///
    /// # Errors
    /// The file cannot be read, is of another kind, or its size does not agree with its header.
    pub fn open(path: &Path, kind: IdxKind) -> Result<IdxReader> {
        let failed = |e| Error::io(path, kind.name(), e);
        let (mut file, length) = file::open(path, kind.name())?;
        let first = read_up_to(&mut file, 2).map_err(failed)?;
        let trailer = match first[..] {
            [] => return Err(Error::format(path, kind.name(), "an empty file")),
            [0x1f, 0x8b] if length < SHORTEST_GZIP => {
                return Err(cut_short(path, format!("a gzip file of {length} bytes")));
            }
            [0x1f, 0x8b] => Some(read_trailer(&mut file).map_err(failed)?),
            _ => None,
        };
        file.seek(SeekFrom::Start(0)).map_err(failed)?;

        let file = BufReader::with_capacity(1 << 16, file);
        let mut source = match &trailer {
            Some(trailer) => Source::Gzip { decoder: Box::new(GzDecoder::new(file)), crc32: trailer.crc32 },
            None => Source::Raw { file, crc: Crc::new() },
        };
        let header = read_up_to(&mut source, kind.header_bytes()).map_err(|e| broken(path, kind, e))?;
        let dims = parse_header(path, kind, &header)?;
        let body = check_size(path, kind, &dims, length, trailer.as_ref())?;
        let dims = dims.iter().map(|&dim| dim as usize).collect();
        Ok(IdxReader { path: path.to_path_buf(), kind, source, dims, body })
    }

    /// The length of every axis: `[n]` for labels, `[n, h, w]` for images.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The file is damaged, shorter or longer than its header says, or there is no memory for it.
    pub fn read(mut self) -> Result<Idx> {
        let path = &self.path;
        let mut bytes = Vec::new();
        while bytes.len() < self.body {
            // Double what has arrived so far: few steps for an honest file, little memory for a liar.
            let step = (self.body - bytes.len()).min(bytes.len().max(FIRST_STEP));
            bytes.try_reserve_exact(step).map_err(|e| Error::io(path, self.kind.name(), e.into()))?;
            let mut part = (&mut self.source).take(step as u64);
            let count = part.read_to_end(&mut bytes).map_err(|e| broken(path, self.kind, e))?;
            if count < step {
                return Err(cut_short(path, format!("only {} of {} bytes", bytes.len(), self.body)));
            }
        }
        // One more read must find the end. For gzip it also makes the decoder check the CRC-32.
        let extra = read_up_to(&mut self.source, 1).map_err(|e| broken(path, self.kind, e))?;
        if !extra.is_empty() {
            let expected = format!("nothing after the {} bytes that the header promises", self.body);
            return Err(Error::format(path, expected, "more bytes"));
        }
        let crc32 = match self.source {
            Source::Raw { crc, .. } => crc.sum(),
            Source::Gzip { decoder, crc32 } => {
                let rest = decoder.into_inner().fill_buf().map_err(|e| broken(path, self.kind, e))?.len();
                if rest > 0 {
                    let found = "a second member or other bytes after it";
                    return Err(Error::format(path, "a gzip file of one member", found));
                }
                crc32
            }
        };
        Ok(Idx { dims: self.dims, bytes, crc32 })
    }
}

/// Reads until `count` bytes or the end, whichever comes first. Only for small counts.
fn read_up_to(source: impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    source.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_trailer(file: &mut File) -> io::Result<Trailer> {
    let mut bytes = [0; 8];
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut bytes)?;
    let [a, b, c, d, e, f, g, h] = bytes;
    // Gzip is little-endian, unlike IDX.
    Ok(Trailer { crc32: u32::from_le_bytes([a, b, c, d]), length: u32::from_le_bytes([e, f, g, h]) })
}

/// The axes of a header, after its magic number is found right.
fn parse_header(path: &Path, kind: IdxKind, header: &[u8]) -> Result<Vec<u32>> {
    let short = || Error::format(path, kind.name(), format!("only {} bytes", header.len()));
    let mut numbers = header.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let magic = numbers.next().ok_or_else(short)?;
    if magic != kind.magic() {
        return Err(Error::format(path, kind.name(), format!("magic {magic:#010x}")));
    }
    let dims: Vec<u32> = numbers.collect();
    if dims.len() == kind.rank() { Ok(dims) } else { Err(short()) }
}

/// Holds the promise of the header against the size of the file. Returns the number of bytes in the body.
fn check_size(
    path: &Path,
    kind: IdxKind,
    dims: &[u32],
    length: u64,
    trailer: Option<&Trailer>,
) -> Result<usize> {
    let header = kind.header_bytes() as u64;
    let shape = dims.iter().map(u32::to_string).collect::<Vec<_>>().join(" x ");
    // Three factors below 2^32 may overflow 64 bits.
    let body = dims.iter().try_fold(1_u64, |product, &dim| product.checked_mul(u64::from(dim)));
    let Some(body) = body.filter(|&body| body <= MAX_BYTES - header) else {
        let expected = format!("a header that promises at most {MAX_BYTES} bytes");
        return Err(Error::format(path, expected, format!("one that promises {shape}")));
    };
    let whole = header + body;
    let expected = |what| format!("{whole} bytes{what} ({header} of header, then {shape})");
    match trailer {
        None if length != whole => Err(Error::format(path, expected(""), format!("{length} bytes"))),
        Some(trailer) if u64::from(trailer.length) != whole => {
            let found = format!(
                "{} bytes by the last four of the gzip file (cut short, or followed by something?)",
                trailer.length
            );
            Err(Error::format(path, expected(" decompressed"), found))
        }
        Some(_) if whole > length.saturating_mul(MAX_DEFLATE_RATIO) => {
            let found = format!("a gzip file of {length} bytes, too small to hold that");
            Err(Error::format(path, expected(" decompressed"), found))
        }
        _ => Ok(body as usize),
    }
}

/// The decoder reports a damaged file as an I/O error; sort those out from a disk that fails.
fn broken(path: &Path, kind: IdxKind, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            cut_short(path, "the end of the file in the middle of it".to_string())
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Error::format(path, "an undamaged gzip stream", format!("damage: {error}"))
        }
        _ => Error::io(path, kind.name(), error),
    }
}

fn cut_short(path: &Path, found: String) -> Error {
    Error::format(path, "a whole file", found)
}
