//! ONNX: which graph is written for a net, for every layer and option, and which nets are refused.
//!
//! Here the graph is read back and compared with what the ONNX standard wants for the layer. What other runtimes compute from it is
//! held against this crate in interop/. Next to read: onnx_zoo.rs.

mod onnx_reader;
mod scratch;

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::process::Command;

use onnx_reader::read;
use scratch::Scratch;
use tapegrad::nn::{
    AvgPool2d, Conv2d, Flatten, Init, Kind, LeNet, Linear, MaxPool2d, Module, Part, ReLU, Sequential, Tanh,
    lenet_batch_norm,
};
use tapegrad::save::{Metadata, onnx, save_model};
use tapegrad::{Tensor, Var};

/// The graph of a net, line by line.
#[track_caller]
fn lines(net: &dyn Module, input: &[usize]) -> Vec<String> {
    read(&onnx::encode(net, input).unwrap()).lines
}

#[test]
fn lenet_is_twelve_operators() {
    let net = LeNet::new(&mut Init::new(0));
    let model = read(&onnx::encode(&net, &[256, 1, 28, 28]).unwrap());
    assert_eq!(model.header, format!("ir 8, opset 17, tapegrad {}, graph LeNet", env!("CARGO_PKG_VERSION")));
    let conv = "kernel_shape=[5, 5] strides=[1, 1] pads=[0, 0, 0, 0] dilations=[1, 1] group=1";
    let pool = "kernel_shape=[2, 2] strides=[2, 2] pads=[0, 0, 0, 0] dilations=[1, 1]";
    let want = [
        "input : [batch, 1, 28, 28]".to_string(),
        format!("Conv_0 = Conv(input, conv.0.weight, conv.0.bias) {conv} : [batch, 6, 24, 24]"),
        "Sigmoid_1 = Sigmoid(Conv_0) : [batch, 6, 24, 24]".to_string(),
        format!("MaxPool_2 = MaxPool(Sigmoid_1) {pool} : [batch, 6, 12, 12]"),
        format!("Conv_3 = Conv(MaxPool_2, conv.3.weight, conv.3.bias) {conv} : [batch, 16, 8, 8]"),
        "Sigmoid_4 = Sigmoid(Conv_3) : [batch, 16, 8, 8]".to_string(),
        format!("MaxPool_5 = MaxPool(Sigmoid_4) {pool} : [batch, 16, 4, 4]"),
        "Flatten_6 = Flatten(MaxPool_5) axis=1 : [batch, 256]".to_string(),
        "Gemm_7 = Gemm(Flatten_6, fc.0.weight, fc.0.bias) transB=1 : [batch, 120]".to_string(),
        "Sigmoid_8 = Sigmoid(Gemm_7) : [batch, 120]".to_string(),
        "Gemm_9 = Gemm(Sigmoid_8, fc.2.weight, fc.2.bias) transB=1 : [batch, 84]".to_string(),
        "Sigmoid_10 = Sigmoid(Gemm_9) : [batch, 84]".to_string(),
        "Gemm_11 = Gemm(Sigmoid_10, fc.4.weight, fc.4.bias) transB=1 : [batch, 10]".to_string(),
    ];
    assert_eq!(model.lines, want);

    let parameters = net.named_parameters();
    assert_eq!(model.tensors.len(), parameters.len());
    for ((name, dims, values), (want_name, param)) in model.tensors.iter().zip(parameters) {
        assert_eq!(*name, want_name);
        let shape = param.value().shape();
        assert!(dims.iter().map(|&dim| dim as usize).eq(shape.iter().copied()), "{name}: {dims:?}");
        assert_eq!(*values, param.value().to_vec(), "{name}");
    }
}

/// ONNX's batch norm wants vectors; the notebook's are `[1, c]` and `[1, c, 1, 1]`.
#[test]
fn batch_norm_brings_its_moving_statistics() {
    let net = lenet_batch_norm(&mut Init::new(0));
    for (i, (_, buffer)) in net.named_buffers().into_iter().enumerate() {
        buffer.set(&Tensor::full(buffer.value().shape(), i as f32 + 0.5));
    }
    let model = read(&onnx::encode(&net, &[1, 1, 28, 28]).unwrap());
    assert_eq!(
        [&model.lines[2], &model.lines[11]],
        [
            "BatchNormalization_1 = BatchNormalization(Conv_0, 1.gamma, 1.beta, 1.moving_mean, 1.moving_var) \
             epsilon=0.00001 : [batch, 6, 24, 24]",
            "BatchNormalization_10 = BatchNormalization(Gemm_9, 10.gamma, 10.beta, 10.moving_mean, 10.moving_var) \
             epsilon=0.00001 : [batch, 120]",
        ]
    );
    let of = |name: &str| model.tensors.iter().find(|tensor| tensor.0 == name).unwrap();
    assert_eq!(*of("5.gamma"), ("5.gamma".to_string(), vec![16], vec![1.0; 16]));
    assert_eq!(*of("5.moving_var"), ("5.moving_var".to_string(), vec![16], vec![3.5; 16]));
    assert_eq!(*of("13.moving_mean"), ("13.moving_mean".to_string(), vec![84], vec![6.5; 84]));
}

