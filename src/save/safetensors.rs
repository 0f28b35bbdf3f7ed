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
//! numbers are refused when their tensor is asked for. Next to read: `save/mod.rs` on whole nets, then `save/checkpoint.rs`.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::Crc;

use crate::Tensor;
use crate::error::{Error, Mistake, Result, mistake};
use crate::file;
use crate::json::{Quoted, Reader};
use crate::tensor::MAX_RANK;

/// Longer headers are refused, as in the reference reader.
const MAX_HEADER: u64 = 100_000_000;

/// More tensors than this are refused, and more entries of metadata: a hundred times what the largest published nets have.
pub const MAX_TENSORS: usize = 1 << 17;

const EXPECTED: &str = "a safetensors file";

/// What every file with a checksum begins with, behind the length of its header.
const CHECKSUM_PREFIX: &str = r#"{"__metadata__":{"checksum":""#;

/// Where the digits of the checksum stand.
const CHECKSUM_AT: u64 = 8 + CHECKSUM_PREFIX.len() as u64;

/// Texts by name that a file holds beside its tensors.
pub type Metadata = BTreeMap<String, String>;

/// What the header says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The kind of its numbers: `F32`, `F16`, `BF16`, `F64`, `I64` and so on.
    pub dtype: String,
    /// The length of every axis.
    pub shape: Vec<usize>,
    /// Where its numbers begin and end, counted from the end of the header.
    offsets: (u64, u64),
}

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

/// The bytes in one number of a kind, or `None` for a kind that is not known.
fn dtype_size(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => 1,
        "U16" | "I16" | "F16" | "BF16" => 2,
        "U32" | "I32" | "F32" => 4,
        "U64" | "I64" | "F64" | "C64" => 8,
        _ => return None,
    })
}

