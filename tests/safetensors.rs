//! Nets in safetensors files: those of PyTorch's own writer read right, ours come back, and what is broken is refused.

mod scratch;

use std::fs;
use std::path::{Path, PathBuf};

use scratch::{Scratch, message};
use tapegrad::nn::{BatchNorm, Conv2d, Flatten, Init, Linear, MaxPool2d, Module, Sequential, Sigmoid, Tanh};
use tapegrad::save::safetensors::{encode, encode_with_checksum};
use tapegrad::save::{Metadata, SafeTensors, load_model, save_model};
use tapegrad::{Tape, Tensor};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The net of tests/golden/saved.py, with other first values.
fn small_net() -> Sequential {
    let init = &mut Init::new(3);
    Sequential::new()
        .then(Conv2d::new(1, 2, 3, init))
        .then(Sigmoid)
        .then(MaxPool2d::new(2))
        .then(Flatten)
        .then(Linear::new(18, 5, init).without_bias())
        .then(Tanh)
        .then(Linear::new(5, 4, init))
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec().into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_net_of_pytorchs_gives_pytorchs_logits() {
    let mut net = small_net();
    let metadata = load_model(&mut net, golden("saved_net.safetensors")).unwrap();
    assert_eq!(metadata["made by"], "PyTorch, \"2.15\"");
    let mut given = SafeTensors::open(golden("saved.safetensors")).unwrap();
    let (x, expected) = (given.tensor("x").unwrap(), given.tensor("logits").unwrap().to_vec());
    let logits = net.forward(Tape::inference().input(&x)).value().to_vec();
    assert_eq!(logits.len(), 12);
    for (found, expected) in logits.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5, "{found}, not {expected}");
    }
}

#[test]
fn floating_point_numbers_of_every_kind_are_read() {
    let mut file = SafeTensors::open(golden("kinds.safetensors")).unwrap();
    let numbers = [1.0, 0.5, -2.0, 0.0, f32::INFINITY, 6.103_515_6e-5, 5.960_464_5e-8];
    for kind in ["float32", "float64", "float16", "bfloat16"] {
        assert_eq!(file.tensor(kind).unwrap().to_vec(), numbers, "{kind}");
    }
    let empty = file.tensor("empty").unwrap();
    assert_eq!((empty.shape(), empty.numel()), ([0, 3].into(), 0));
    let scalar = file.tensor("scalar").unwrap();
    assert_eq!((scalar.rank(), scalar.item()), (0, 7.0));

    let path = golden("kinds.safetensors");
    let line = message(file.tensor("int64"), &path);
    assert_eq!(line, "floating-point numbers in int64 (F16, BF16, F32 or F64), found I64");
    assert_eq!(message(file.tensor("none"), &path), "a tensor none, found none of that name");
}

#[test]
fn half_precision_is_read_exactly() {
    // Every number of binary16, by the definition: sign, exponent with a bias of 15, fraction of 10 bits.
    let halves: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let header = r#"{"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}}"#;
    let mut file = SafeTensors::from_bytes(file_of(header, &halves)).unwrap();
    let found = file.tensor("h").unwrap().to_vec();
    for (half, found) in (0..=u16::MAX).zip(found) {
        let (sign, exponent, fraction) = (half >> 15, i32::from(half >> 10 & 31), f64::from(half & 1023));
        let size = match exponent {
            0 => fraction * 2_f64.powi(-24),
            31 if fraction > 0.0 => f64::NAN,
            31 => f64::INFINITY,
            _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
        };
        let expected = if sign == 1 { -size } else { size } as f32;
        assert!(
            found == expected || found.is_nan() && expected.is_nan(),
            "{half:#06x}: {found}, not {expected}"
        );
        assert_eq!(found.is_sign_negative(), sign == 1 && !found.is_nan(), "{half:#06x}");
    }
}

