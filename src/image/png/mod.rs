//! PNG, out and in: a signature, then chunks.
//!
//! ```text
//! signature                      eight bytes that no text file has
//! IHDR   width height 8 0 0 0 0  bits per pixel, grey, deflate, the usual filters, not interlaced
//! IDAT   zlib(rows)              each row after one byte that names its filter
//! IEND                           nothing
//! ```
//!
//! A chunk is its length, its name, its content and a CRC-32 of name and content, all numbers with the most significant
//! byte first (ISO/IEC 15948, "Portable Network Graphics", section 5). Deflate comes from `flate2`.
//!
//! The writer makes exactly the file above. The reader takes what other programs make of a grey or colour picture with
//! eight bits, and turns colour into grey. Neither knows palettes, transparency, 16 bits or interlacing. Next to read:
//! `image/png/writer.rs`.

mod writer;

mod chunks;

mod reader;

pub(super) use reader::parse;
pub use reader::{decode, read};
pub use writer::{encode, write};

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
