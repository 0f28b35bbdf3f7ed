//! Reads back the ONNX models that the crate writes, and no others, and says them in lines of text:
//!
//! ```text
//! Conv_0 = Conv(input, 0.weight, 0.bias) strides=[1, 1] : [batch, 6, 24, 24]
//! ```
//!
//! It shares no code with the writer. Whatever is wrong panics: a field that `onnx.proto` does not have, a field twice that may be
//! there once, a value that is used before it is made or made twice, a byte too many.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write;

/// The value of a field, by its wire type.
#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Float(f32),
}

/// A message's values by field number, in their order. Each must be taken.
struct Message<'a>(BTreeMap<u64, Vec<Field<'a>>>);

impl<'a> Message<'a> {
    fn new(mut bytes: &'a [u8]) -> Message<'a> {
        let mut fields: BTreeMap<u64, Vec<Field>> = BTreeMap::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let value = match tag & 7 {
                0 => Field::Int(varint(&mut bytes) as i64),
                2 => {
                    let len = varint(&mut bytes) as usize;
                    Field::Bytes(take(&mut bytes, len))
                }
                5 => Field::Float(f32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap())),
                other => panic!("wire type {other}"),
            };
            fields.entry(tag >> 3).or_default().push(value);
        }
        Message(fields)
    }

    fn all(&mut self, field: u64) -> Vec<Field<'a>> {
        self.0.remove(&field).unwrap_or_default()
    }

    #[track_caller]
    fn one(&mut self, field: u64) -> Field<'a> {
        let [value] = self.all(field)[..] else { panic!("field {field} is not there once") };
        value
    }

    #[track_caller]
    fn int(&mut self, field: u64) -> i64 {
        let Field::Int(value) = self.one(field) else { panic!("field {field} is no integer") };
        value
    }

    fn ints(&mut self, field: u64) -> Vec<i64> {
        let values = self.all(field).into_iter();
        values.map(|value| if let Field::Int(n) = value { n } else { panic!("{value:?}") }).collect()
    }

    #[track_caller]
    fn bytes(&mut self, field: u64) -> &'a [u8] {
        let Field::Bytes(value) = self.one(field) else { panic!("field {field} is no bytes") };
        value
    }

    fn many(&mut self, field: u64) -> Vec<&'a [u8]> {
        let values = self.all(field).into_iter();
        values.map(|value| if let Field::Bytes(b) = value { b } else { panic!("{value:?}") }).collect()
    }

    #[track_caller]
    fn text(&mut self, field: u64) -> String {
        text(self.bytes(field))
    }

    #[track_caller]
    fn message(&mut self, field: u64) -> Message<'a> {
        Message::new(self.bytes(field))
    }

    #[track_caller]
    fn end(self) {
        assert!(self.0.is_empty(), "fields that nobody asked for: {:?}", self.0);
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a varint of more than ten bytes")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a model says.
pub struct Model {
    /// `ir 8, opset 17, tapegrad 0.1.0, graph LeNet`
    pub header: String,
    /// The input, then every node with the shape of its value.
    pub lines: Vec<String>,
    /// Names, dims, and the values as `f32` (those of an int64 tensor, too).
    pub tensors: Vec<(String, Vec<i64>, Vec<f32>)>,
}

pub fn read(bytes: &[u8]) -> Model {
    let mut model = Message::new(bytes);
    let mut graph = model.message(7);
    let mut opset = model.message(8);
    assert_eq!(opset.text(1), "");
    let header = format!(
        "ir {}, opset {}, {} {}, graph {}",
        model.int(1),
        opset.int(2),
        model.text(2),
        model.text(3),
        graph.text(2)
    );
    opset.end();
    model.end();

    let tensors: Vec<_> = graph.many(5).into_iter().map(tensor).collect();
    let shapes: BTreeMap<String, String> =
        [11, 12, 13].iter().flat_map(|&field| graph.many(field)).map(value_info).collect();
    let mut known: Vec<String> = tensors.iter().map(|(name, ..)| name.clone()).collect();
    known.push("input".to_string());
    let mut lines = vec![format!("input : {}", shapes["input"])];
    for node in graph.many(1) {
        let mut node = Message::new(node);
        let inputs: Vec<String> = node.many(1).into_iter().map(text).collect();
        assert!(inputs.iter().all(|input| known.contains(input)), "{inputs:?}");
        let output = node.text(2);
        assert!(!known.contains(&output), "{output} twice");
        known.push(output.clone());
        let (name, operator) = (node.text(3), node.text(4));
        assert!(output == name || output == "output", "{output} by {name}");
        let mut line = format!("{name} = {operator}({})", inputs.join(", "));
        for bytes in node.many(5) {
            let _ = write!(line, " {}", attribute(bytes));
        }
        node.end();
        lines.push(format!("{line} : {}", shapes[&output]));
    }
    graph.end();
    assert_eq!(shapes.len(), lines.len(), "every value has one shape");
    assert_eq!(known.last().unwrap(), "output");
    Model { header, lines, tensors }
}

fn tensor(bytes: &[u8]) -> (String, Vec<i64>, Vec<f32>) {
    let mut tensor = Message::new(bytes);
    let (dims, data_type) = (tensor.ints(1), tensor.int(2));
    let (name, raw) = (tensor.text(8), tensor.bytes(9));
    tensor.end();
    let values: Vec<f32> = match data_type {
        1 => raw.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect(),
        7 => raw.chunks(8).map(|x| i64::from_le_bytes(x.try_into().unwrap()) as f32).collect(),
        other => panic!("data type {other}"),
    };
    assert_eq!(dims.iter().product::<i64>(), values.len() as i64, "{name}");
    (name, dims, values)
}

fn value_info(bytes: &[u8]) -> (String, String) {
    let mut info = Message::new(bytes);
    let (name, mut kind) = (info.text(1), info.message(2));
    info.end();
    let mut tensor = kind.message(1);
    kind.end();
    assert_eq!(tensor.int(1), 1, "{name} is of f32");
    let mut shape = tensor.message(2);
    tensor.end();
    let dims = shape.many(1).into_iter().map(|bytes| {
        let mut dim = Message::new(bytes);
        let text = if dim.0.contains_key(&2) { dim.text(2) } else { dim.int(1).to_string() };
        dim.end();
        text
    });
    let dims = dims.collect::<Vec<_>>().join(", ");
    shape.end();
    (name, format!("[{dims}]"))
}

fn attribute(bytes: &[u8]) -> String {
    let mut attribute = Message::new(bytes);
    let name = attribute.text(1);
    let value = match attribute.int(20) {
        1 => {
            let Field::Float(x) = attribute.one(2) else { panic!("{name} is no float") };
            x.to_string()
        }
        2 => attribute.int(3).to_string(),
        7 => format!("{:?}", attribute.ints(8)),
        other => panic!("{name} is of type {other}"),
    };
    attribute.end();
    format!("{name}={value}")
}
