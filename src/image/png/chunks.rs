//! A PNG file as a row of chunks, and the pixels' zlib stream that lies in pieces in the `IDAT` ones.
//!
//! What keeps a hostile file harmless: a length is held against the bytes that are left before anything is taken, a
//! content is a slice of the file and never a copy, every CRC-32 is checked, and of the zlib stream no more is
//! decompressed than the caller has room for.
//!
//! Two faults of a stream harm nobody and are let pass. A match may be farther back than the window that the zlib header
//! declares: some programs write such headers, and browsers read them. And one may reach back to before the first byte,
//! where `flate2` has zeros: no damage looks like that, since the Adler-32 must be right with the zeros in it.
//!
//! This file gives no chunk a meaning. Next to read: `image/png/reader.rs`.

use super::SIGNATURE;
use crate::error::{Mistake, mistake};
use crate::image::read::format_of;
use flate2::{Crc, Decompress, FlushDecompress, Status};

type Result<T> = std::result::Result<T, Mistake>;

/// One chunk; its CRC-32 was right.
pub(super) struct Chunk<'a> {
    pub name: [u8; 4],
    pub content: &'a [u8],
}

/// The name of a chunk for a message. It has four letters: others are refused before.
pub(super) fn letters(name: [u8; 4]) -> String {
    name.map(char::from).iter().collect()
}

/// The chunks from one place in the file to its end.
#[derive(Clone)]
pub(super) struct Chunks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Chunks<'a> {
    /// All chunks of a file, after its signature is found right.
    pub fn new(bytes: &'a [u8]) -> Result<Chunks<'a>> {
        if !bytes.starts_with(SIGNATURE) {
            let damaged = bytes.starts_with(&SIGNATURE[..4]);
            let found = if damaged { "one whose signature is damaged" } else { format_of(bytes) };
            return mistake("a PNG picture", found);
        }
        Ok(Chunks { bytes, at: SIGNATURE.len() })
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next chunk; none at the end of the file.
    pub fn next(&mut self) -> Result<Option<Chunk<'a>>> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let Some((head, body)) = rest.split_first_chunk::<8>() else {
            return mistake("a chunk's length and name", format!("only {} bytes", rest.len()));
        };
        let [a, b, c, d, name @ ..] = *head;
        if !name.iter().all(u8::is_ascii_alphabetic) {
            return mistake(
                format!("a chunk's name of four letters at byte {}", self.at + 4),
                format!("{name:02x?}"),
            );
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let parts = body.split_at_checked(length);
        let Some((content, [e, f, g, h, ..])) = parts else {
            let expected = format!("{length} bytes and a CRC-32 in the chunk {}", letters(name));
            return mistake(expected, format!("only {} bytes", body.len()));
        };
        let mut crc = Crc::new();
        crc.update(&name);
        crc.update(content);
        let (right, found) = (crc.sum(), u32::from_be_bytes([*e, *f, *g, *h]));
        if found != right {
            let expected = format!("the CRC-32 {right:#010x} after the chunk {}", letters(name));
            return mistake(expected, format!("{found:#010x}"));
        }
        self.at += 12 + length;
        Ok(Some(Chunk { name, content }))
    }
}

/// What the zlib stream in the `IDAT` chunks decompresses to, piece by piece.
pub(super) struct Inflate<'a> {
    chunks: Chunks<'a>,
    /// What is left of the chunk at hand.
    input: &'a [u8],
    zlib: Decompress,
    ended: bool,
}

impl<'a> Inflate<'a> {
    /// The first of the `chunks` must be an `IDAT`; the stream goes on to the last one in a row.
    pub fn new(chunks: Chunks<'a>) -> Inflate<'a> {
        Inflate { chunks, input: &[], zlib: Decompress::new(true), ended: false }
    }

    /// Fills the buffer and tells how much of it: less than all only when the stream is at its end, and then its
    /// checksum (Adler-32) was right.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && !self.ended {
            self.refill()?;
            let (read, made) = (self.zlib.total_in(), self.zlib.total_out());
            let status = self.zlib.decompress(self.input, &mut buffer[filled..], FlushDecompress::None);
            let Ok(status) = status else {
                return mistake("an undamaged zlib stream in IDAT", "damage, or a wrong Adler-32");
            };
            let read = (self.zlib.total_in() - read) as usize;
            let made = (self.zlib.total_out() - made) as usize;
            self.input = &self.input[read..];
            filled += made;
            self.ended = status == Status::StreamEnd;
            if read == 0 && made == 0 && !self.ended {
                return mistake("a whole zlib stream in IDAT", "one that is cut short");
            }
        }
        Ok(filled)
    }

    /// Whether nothing follows the stream in the chunks.
    pub fn is_used_up(&mut self) -> Result<bool> {
        self.refill()?;
        Ok(self.input.is_empty())
    }

    /// Goes on to the next `IDAT` with something in it, if there is one.
    fn refill(&mut self) -> Result<()> {
        while self.input.is_empty() {
            match self.chunks.next()? {
                Some(Chunk { name: [b'I', b'D', b'A', b'T'], content }) => self.input = content,
                _ => break,
            }
        }
        Ok(())
    }
}