/// How bytes of a kind become `f32`.
fn conversion(dtype: &str) -> Option<fn(&[u8], &mut Vec<f32>)> {
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

type Header = (Metadata, BTreeMap<String, TensorInfo>);

/// Takes a header apart, for a file with so many bytes of data.
fn parse_header(header: &[u8], data: u64) -> std::result::Result<Header, Mistake> {
    let Ok(text) = std::str::from_utf8(header) else {
        return mistake(EXPECTED, "a header that is not UTF-8");
    };
    let (mut metadata, mut tensors) = (None, BTreeMap::new());
    let mut reader = Reader::new(text);
    // The specification wants it so, which also tells other files from these at once.
    if !text.starts_with('{') {
        return mistake(format!("{EXPECTED}, whose header begins with {{"), "something else");
    }
    reader.object(|reader, name| {
        if name == "__metadata__" {
            return match metadata.replace(parse_metadata(reader)?) {
                None => Ok(()),
                Some(_) => mistake("one __metadata__", "two"),
            };
        }
        let info = parse_info(reader, &name)?;
        if tensors.len() == MAX_TENSORS {
            return mistake(format!("at most {MAX_TENSORS} tensors"), "more");
        }
        match tensors.insert(name, info) {
            None => Ok(()),
            Some(_) => mistake("every tensor once", "two of the same name"),
        }
    })?;
    reader.end()?;

    let mut order: Vec<(u64, u64, &str)> =
        tensors.iter().map(|(name, info)| (info.offsets.0, info.offsets.1, name.as_str())).collect();
    order.sort_unstable();
    let mut covered = 0;
    for (begin, end, name) in order {
        if begin != covered {
            let what = if begin > covered { "a hole before it" } else { "an overlap with the one before" };
            return mistake(format!("data of {name} from byte {covered} on"), format!("{begin}: {what}"));
        }
        covered = end;
    }
    if covered != data {
        return mistake(
            format!("{covered} bytes of data, as the header promises"),
            format!("{data}: cut short, or followed by something"),
        );
    }
    Ok((metadata.unwrap_or_default(), tensors))
}

fn parse_metadata(reader: &mut Reader) -> std::result::Result<Metadata, Mistake> {
    let mut metadata = Metadata::new();
    reader.object(|reader, key| {
        let value = reader.string()?;
        if metadata.len() == MAX_TENSORS {
            return mistake(format!("at most {MAX_TENSORS} entries of metadata"), "more");
        }
        match metadata.insert(key, value) {
            None => Ok(()),
            Some(_) => mistake("every entry of the metadata once", "two of the same name"),
        }
    })?;
    Ok(metadata)
}

/// `{"dtype": ..., "shape": [...], "data_offsets": [begin, end]}`, in any order.
fn parse_info(reader: &mut Reader, name: &str) -> std::result::Result<TensorInfo, Mistake> {
    let (mut dtype, mut shape, mut offsets) = (None, None, None);
    reader.object(|reader, key| {
        let twice = match key.as_str() {
            "dtype" => dtype.replace(reader.string()?).is_some(),
            "shape" => shape.replace(parse_numbers(reader, MAX_RANK)?).is_some(),
            "data_offsets" => offsets.replace(parse_numbers(reader, 2)?).is_some(),
            _ => return reader.refuse("dtype, shape and data_offsets"),
        };
        if twice { mistake(format!("one {key} of {name}"), "two") } else { Ok(()) }
    })?;
    let (Some(dtype), Some(shape), Some(offsets)) = (dtype, shape, offsets) else {
        return mistake(format!("dtype, shape and data_offsets of {name}"), "less");
    };
    let Some(size) = dtype_size(&dtype) else {
        let shown: String = dtype.chars().take(20).collect();
        return mistake(format!("a known dtype of {name}"), format!("{shown:?}"));
    };
    let &[begin, end] = offsets.as_slice() else {
        return mistake(format!("two data_offsets of {name}"), format!("{}", offsets.len()));
    };
    let bytes = shape.iter().try_fold(size, |product, &dim| product.checked_mul(dim));
    // A zero among the factors hides an overflow of the others, which an index could still run into.
    let sane = shape.iter().filter(|&&dim| dim > 0).try_fold(size, |product, &dim| product.checked_mul(dim));
    if begin > end || bytes != Some(end - begin) || sane.is_none_or(|bytes| usize::try_from(bytes).is_err()) {
        let expected = format!("data_offsets of {name} that fit {dtype} of shape {shape:?}");
        return mistake(expected, format!("{begin} to {end}"));
    }
    let shape = shape.into_iter().map(|dim| dim as usize).collect();
    Ok(TensorInfo { dtype, shape, offsets: (begin, end) })
}

fn parse_numbers(reader: &mut Reader, most: usize) -> std::result::Result<Vec<u64>, Mistake> {
    let mut numbers = Vec::new();
    reader.array(|reader| {
        if numbers.len() == most {
            return mistake(format!("at most {most} numbers in a shape or in data_offsets"), "more");
        }
        numbers.push(reader.whole()?);
        Ok(())
    })?;
    Ok(numbers)
}

/// The bytes of a file with these tensors, in this order, and this metadata.
///
/// # Panics
/// When two tensors have the same name, or one is called `__metadata__`.
#[track_caller]
pub fn encode(tensors: &[(String, Tensor)], metadata: &Metadata) -> Vec<u8> {
    encode_behind("{", tensors, metadata)
}

/// The same with a checksum, for [`SafeTensors::verify_checksum`].
#[track_caller]
pub fn encode_with_checksum(tensors: &[(String, Tensor)], metadata: &Metadata) -> Vec<u8> {
    let mut bytes = encode_behind(&format!(r#"{CHECKSUM_PREFIX}00000000""#), tensors, metadata);
    let mut crc = Crc::new();
    crc.update(&bytes);
    let at = CHECKSUM_AT as usize;
    bytes[at..at + 8].copy_from_slice(format!("{:08x}", crc.sum()).as_bytes());
    bytes
}

/// The file with a header that starts with `start`: nothing yet, or an open metadata with its first entry.
#[track_caller]
fn encode_behind(start: &str, tensors: &[(String, Tensor)], metadata: &Metadata) -> Vec<u8> {
    let mut header = start.to_string();
    let open = start.len() > 1;
    if open || !metadata.is_empty() {
        let entries = metadata.iter().map(|(key, value)| format!("{}:{}", Quoted(key), Quoted(value)));
        let entries = entries.collect::<Vec<_>>().join(",");
        match (open, entries.is_empty()) {
            (true, true) => {}
            (true, false) => header += &format!(",{entries}"),
            (false, _) => header += &format!(r#""__metadata__":{{{entries}"#),
        }
        header.push('}');
    }
    let mut seen = std::collections::HashSet::new();
    let mut at = 0;
    for (name, tensor) in tensors {
        assert!(
            name != "__metadata__" && seen.insert(name),
            "safetensors: expected names that differ, and none __metadata__; got {name} twice or as a name"
        );
        let end = at + 4 * tensor.numel();
        let comma = if header.len() > 1 { "," } else { "" };
        let shape = tensor.shape().iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let name = Quoted(name);
        header +=
            &format!(r#"{comma}{name}:{{"dtype":"F32","shape":[{shape}],"data_offsets":[{at},{end}]}}"#);
        at = end;
    }
    header.push('}');
    // Spaces, so that the data begin at a multiple of eight bytes, as the reference writer does.
    while header.len() % 8 != 0 {
        header.push(' ');
    }

    let mut bytes = Vec::with_capacity(8 + header.len() + at);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    for (_, tensor) in tensors {
        bytes.extend(tensor.contiguous().data().iter().flat_map(|x| x.to_le_bytes()));
    }
    bytes
}