/// One line for a layer with its options; the attributes are those of the standard's operators.
#[test]
fn every_option_of_a_layer_is_an_attribute() {
    let init = &mut Init::new(0);
    let cases: [(Box<dyn Module>, &[usize], &str); 10] = [
        (
            Box::new(Conv2d::grouped(4, 6, (3, 2), 2, init).stride((2, 3)).padding((1, 4)).dilation((2, 5))),
            &[1, 4, 9, 8],
            "Conv_0 = Conv(input, weight, bias) kernel_shape=[3, 2] strides=[2, 3] pads=[1, 4, 1, 4] \
             dilations=[2, 5] group=2 : [batch, 6, 4, 4]",
        ),
        (
            Box::new(Conv2d::new(1, 2, 3, init).without_bias()),
            &[1, 1, 3, 3],
            "Conv_0 = Conv(input, weight) kernel_shape=[3, 3] strides=[1, 1] pads=[0, 0, 0, 0] \
             dilations=[1, 1] group=1 : [batch, 2, 1, 1]",
        ),
        (
            Box::new(Linear::new(4, 3, init).without_bias()),
            &[1, 4],
            "Gemm_0 = Gemm(input, weight) transB=1 : [batch, 3]",
        ),
        (
            Box::new(MaxPool2d::new((3, 2)).stride((2, 1)).padding((1, 0)).dilation((1, 3))),
            &[1, 2, 6, 7],
            "MaxPool_0 = MaxPool(input) kernel_shape=[3, 2] strides=[2, 1] pads=[1, 0, 1, 0] dilations=[1, 3] \
             : [batch, 2, 3, 4]",
        ),
        (
            Box::new(AvgPool2d::new((3, 2)).stride((2, 1)).padding((1, 0))),
            &[1, 2, 6, 7],
            "AveragePool_0 = AveragePool(input) kernel_shape=[3, 2] strides=[2, 1] pads=[1, 0, 1, 0] \
             count_include_pad=1 : [batch, 2, 3, 6]",
        ),
        (
            Box::new(AvgPool2d::new(2).padding(1).count_include_pad(false)),
            &[1, 1, 4, 4],
            "AveragePool_0 = AveragePool(input) kernel_shape=[2, 2] strides=[2, 2] pads=[1, 1, 1, 1] \
             count_include_pad=0 : [batch, 1, 3, 3]",
        ),
        (Box::new(ReLU), &[1, 5], "Relu_0 = Relu(input) : [batch, 5]"),
        (Box::new(Tanh), &[1, 5, 2], "Tanh_0 = Tanh(input) : [batch, 5, 2]"),
        (Box::new(Flatten), &[1, 5, 2, 3], "Flatten_0 = Flatten(input) axis=1 : [batch, 30]"),
        (Box::new(Sequential::new()), &[1, 5], "Identity_0 = Identity(input) : [batch, 5]"),
    ];
    for (layer, input, want) in cases {
        assert_eq!(lines(&*layer, input)[1..], [want]);
    }
}

