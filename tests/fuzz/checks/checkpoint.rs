//! Any bytes at all are a checkpoint or an error of one line; one of another net or optimiser leaves both unchanged.
//!
//! Each input is taken twice: as a file, and as header and data that a file with a right checksum is then made of.

use super::parts;
use flate2::Crc;
use tapegrad::nn::{BatchNorm, Init, Linear, Module, Sequential};
use tapegrad::optim::{Adam, Optimizer, ParamState};
use tapegrad::save::SafeTensors;
use tapegrad::save::checkpoint::Checkpoint;

/// What every file with a checksum in it begins with, behind the length of its header.
const PREFIX: &[u8] = br#"{"__metadata__":{"checksum":""#;

pub fn check(bytes: &[u8]) {
    check_file(bytes.to_vec());
    check_file(with_checksum(parts::assembled(bytes)));
}

/// The same file with the checksum that it should have, if it has room for one.
fn with_checksum(mut file: Vec<u8>) -> Vec<u8> {
    let at = 8 + PREFIX.len();
    if file.len() < at + 8 || file[8..at] != *PREFIX {
        return file;
    }
    file[at..at + 8].fill(b'0');
    let mut crc = Crc::new();
    crc.update(&file);
    file[at..at + 8].copy_from_slice(format!("{:08x}", crc.sum()).as_bytes());
    file
}

/// What the checkpoints in the corpus are of.
fn net() -> Sequential {
    Sequential::new().then(Linear::new(2, 3, &mut Init::new(0))).then(BatchNorm::new(3, 2))
}

fn optimizer() -> Adam {
    Adam::new(0.5)
}

fn check_file(bytes: Vec<u8>) {
    let one_line = |error: tapegrad::Error| assert!(!error.to_string().contains(['\n', '\r']), "{error}");
    let mut checkpoint = match SafeTensors::from_bytes(bytes).and_then(Checkpoint::read) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return one_line(error),
    };
    assert!(checkpoint.position().epoch >= 1 && checkpoint.training().batch_size >= 1);
    let (mut net, mut optimizer) = (net(), optimizer());
    let before = everything(&net, &optimizer);
    match checkpoint.restore(&mut net, &mut optimizer) {
        Ok(position) => {
            assert_eq!(position.epoch, checkpoint.position().epoch);
            assert_eq!(optimizer.lr(), checkpoint.lr());
        }
        Err(error) => {
            one_line(error);
            assert!(everything(&net, &optimizer) == before, "a refused checkpoint has changed something");
        }
    }
}

/// All numbers of a net and its optimiser, as bits.
fn everything(net: &Sequential, optimizer: &Adam) -> (u64, Vec<Vec<u32>>) {
    let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect();
    let mut all = Vec::new();
    for (_, param) in net.named_parameters() {
        all.push(bits(param.value().to_vec()));
        if let Some(ParamState { step, lists }) = optimizer.state(param) {
            all.push(vec![step as u32]);
            all.extend(lists.into_iter().map(|(_, list)| bits(list)));
        }
    }
    all.extend(net.named_buffers().into_iter().map(|(_, buffer)| bits(buffer.value().to_vec())));
    (optimizer.lr().to_bits(), all)
}
