//! Safetensors: named tensors in one file, as PyTorch, JAX and candle read and write them.
//!
//! ```text
//! 8 bytes          the length n of the header, least significant byte first
//! n bytes          the header, JSON: {"__metadata__": {"key": "text", ...},
//!                                     "conv.0.weight": {"dtype": "F32", "shape": [6,1,5,5], "data_offsets": [0,600]}, ...}
//! the rest         the numbers, row-major, least significant byte first; offsets count from here
//! ```
//!
//! (The format is described in the README of github.com/huggingface/safetensors, "Format".)
//!
//! A file is read in two steps. [`SafeTensors::open`] reads the header and holds it against the size of the file;
//! [`SafeTensors::tensor`] reads one tensor. Between the two a caller looks at names and shapes and may refuse, so that a wrong
//! file costs no memory, however large it is.
//!
//! What keeps a hostile file harmless: the header is at most 100 MB, as in the reference reader, and no longer than the file;
//! it is taken apart piece by piece, without a tree; at most [`MAX_TENSORS`] tensors and as many entries of metadata are
//! kept; shapes are multiplied with checked arithmetic and must give the length of their data; the data of all tensors,
//! put in order, must fill the file to its end, without holes, overlaps or bytes that are nobody's; no name may come twice.
//!
//! A file may hold a checksum of itself, as checkpoints do: the metadata's first entry then is `checksum`, a CRC-32 in eight
//! hexadecimal digits, of the whole file with zeros in their place.
//!
//! What this is not: a place for anything but `f32`. Half precision and doubles are converted on reading; other kinds of
//! numbers are refused when their tensor is asked for. Next to read: `header.rs`.

mod header;
mod write;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::Crc;

use crate::Tensor;

use crate::error::{Error, Result};
use crate::file;
use header::parse_header;
pub use header::{MAX_TENSORS, TensorInfo};
pub use write::{encode, encode_with_checksum};

/// Longer headers are refused, as in the reference reader.
const MAX_HEADER: u64 = 100_000_000;

const EXPECTED: &str = "a safetensors file";

/// What every file with a checksum begins with, behind the length of its header.
const CHECKSUM_PREFIX: &str = r#"{"__metadata__":{"checksum":""#;

/// Where the digits of the checksum stand.
const CHECKSUM_AT: u64 = 8 + CHECKSUM_PREFIX.len() as u64;

/// Texts by name that a file holds beside its tensors.
pub type Metadata = BTreeMap<String, String>;

/// A file whose header is read and found to be right.
///
/// ```
/// use tapegrad::Tensor;
/// use tapegrad::save::safetensors::{Metadata, SafeTensors, encode};
///
/// let kernel = Tensor::new([[1.0, -1.0]]);
/// let bytes = encode(&[("kernel".to_string(), kernel.clone())], &Metadata::new());
/// let mut file = SafeTensors::from_bytes(bytes)?;
/// assert_eq!(file.tensors()["kernel"].shape, [1, 2]);
/// assert_eq!(file.tensor("kernel")?.to_vec(), kernel.to_vec());
/// # Ok::<(), tapegrad::Error>(())
/// ```
pub struct SafeTensors {
    path: PathBuf,
    source: Box<dyn Source>,
    data_start: u64,
    metadata: Metadata,
    tensors: BTreeMap<String, TensorInfo>,
}

/// A file, or bytes in memory.
trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

impl SafeTensors {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// The file cannot be read, or is no whole safetensors file.
    pub fn open(path: impl AsRef<Path>) -> Result<SafeTensors> {
        let path = path.as_ref();
        let (file, length) = file::open(path, EXPECTED)?;
        SafeTensors::read(path, Box::new(BufReader::new(file)), length)
    }