#[test]
fn a_net_comes_back_bit_for_bit() {
    let scratch = Scratch::new("safetensors-round-trip");
    let path = scratch.dir().join("net.safetensors");
    let net = |seed| {
        let init = &mut Init::new(seed);
        Sequential::new().then(Conv2d::new(1, 3, 2, init)).then(BatchNorm::new(3, 4)).then(Sigmoid)
    };
    let mut first = net(0);
    first.named_parameters_mut()[0].1.data_mut()[..3].copy_from_slice(&[f32::NAN, -0.0, 1e-40]);
    first.forward(Tape::training().input(&Init::new(1).rand([2, 1, 5, 5]))); // moves the statistics
    let metadata = Metadata::from([("µ \"quoted\" \\ \n".to_string(), "\u{1}😀".to_string())]);
    save_model(&first, &path, &metadata).unwrap();
    let mut second = net(9);
    assert_ne!(second.parameter_hash(), first.parameter_hash());
    assert_eq!(load_model(&mut second, &path).unwrap(), metadata);
    assert_eq!(second.parameter_hash(), first.parameter_hash());

    let file = SafeTensors::open(&path).unwrap();
    let names: Vec<&String> = file.tensors().keys().collect();
    assert_eq!(names, ["0.bias", "0.weight", "1.beta", "1.gamma", "1.moving_mean", "1.moving_var"]);
    // As the reference writer does: the data begin at a multiple of eight bytes.
    let bytes = fs::read(&path).unwrap();
    assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
}

#[test]
fn a_file_of_another_net_changes_nothing() {
    let scratch = Scratch::new("safetensors-other-net");
    let path = scratch.dir().join("net.safetensors");
    let saved = |tensors: &[(&str, Tensor)]| {
        let tensors: Vec<_> =
            tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
        fs::write(&path, encode(&tensors, &Metadata::new())).unwrap();
    };
    let (weight, bias) = (Tensor::ones([2, 3]), Tensor::ones([2]));
    let other = Tensor::ones([1]);
    let many: Vec<(&str, Tensor)> = ["a", "b", "c", "d"].map(|name| (name, other.clone())).into();
    for (tensors, expected) in [
        (vec![("weight", weight.clone())], "the 2 tensors of Linear, found no bias"),
        (
            vec![("weight", weight.clone()), ("bias", bias.clone()), ("scale", other.clone())],
            "the 2 tensors of Linear, found beside them scale",
        ),
        (many, "the 2 tensors of Linear, found no bias, weight, beside them a, b, c and 1 more"),
        (vec![("weight", weight.t()), ("bias", bias.clone())], "weight of shape [2, 3], found shape [3, 2]"),
    ] {
        saved(&tensors);
        let mut net = Linear::new(3, 2, &mut Init::new(0));
        let before = net.parameter_hash();
        assert_eq!(message(load_model(&mut net, &path), &path), expected);
        assert_eq!(net.parameter_hash(), before);
    }
    saved(&[("weight", weight), ("bias", bias)]);
    load_model(&mut Linear::new(3, 2, &mut Init::new(0)), &path).unwrap();
}

#[test]
fn a_checksum_finds_any_change() {
    let tensors = [("w".to_string(), Tensor::new([1.0, -2.5]))];
    for metadata in [Metadata::new(), Metadata::from([("a".to_string(), "b".to_string())])] {
        let bytes = encode_with_checksum(&tensors, &metadata);
        let mut file = SafeTensors::from_bytes(bytes.clone()).unwrap();
        file.verify_checksum().unwrap();
        assert_eq!(bits(&file.tensor("w").unwrap()), bits(&tensors[0].1));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let found = SafeTensors::from_bytes(changed).and_then(|mut file| file.verify_checksum());
                assert!(found.is_err(), "bit {bit} of byte {at}");
            }
        }
        assert!(SafeTensors::from_bytes(encode(&tensors, &metadata)).unwrap().verify_checksum().is_err());
    }
}

