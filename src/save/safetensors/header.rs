//! The header of a safetensors file, taken apart and held against the rest of the file.
//!
//! Next to read: `write.rs`.

use std::collections::BTreeMap;

use super::{EXPECTED, Metadata};
use crate::error::{Mistake, mistake};
use crate::json::Reader;
use crate::tensor::MAX_RANK;

/// More tensors than this are refused, and more entries of metadata: a hundred times what the largest published nets have.
pub const MAX_TENSORS: usize = 1 << 17;

/// What the header says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The kind of its numbers: `F32`, `F16`, `BF16`, `F64`, `I64` and so on.
    pub dtype: String,
    /// The length of every axis.
    pub shape: Vec<usize>,
    /// Where its numbers begin and end, counted from the end of the header.
    pub(super) offsets: (u64, u64),
}

pub(super) type Header = (Metadata, BTreeMap<String, TensorInfo>);

/// Takes a header apart, for a file with so many bytes of data.
pub(super) fn parse_header(header: &[u8], data: u64) -> std::result::Result<Header, Mistake> {
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
