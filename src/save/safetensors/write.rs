//! Writes safetensors files: `f32` only, with or without a checksum.
//!
//! Next to read: `save/mod.rs`, on whole nets.

use std::collections::HashSet;

use flate2::Crc;

use super::{CHECKSUM_AT, CHECKSUM_PREFIX, Metadata};
use crate::Tensor;
use crate::json::Quoted;

/// The bytes of a file with these tensors, in this order, and this metadata.
///
/// # Panics
/// When two tensors have the same name, or one is called `__metadata__`.
#[track_caller]
pub fn encode(tensors: &[(String, Tensor)], metadata: &Metadata) -> Vec<u8> {
    encode_behind("{", tensors, metadata)
}

/// The same with a checksum, for [`SafeTensors::verify_checksum`](super::SafeTensors::verify_checksum).
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
    let mut seen = HashSet::new();
    let mut at = 0;
    for (name, tensor) in tensors {
        assert!(
            name != "__metadata__",
            "safetensors: a tensor cannot be called __metadata__, the name of the texts"
        );
        assert!(seen.insert(name), "safetensors: every tensor needs a name of its own, got {name} twice");
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
    while !header.len().is_multiple_of(8) {
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