/// A file of a header and data.
fn file_of(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// Why bytes are no safetensors file.
#[track_caller]
fn refusal(bytes: Vec<u8>) -> String {
    match SafeTensors::from_bytes(bytes) {
        Ok(file) => panic!("taken: {:?}", file.tensors()),
        Err(error) => message(Err::<(), _>(error), Path::new("safetensors")),
    }
}

#[test]
fn wrong_headers_are_refused() {
    let one = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let most = (1_u64 << 63).to_string();
    for (header, data, expected) in [
        ("", 0, "begins with {, found something else"),
        ("[]", 0, "begins with {, found something else"),
        (" {}", 0, "begins with {, found something else"),
        ("{}", 1, "0 bytes of data, as the header promises, found 1: cut short, or followed by something"),
        ("{} x", 0, "JSON with nothing more, found 'x' at byte 3"),
        ("{", 0, "JSON with '\"', found the end of it"),
        (r#"{"a":1}"#, 0, "JSON with '{', found '1' at byte 5"),
        (r#"{"a":{}}"#, 0, "dtype, shape and data_offsets of a, found less"),
        (r#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, "dtype, shape and data_offsets of a, found less"),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":0}}"#,
            4,
            "JSON with dtype, shape and data_offsets, found",
        ),
        (
            r#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            4,
            "one dtype of a, found two",
        ),
        (r#"{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#, 4, "a known dtype of a, found \"F31\""),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            4,
            "that fit F32 of shape [2], found 0 to 4",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            4,
            "that fit F32 of shape [1], found 4 to 0",
        ),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, 4, "two data_offsets of a, found 1"),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, 4, "at most 2 numbers"),
        (r#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#, 4, "at most 8 numbers"),
        (
            r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
            4,
            "a whole number from 0 to 2^64 - 1",
        ),
        (r#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, 4, "JSON with ',' or ']'"),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#,
            8,
            "that fit F32 of shape [1], found 0 to 8",
        ),
        // More than the file has.
        (
            r#"{"a":{"dtype":"F32","shape":[4000000000],"data_offsets":[0,16000000000]}}"#,
            4,
            "16000000000 bytes of data, as the header promises, found 4: cut short",
        ),
        // Products over 2^64, with and without a zero that hides them.
        (
            &format!(r#"{{"a":{{"dtype":"F32","shape":[{most},{most}],"data_offsets":[0,0]}}}}"#),
            0,
            "data_offsets of a that fit F32",
        ),
        (
            &format!(r#"{{"a":{{"dtype":"F32","shape":[0,{most},{most}],"data_offsets":[0,0]}}}}"#),
            0,
            "data_offsets of a that fit F32",
        ),
        // Holes, overlaps, what is nobody's.
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
            "data of a from byte 0 on, found 4: a hole before it",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12,
            "data of b from byte 8 on, found 4: an overlap with the one before",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            4,
            "an overlap with the one before",
        ),
        (&format!("{{{one}}}"), 5, "4 bytes of data, as the header promises, found 5"),
        // Names that come twice, also when written in another way.
        (&format!("{{{one},{one}}}"), 4, "every tensor once, found two of the same name"),
        (&format!("{{{one},{}}}", one.replace("\"a\"", r#""\u0061""#)), 4, "every tensor once"),
        (r#"{"__metadata__":{},"__metadata__":{}}"#, 0, "one __metadata__, found two"),
        (r#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, "every entry of the metadata once"),
        (r#"{"__metadata__":{"a":1}}"#, 0, "JSON with '\"', found '1'"),
    ] {
        let line = refusal(file_of(header, &vec![0; data]));
        assert!(line.contains(expected), "{header}\n{line}\n{expected}");
    }
    let mut bytes = file_of("{\"\u{e9}\":", &[]);
    bytes[10] = 0xff;
    assert!(refusal(bytes).contains("a header that is not UTF-8"));
    for count in [0, 7] {
        assert_eq!(refusal(vec![0; count]), format!("a safetensors file, found only {count} bytes"));
    }
    for length in [3, u64::MAX, 100_000_001] {
        let line = refusal([length.to_le_bytes().to_vec(), b"{}".to_vec()].concat());
        assert_eq!(
            line,
            format!("a safetensors file, whose header is at most 2 bytes, found a header of {length}")
        );
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let tensors = [("w".to_string(), Tensor::new([1.0, -2.5])), ("b".to_string(), Tensor::scalar(3.0))];
    let bytes = encode(&tensors, &Metadata::from([("k".to_string(), "v".to_string())]));
    for length in 0..bytes.len() {
        refusal(bytes[..length].to_vec());
    }
    SafeTensors::from_bytes(bytes).unwrap();
}

#[test]
fn changed_headers_are_refused_or_harmless() {
    let tensors = [("w".to_string(), Tensor::new([1.0, -2.5]))];
    let bytes = encode(&tensors, &Metadata::new());
    let mut taken = 0;
    for at in 0..bytes.len() - 8 {
        for byte in 0..=255 {
            let mut changed = bytes.clone();
            if std::mem::replace(&mut changed[at], byte) == byte {
                continue;
            }
            // Another letter in a name is another file, not a broken one: it must be read whole.
            if let Ok(mut file) = SafeTensors::from_bytes(changed) {
                let name = file.tensors().keys().next().unwrap().clone();
                let _ = file.tensor(&name).map(|tensor| assert_eq!(tensor.numel(), 2));
                taken += 1;
            }
        }
    }
    // In place of the name's one letter any other printable one; a space here and there.
    assert!((92..200).contains(&taken), "{taken}");
}
