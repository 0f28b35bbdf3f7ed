//! Saving and handing over: mistakes of a program, not of a file. This is the last file of the folder.

use std::borrow::Cow;
use std::env::temp_dir;
use std::process;

use tapegrad::nn::{Conv2d, Flatten, Init, Kind, LeNet, Linear, Module, Part, PartMut, Sequential};
use tapegrad::save::safetensors::{Metadata, SafeTensors, encode, encode_with_checksum};
use tapegrad::save::{load_model_from, onnx, save_model};
use tapegrad::{Param, Tensor, Var};

use super::each_says;

/// A module whose two lists of parameters are its user's.
struct Own {
    params: [Param; 2],
    listed: [&'static str; 2],
    to_change: &'static [&'static str],
}

impl Own {
    fn new(listed: [&'static str; 2], to_change: &'static [&'static str]) -> Own {
        Own { params: [1.0, 2.0].map(|value| Param::new(Tensor::scalar(value))), listed, to_change }
    }
}

impl Module for Own {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x
    }

    fn name(&self) -> &str {
        "Own"
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        self.listed.iter().zip(&self.params).map(|(&name, param)| (name.into(), Part::Param(param))).collect()
    }

    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        let named = self.to_change.iter().zip(&mut self.params);
        named.map(|(&name, param)| (name.into(), PartMut::Param(param))).collect()
    }
}

/// Says that it runs its layer twice, which does not even fit.
struct Twice(Linear);

impl Module for Twice {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        self.0.forward(x)
    }

    fn name(&self) -> &str {
        "Twice"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Chain(vec![&self.0, &self.0])
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        vec![("layer".into(), Part::Module(&self.0))]
    }
}

/// A file with the two parameters.
fn saved() -> SafeTensors {
    let tensors = ["a", "b"].map(|name| (name.to_string(), Tensor::scalar(5.0)));
    SafeTensors::from_bytes(encode(&tensors, &Metadata::new())).expect("written a moment ago")
}

#[test]
fn names() {
    each_says(&[
        (
            || {
                drop(encode(
                    &["a", "b", "a"].map(|name| (name.to_string(), Tensor::ones([2]))),
                    &Metadata::new(),
                ))
            },
            "safetensors: every tensor needs a name of its own, got a twice",
        ),
        (
            || {
                drop(encode_with_checksum(
                    &[("__metadata__".to_string(), Tensor::ones([2]))],
                    &Metadata::new(),
                ))
            },
            "safetensors: a tensor cannot be called __metadata__, the name of the texts",
        ),
        (
            || {
                let path = temp_dir().join(format!("tapegrad-misuse-{}", process::id()));
                drop(save_model(&Own::new(["a", "a"], &["a", "a"]), path, &Metadata::new()));
            },
            "safetensors: every tensor needs a name of its own, got a twice",
        ),
        // It would have loaded all but that one, and said nothing.
        (
            || drop(load_model_from(&mut Own::new(["a", "b"], &["a"]), &mut saved())),
            "load_model: the parts() of this net and its modules list 2 parameters, their parts_mut() 1; what is left out never changes",
        ),
        (
            || drop(load_model_from(&mut Own::new(["a", "b"], &["a", "c"]), &mut saved())),
            "load_model: this net's parts_mut() list a parameter c, which its parts() do not",
        ),
    ]);
}

#[test]
fn exporting() {
    each_says(&[
        (
            || drop(onnx::encode(&Linear::new(4, 2, &mut Init::new(0)), &[])),
            "onnx: needs the shape of an input, its first axis the batch, got []",
        ),
        (
            || drop(onnx::encode(&Linear::new(4, 2, &mut Init::new(0)), &[1, 3])),
            "linear: input [1, 3] needs a weight [out_features, 3], got [2, 4]",
        ),
        (
            || drop(onnx::encode(&LeNet::new(&mut Init::new(0)), &[1, 28, 28])),
            "conv2d: needs images [n, c, h, w], got [1, 28, 28]; unsqueeze adds an axis of length 1",
        ),
        (
            || drop(onnx::encode(&LeNet::new(&mut Init::new(0)), &[1, 1, 32, 28])),
            "linear: input [1, 320] needs a weight [out_features, 320], got [120, 256]",
        ),
        (
            || {
                let init = &mut Init::new(0);
                let net = Sequential::new()
                    .then(Conv2d::new(1, 2, 3, init))
                    .then(Flatten)
                    .then(Linear::new(72, 10, init));
                drop(onnx::export(
                    &net,
                    &[1, 1, 9, 9],
                    temp_dir().join(format!("tapegrad-misuse-{}", process::id())),
                ));
            },
            "linear: input [1, 98] needs a weight [out_features, 98], got [10, 72]",
        ),
        (
            || drop(onnx::encode(&Twice(Linear::new(4, 3, &mut Init::new(0))), &[1, 4])),
            "linear: input [16, 3] needs a weight [out_features, 3], got [3, 4]",
        ),
    ]);
}
