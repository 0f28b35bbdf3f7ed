//! A graph: operators, the values between them, and the parameters, as protobuf messages.
//!
//! The numbers in this file are the field numbers of `onnx.proto`. A node and the value that it gives share a name, that of
//! the operator and its place, `Conv_0`; the last value is `output`.
//!
//! What this is not: a graph of any form. It is a chain with one open end, where the next node goes. Next to read:
//! `protobuf.rs`.

use std::collections::HashMap;

use super::protobuf::Message;
use crate::nn::{Leaf, Module};
use crate::ops::window::Pair;
use crate::{Shape, Tensor};

const INPUT: &str = "input";
const OUTPUT: &str = "output";
/// `TensorProto.DataType`
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A number or a list that says how an operator works.
pub(super) enum Attribute {
    Float(f32),
    Int(usize),
    Ints(Vec<usize>),
}

/// An operator at work.
struct Node {
    operator: &'static str,
    inputs: Vec<String>,
    attributes: Vec<(&'static str, Attribute)>,
    /// The shape of what it gives.
    shape: Shape,
}

pub(super) struct Graph {
    /// The names of all parameters and buffers of the net, by where they lie: names that a layer does not know itself.
    names: HashMap<*const (), String>,
    /// The shape of the input.
    input: Shape,
    nodes: Vec<Node>,
    /// `TensorProto`s by name. A layer that runs twice has its parameters here once.
    tensors: Vec<(String, Message)>,
}

fn address(leaf: Leaf<'_>) -> *const () {
    match leaf {
        Leaf::Param(param) => std::ptr::from_ref(param).cast(),
        Leaf::Buffer(buffer) => std::ptr::from_ref(buffer).cast(),
    }
}

impl Graph {
    /// A graph without nodes, whose open end is the input.
    pub fn new(net: &dyn Module, input: Shape) -> Graph {
        let mut names = HashMap::new();
        net.visit("", &mut |name, leaf| {
            names.insert(address(leaf), name);
        });
        Graph { names, input, nodes: Vec::new(), tensors: Vec::new() }
    }

    /// The full name of a parameter or a buffer of the net; `None` if it is not the net's.
    pub fn name_of(&self, leaf: Leaf<'_>) -> Option<String> {
        self.names.get(&address(leaf)).cloned()
    }

    /// Adds an operator at the open end. `inputs` are those behind the first, which is the open end itself.
    pub fn push(
        &mut self,
        operator: &'static str,
        inputs: Vec<String>,
        attributes: Vec<(&'static str, Attribute)>,
        shape: Shape,
    ) {
        self.nodes.push(Node { operator, inputs, attributes, shape });
    }

    /// Adds constants that operators use by name.
    pub fn tensor(&mut self, name: &str, value: &Tensor) {
        let bytes: Vec<u8> = value.contiguous().data().iter().flat_map(|x| x.to_le_bytes()).collect();
        self.raw_tensor(name, FLOAT, &value.shape(), &bytes);
    }

    fn raw_tensor(&mut self, name: &str, data_type: i64, shape: &[usize], little_endian: &[u8]) {
        if self.tensors.iter().all(|(known, _)| known != name) {
            let dims = Message::default().each(shape, |message, &dim| message.int(1, dim as i64));
            let tensor = dims.int(2, data_type).text(8, name).bytes(9, little_endian);
            self.tensors.push((name.to_string(), tensor));
        }
    }

    /// Adds an operator that puts constants around images of this shape, nothing where both paddings are 0.
    pub fn pad(&mut self, start: Pair, end: Pair, value: f32, images: Shape) {
        if start == 0.into() && end == 0.into() {
            return;
        }
        // From set 11 on they are inputs, not attributes: for every axis its start, then for every axis its end.
        let pads = [0, 0, start.h, start.w, 0, 0, end.h, end.w];
        let bytes: Vec<u8> = pads.iter().flat_map(|&pad| (pad as i64).to_le_bytes()).collect();
        let inputs = ["pads", "value"].map(|input| format!("Pad_{}.{input}", self.nodes.len())).to_vec();
        self.raw_tensor(&inputs[0], INT64, &[pads.len()], &bytes);
        self.tensor(&inputs[1], &Tensor::scalar(value));
        let padded = images.with(2, start.h + images[2] + end.h).with(3, start.w + images[3] + end.w);
        self.push("Pad", inputs, vec![], padded);
    }

    /// The `GraphProto`.
    pub fn finish(mut self, name: &str) -> Message {
        if self.nodes.is_empty() {
            self.push("Identity", vec![], vec![], self.input);
        }
        let mut graph = Message::default();
        let mut values = Vec::new();
        let mut last = INPUT.to_string();
        let count = self.nodes.len();
        for (i, node) in self.nodes.into_iter().enumerate() {
            let name = format!("{}_{i}", node.operator);
            let output = if i + 1 == count { OUTPUT.to_string() } else { name.clone() };
            let inputs = std::iter::once(&last).chain(&node.inputs);
            let message = Message::default()
                .each(inputs, |message, input| message.text(1, input))
                .text(2, &output)
                .text(3, &name)
                .text(4, node.operator)
                .each(&node.attributes, |message, attribute| message.message(5, attribute_proto(attribute)));
            graph = graph.message(1, message);
            values.push((output.clone(), node.shape));
            last = output;
        }
        graph = graph.text(2, name);
        graph = graph.each(self.tensors, |graph, (_, tensor)| graph.message(5, tensor));
        graph = graph.message(11, value_info(INPUT, &self.input));
        let field = |name: &str| if name == OUTPUT { 12 } else { 13 };
        graph.each(&values, |graph, (name, shape)| graph.message(field(name), value_info(name, shape)))
    }
}

/// An `AttributeProto`: a name, a value in the field of its type, and the type again.
fn attribute_proto((name, value): &(&'static str, Attribute)) -> Message {
    let message = Message::default().text(1, name);
    // A stride beyond 2^63 means what 2^63 means: there is one window.
    let int = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    match value {
        Attribute::Float(x) => message.float(2, *x).int(20, 1),
        Attribute::Int(n) => message.int(3, int(*n)).int(20, 2),
        Attribute::Ints(all) => message.each(all, |message, &n| message.int(8, int(n))).int(20, 7),
    }
}

/// A `ValueInfoProto`: a name with a `TypeProto`, a tensor of `f32` with a `TensorShapeProto` whose first axis is named.
fn value_info(name: &str, shape: &[usize]) -> Message {
    let dims = shape[1..].iter().map(|&dim| Message::default().int(1, dim as i64));
    let dims = std::iter::once(Message::default().text(2, "batch")).chain(dims);
    let shape = Message::default().each(dims, |shape, dim| shape.message(1, dim));
    let tensor = Message::default().int(1, FLOAT).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}
