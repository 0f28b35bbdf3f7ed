//! Any bytes at all are a safetensors file or an error of one line; what is read may be written and read again.
//!
//! Each input is taken twice: as a file, and as header and data that a file is then made of. `agrees` may hold a file
//! that is read against other readers.

use super::parts;
use tapegrad::save::SafeTensors;
use tapegrad::save::safetensors::{encode, encode_with_checksum};

pub fn check(bytes: &[u8], agrees: &dyn Fn(&[u8], &SafeTensors)) {
    check_file(bytes, agrees);
    check_file(&parts::assembled(bytes), agrees);
}

fn one_line(error: tapegrad::Error) {
    assert!(!error.to_string().contains(['\n', '\r']), "{error}");
}

fn check_file(bytes: &[u8], agrees: &dyn Fn(&[u8], &SafeTensors)) {
    let mut file = match SafeTensors::from_bytes(bytes.to_vec()) {
        Ok(file) => file,
        Err(error) => return one_line(error),
    };
    agrees(bytes, &file);
    let mut tensors = Vec::new();
    for (name, info) in file.tensors().clone() {
        match file.tensor(&name) {
            Ok(tensor) => {
                assert_eq!(tensor.shape()[..], info.shape[..], "{name:?}");
                // A whole product, not one that has lost its upper bits: every element takes at least a byte.
                let count: u128 = info.shape.iter().map(|&dim| dim as u128).product();
                assert_eq!(tensor.numel() as u128, count, "{name:?}");
                assert!(tensor.numel() < bytes.len(), "{name:?}");
                tensors.push((name, tensor));
            }
            Err(error) => one_line(error),
        }
    }
    file.tensor("a name that no file has, since it ends so: \0").map(drop).map_err(one_line).unwrap_err();
    let _ = file.verify_checksum().map_err(one_line);

    let mut metadata = file.metadata().clone();
    let again = SafeTensors::from_bytes(encode(&tensors, &metadata)).unwrap();
    assert_eq!(again.metadata(), &metadata);
    // The checksum has a place of its own, the first.
    metadata.remove("checksum");
    let mut again = SafeTensors::from_bytes(encode_with_checksum(&tensors, &metadata)).unwrap();
    again.verify_checksum().unwrap();
    assert_eq!(again.tensors().len(), tensors.len());
    for (name, tensor) in tensors {
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(again.tensor(&name).unwrap().to_vec()), bits(tensor.to_vec()), "{name:?}");
    }
}