/// Seven places by windows of 3 that start 2 apart, one place of padding: windows start at -1, 1, 3, 5, all inside. With a
/// stride of 3 they start at -1, 2 and, rounded up, 5, and the last reaches to place 7, the padding's. Without padding they
/// start at 0, 3, 6, and the last reaches to place 8: two places over.
#[test]
fn a_pooling_that_rounds_up_has_more_padding_at_the_end() {
    let average = |pads: &str, count: u8| {
        format!("AveragePool(input) kernel_shape=[3, 3] strides=[3, 3] pads={pads} count_include_pad={count}")
    };
    let pool = AvgPool2d::new(3).ceil_mode(true);
    assert_eq!(
        lines(&pool, &[1, 1, 7, 6])[1],
        format!("AveragePool_0 = {} : [batch, 1, 3, 2]", average("[0, 0, 2, 0]", 0))
    );
    // Nothing hangs over: the layer's own padding, that counts.
    assert_eq!(
        lines(&pool.padding(1), &[1, 1, 7, 7])[1],
        format!("AveragePool_0 = {} : [batch, 1, 3, 3]", average("[1, 1, 1, 1]", 1))
    );
    // Of 8 places, windows start at -1, 2, 5 and, in the padding before place 8, not at 8.
    assert_eq!(
        lines(&pool.padding(1), &[1, 1, 8, 8])[1],
        format!("AveragePool_0 = {} : [batch, 1, 3, 3]", average("[1, 1, 1, 1]", 1))
    );
    // Of 9 places, they start at -1, 2, 5 and 8, and the last reaches to place 10, one behind the padding.
    assert_eq!(
        lines(&pool.padding(1).count_include_pad(false), &[1, 1, 9, 8])[1],
        format!("AveragePool_0 = {} : [batch, 1, 4, 3]", average("[1, 1, 2, 1]", 0))
    );
    let model = read(&onnx::encode(&pool.padding(1), &[1, 1, 9, 8]).unwrap());
    assert_eq!(
        model.lines[1..],
        [
            "Pad_0 = Pad(input, Pad_0.pads, Pad_0.value) : [batch, 1, 11, 10]".to_string(),
            format!(
                "AveragePool_1 = {} : [batch, 1, 4, 3]",
                average("[0, 0, 1, 0]", 0).replace("input", "Pad_0")
            ),
        ]
    );
    let pads = vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
    assert_eq!(
        model.tensors,
        [("Pad_0.pads".to_string(), vec![8], pads), ("Pad_0.value".to_string(), vec![], vec![0.0])]
    );

    // The same for the largest, which no padding can be: one place over in a row.
    assert_eq!(
        lines(&MaxPool2d::new(3).padding(1).ceil_mode(true), &[1, 1, 9, 8])[1],
        "MaxPool_0 = MaxPool(input) kernel_shape=[3, 3] strides=[3, 3] pads=[1, 1, 2, 1] dilations=[1, 1] \
         : [batch, 1, 4, 3]"
    );
    // A kernel of two places, four apart, covers five; padding of two is as long as the kernel, on either axis.
    for (dilation, padding, padded, dilations, output) in [
        ((4, 1), (2, 0), "[batch, 1, 9, 4]", "[4, 1]", "[batch, 1, 5, 3]"),
        ((1, 4), (0, 2), "[batch, 1, 5, 8]", "[1, 4]", "[batch, 1, 4, 4]"),
    ] {
        let pool = MaxPool2d::new(2).stride(1).dilation(dilation).padding(padding);
        let model = read(&onnx::encode(&pool, &[1, 1, 5, 4]).unwrap());
        assert_eq!(
            model.lines[1..],
            [
                format!("Pad_0 = Pad(input, Pad_0.pads, Pad_0.value) : {padded}"),
                format!(
                    "MaxPool_1 = MaxPool(Pad_0) kernel_shape=[2, 2] strides=[1, 1] pads=[0, 0, 0, 0] \
                     dilations={dilations} : {output}"
                ),
            ]
        );
        assert_eq!(model.tensors[1].2, [f32::NEG_INFINITY]);
    }
}

/// What a net of one's own may say of itself.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    Truth,
    Nothing,
    /// A chain without the ReLU that is in `forward`.
    TooLittle,
    /// That it is a layer that it is not.
    Sigmoid,
    /// The right chain, but one of its layers is not among its parts.
    NotItsParts,
}

/// A net of one's own that runs one layer twice.
struct Own {
    twice: Linear,
    output: Linear,
    says: Says,
}

impl Own {
    fn new(says: Says) -> Own {
        let init = &mut Init::new(1);
        Own { twice: Linear::new(4, 4, init), output: Linear::new(4, 2, init), says }
    }
}

impl Module for Own {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        self.output.call(self.twice.call(self.twice.call(x.flatten(1)).relu()))
    }
    fn name(&self) -> &str {
        "Own"
    }
    fn kind(&self) -> Kind<'_> {
        match self.says {
            Says::Nothing => Kind::Other,
            Says::Sigmoid => Kind::Sigmoid,
            Says::TooLittle => Kind::Chain(vec![&Flatten, &self.twice, &self.twice, &self.output]),
            _ => Kind::Chain(vec![&Flatten, &self.twice, &ReLU, &self.twice, &self.output]),
        }
    }
    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        let mut parts = vec![("twice".into(), Part::Module(&self.twice as &dyn Module))];
        if self.says != Says::NotItsParts {
            parts.push(("output".into(), Part::Module(&self.output)));
        }
        parts
    }
}