    /// The same for a file that lies in memory.
    ///
    /// # Errors
    /// The bytes are no whole safetensors file.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<SafeTensors> {
        let length = bytes.len() as u64;
        SafeTensors::read(Path::new("safetensors"), Box::new(io::Cursor::new(bytes)), length)
    }

    fn read(path: &Path, mut source: Box<dyn Source>, length: u64) -> Result<SafeTensors> {
        let failed = |e| Error::io(path, EXPECTED, e);
        if length < 8 {
            return Err(Error::format(path, EXPECTED, format!("only {length} bytes")));
        }
        let mut count = [0; 8];
        source.read_exact(&mut count).map_err(failed)?;
        let count = u64::from_le_bytes(count);
        if count > MAX_HEADER.min(length - 8) {
            let expected =
                format!("{EXPECTED}, whose header is at most {} bytes", MAX_HEADER.min(length - 8));
            return Err(Error::format(path, expected, format!("a header of {count}")));
        }
        let mut header = Vec::with_capacity(count as usize);
        source.by_ref().take(count).read_to_end(&mut header).map_err(failed)?;
        let data = length - 8 - count;
        let (metadata, tensors) = parse_header(&header, data).map_err(|mistake| mistake.at(path))?;
        Ok(SafeTensors { path: path.to_path_buf(), source, data_start: 8 + count, metadata, tensors })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The texts beside the tensors.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All tensors, in the order of their names.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// Reads one tensor. Kinds of floating-point numbers other than `f32` are converted to it.
    ///
    /// # Errors
    /// There is no such tensor, its numbers are of a kind that is not floating-point, or they cannot be read.
    pub fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let Some(info) = self.tensors.get(name) else {
            return Err(Error::format(&self.path, format!("a tensor {name}"), "none of that name"));
        };
        let Some(convert) = conversion(&info.dtype) else {
            let expected = format!("floating-point numbers in {name} (F16, BF16, F32 or F64)");
            return Err(Error::format(&self.path, expected, info.dtype.clone()));
        };
        let failed = |e| Error::io(&self.path, format!("the tensor {name}"), e);
        let (begin, end) = info.offsets;
        self.source.seek(SeekFrom::Start(self.data_start + begin)).map_err(failed)?;
        let mut numbers = Vec::new();
        // The file has these bytes, so the memory is earned.
        numbers.try_reserve_exact(info.shape.iter().product()).map_err(|e| failed(e.into()))?;
        let mut rest = (end - begin) as usize;
        let mut buffer = [0; 1 << 12];
        while rest > 0 {
            let part = &mut buffer[..rest.min(1 << 12)];
            self.source.read_exact(part).map_err(failed)?;
            convert(part, &mut numbers);
            rest -= part.len();
        }
        Ok(Tensor::from_slice(&numbers, info.shape.as_slice()))
    }

    /// Holds the file against the checksum in it.
    ///
    /// # Errors
    /// There is no checksum, another one than the bytes give, or the file cannot be read.
    pub fn verify_checksum(&mut self) -> Result<()> {
        let expected = "a file with the checksum of its bytes in it";
        let failed = |e| Error::io(&self.path, expected, e);
        self.source.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut start = vec![0; CHECKSUM_AT as usize + 8];
        let prefix = match self.source.read_exact(&mut start) {
            Ok(()) => start[8..CHECKSUM_AT as usize] == *CHECKSUM_PREFIX.as_bytes(),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(e) => return Err(failed(e)),
        };
        if !prefix {
            return Err(Error::format(&self.path, expected, "none at its place"));
        }
        let digits = start.split_off(CHECKSUM_AT as usize);
        let mut crc = Crc::new();
        crc.update(&start);
        crc.update(b"00000000");
        let mut buffer = [0; 1 << 14];
        loop {
            match self.source.read(&mut buffer).map_err(failed)? {
                0 => break,
                count => crc.update(&buffer[..count]),
            }
        }
        let sum = format!("{:08x}", crc.sum());
        if sum.as_bytes() == digits {
            return Ok(());
        }
        let digits = String::from_utf8_lossy(&digits).into_owned();
        Err(Error::format(
            &self.path,
            format!("bytes with the checksum {digits} that it holds"),
            format!("{sum}: damaged"),
        ))
    }
}

/// Appends the numbers that some bytes are.
type Convert = fn(&[u8], &mut Vec<f32>);

/// How bytes of a kind become `f32`.
fn conversion(dtype: &str) -> Option<Convert> {
    Some(match dtype {
        "F32" => |bytes, out| out.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
        "F64" => |bytes, out| out.extend(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32)),
        // The upper half of an f32.
        "BF16" => |bytes, out| {
            out.extend(bytes.as_chunks().0.iter().map(|&[a, b]| f32::from_le_bytes([0, 0, a, b])))
        },
        "F16" => {
            |bytes, out| out.extend(bytes.as_chunks().0.iter().map(|&b| from_half(u16::from_le_bytes(b))))
        }
        _ => return None,
    })
}

/// A number of IEEE 754's binary16 (one bit of sign, five of exponent, ten of fraction), exactly.
fn from_half(half: u16) -> f32 {
    let sign = if half >> 15 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(half >> 10 & 0x1f);
    let fraction = f32::from(half & 0x3ff);
    match exponent {
        0 => sign * fraction * f32::from_bits((127 - 24) << 23), // fraction · 2^-24
        0x1f if fraction == 0.0 => sign * f32::INFINITY,
        0x1f => f32::NAN,
        // (1024 + fraction) · 2^(exponent - 25)
        _ => sign * (1024.0 + fraction) * f32::from_bits(((exponent + 127 - 25) as u32) << 23),
    }
}
