//! Writes protobuf messages: the few field types that ONNX needs, and no more.
//!
//! ```text
//! message   field*, in any order
//! field     varint(number << 3 | wire type)  value
//! value     0: varint                        an int, two's complement in 64 bits
//!           2: varint(length)  bytes         text, bytes, or another message
//!           5: four bytes, lowest first      a float
//! varint    seven bits a byte, lowest first; the top bit says that more follow
//! ```
//!
//! (The protobuf documentation, "Encoding".) Which number is which field, only the schema says; it is not in the file. A
//! list is its field again for every element.
//!
//! This file reads nothing and knows no schema. Next to read: [`crate::image`], pictures in and out.

/// A message under construction: the bytes of its fields so far.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// With an integer field more.
    pub fn int(mut self, field: u32, value: i64) -> Message {
        self.tag(field, 0);
        // A negative number is its two's complement, which always takes ten bytes.
        self.varint(value.cast_unsigned());
        self
    }

    /// With a field of 32 bits more.
    pub fn float(mut self, field: u32, value: f32) -> Message {
        self.tag(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// With a field of bytes more.
    pub fn bytes(mut self, field: u32, value: &[u8]) -> Message {
        self.tag(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// With a field of text more.
    pub fn text(self, field: u32, value: &str) -> Message {
        self.bytes(field, value.as_bytes())
    }

    /// With a message as a field.
    pub fn message(self, field: u32, value: Message) -> Message {
        self.bytes(field, &value.0)
    }

    /// With the field once for every element.
    pub fn each<T>(
        self,
        values: impl IntoIterator<Item = T>,
        add: impl FnMut(Message, T) -> Message,
    ) -> Message {
        values.into_iter().fold(self, add)
    }

    /// The bytes of the message.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the protobuf documentation ("Encoding"), and the ends of the ranges.
    #[test]
    fn fields_are_written_as_in_the_documentation() {
        let bytes = |message: Message| message.finish();
        let new = Message::default;
        assert_eq!(bytes(new().int(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(bytes(new().text(2, "testing")), [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']);
        assert_eq!(bytes(new().message(3, new().int(1, 150))), [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(
            bytes(new().int(1, -2)),
            [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        );
        assert_eq!(bytes(new().each([1, 128], |all, n| all.int(6, n))), [0x30, 1, 0x30, 0x80, 0x01]);
        assert_eq!(bytes(new().int(20, 127)), [0xa0, 0x01, 127]);
        assert_eq!(bytes(new().float(2, 1.0)), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(bytes(new()), []);
    }
}