#[test]
fn a_net_of_one_s_own_says_which_chain_it_is() {
    let net = Sequential::new().then(Own::new(Says::Truth)).then(Tanh);
    let model = read(&onnx::encode(&net, &[3, 2, 2]).unwrap());
    let want = [
        "input : [batch, 2, 2]",
        "Flatten_0 = Flatten(input) axis=1 : [batch, 4]",
        "Gemm_1 = Gemm(Flatten_0, 0.twice.weight, 0.twice.bias) transB=1 : [batch, 4]",
        "Relu_2 = Relu(Gemm_1) : [batch, 4]",
        "Gemm_3 = Gemm(Relu_2, 0.twice.weight, 0.twice.bias) transB=1 : [batch, 4]",
        "Gemm_4 = Gemm(Gemm_3, 0.output.weight, 0.output.bias) transB=1 : [batch, 2]",
        "Tanh_5 = Tanh(Gemm_4) : [batch, 2]",
    ];
    assert_eq!(model.lines, want);
    let names: Vec<&str> = model.tensors.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["0.twice.weight", "0.twice.bias", "0.output.weight", "0.output.bias"]);
}

#[track_caller]
fn refusal(net: &dyn Module) -> String {
    onnx::encode(net, &[1, 4]).map(|bytes| read(&bytes).lines).unwrap_err().to_string()
}

#[test]
fn what_would_be_another_net_is_refused() {
    let cases = [
        (
            Says::Nothing,
            "net: expected layers that ONNX has operators for, and chains of them (Module::kind), found Own, which \
             is neither",
        ),
        (
            Says::TooLittle,
            "net: expected a chain of layers (Module::kind) that computes what forward does, found other numbers \
             from Own",
        ),
        (
            Says::Sigmoid,
            "net: expected a chain of layers (Module::kind) that computes what forward does, found other numbers \
             from Own",
        ),
        (
            Says::NotItsParts,
            "net: expected layers that are among the net's parts (Module::parts), found a Linear whose weight is not",
        ),
    ];
    for (says, want) in cases {
        assert_eq!(refusal(&Own::new(says)), want);
    }
    // Also far inside.
    let net = Sequential::new().then(Sequential::new().then(Tanh).then(Own::new(Says::Nothing)));
    assert!(refusal(&net).ends_with("found Own, which is neither"));

    // A net whose training went wrong is exported as it is.
    let mut net = Own::new(Says::Truth);
    net.output.bias.set(&Tensor::full([2], f32::NAN));
    assert!(onnx::encode(&net, &[1, 4]).is_ok());
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let scratch = Scratch::new("onnx");
    let net = LeNet::new(&mut Init::new(0));
    let path = scratch.file("net.onnx", b"something old");
    onnx::export(&net, &[1, 1, 28, 28], &path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), onnx::encode(&net, &[1, 1, 28, 28]).unwrap());
    let found = scratch::message(onnx::export(&net, &[1, 1, 28, 28], scratch.dir()), scratch.dir());
    assert_eq!(found, "a file that can be written, found a folder");
    scratch::message(onnx::export(&Own::new(Says::Truth), &[1, 4], path.join("no")), &path.join("no"));
}

#[test]
fn the_program_exports_what_it_saved() {
    let scratch = Scratch::new("export");
    for (name, net) in [
        ("plain", &LeNet::new(&mut Init::new(5)) as &dyn Module),
        ("normed", &lenet_batch_norm(&mut Init::new(5))),
    ] {
        let (saved, model) = (scratch.dir().join(name), scratch.dir().join(format!("{name}.onnx")));
        save_model(net, &saved, &Metadata::new()).unwrap();
        let export = |to: &Path| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
            command.arg("export").arg("--load").arg(&saved).arg("--onnx").arg(to).output().unwrap()
        };
        let done = export(&model);
        assert_eq!(String::from_utf8(done.stderr).unwrap(), format!("written to {}\n", model.display()));
        assert_eq!((done.status.code(), done.stdout), (Some(0), vec![]));
        assert_eq!(fs::read(&model).unwrap(), onnx::encode(net, &[1, 1, 28, 28]).unwrap());

        let refused = export(scratch.dir());
        let want = format!(
            "error: {}: expected a file that can be written, found a folder\n",
            scratch.dir().display()
        );
        assert_eq!((refused.status.code(), String::from_utf8(refused.stderr).unwrap()), (Some(1), want));
    }
}
