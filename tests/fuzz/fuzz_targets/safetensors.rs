//! Beside what an ordinary test can ask, this one has the reference reader: what ours reads, both read alike.

#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

use tapegrad::save::SafeTensors;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::safetensors::check(bytes, &agrees));

fn agrees(bytes: &[u8], ours: &SafeTensors) {
    let (_, metadata) = safetensors::SafeTensors::read_metadata(bytes).expect("what we read, others read");
    let theirs = safetensors::SafeTensors::deserialize(bytes).expect("what we read, others read");
    let texts = metadata.metadata().clone().unwrap_or_default();
    assert!(
        ours.metadata().iter().eq(texts.into_iter().collect::<std::collections::BTreeMap<_, _>>().iter())
    );
    assert_eq!(theirs.len(), ours.tensors().len());
    for (name, info) in ours.tensors() {
        let tensor = theirs.tensor(name).expect("what we have, others have");
        assert_eq!(
            (tensor.dtype().to_string(), tensor.shape()),
            (info.dtype.clone(), &info.shape[..]),
            "{name:?}"
        );
    }
}
