//! The parts of a safetensors file put together, since a fuzzer does not find lengths.

/// A file of a header, which is the input up to its first zero byte, and data, which is what follows.
pub fn assembled(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (header, data) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}
