//! Safetensors files that are made to take memory: refusing them, or reading them where they are right, stays below 256 MB.

mod peak_memory;
mod scratch;

use std::fmt::Write;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use peak_memory::{alone, measure_peak};
use scratch::{Scratch, message};
use tapegrad::nn::{Init, LeNet};
use tapegrad::save::safetensors::MAX_TENSORS;
use tapegrad::save::{SafeTensors, load_model};

const MOST: usize = 256 << 20;

/// A file of a header and so many bytes of data, all zero, which take no room on the disk.
fn file(scratch: &Scratch, header: &str, data: u64) -> PathBuf {
    let path = scratch.dir().join("file.safetensors");
    let mut file = File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + data).unwrap();
    path
}

/// How opening a file ends, and what it takes.
#[track_caller]
fn open(path: &Path) -> Result<usize, String> {
    let mut end = None;
    let peak = measure_peak(|| {
        end = Some(SafeTensors::open(path).map(|file| file.tensors().len() + file.metadata().len()));
    });
    assert!(peak < MOST, "{peak} bytes");
    end.unwrap().map_err(|error| message(Err::<(), _>(error), path))
}

/// So many tensors without numbers, with names of so many letters.
fn many(count: usize, letters: usize) -> String {
    let mut header = "{".to_string();
    for i in 0..count {
        let comma = if i == 0 { "" } else { "," };
        let _ =
            write!(header, r#"{comma}"{i:0letters$}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
    }
    header + "}"
}

#[test]
fn a_hundred_thousand_tensors_are_read() {
    let _alone = alone();
    let scratch = Scratch::new("memory-many");
    assert_eq!(open(&file(&scratch, &many(100_000, 1), 0)), Ok(100_000));
    // As long as the header may be.
    let header = many(100_000, 900);
    assert!(header.len() > 90_000_000);
    assert_eq!(open(&file(&scratch, &header, 0)), Ok(100_000));
    let line = message(
        load_model(&mut LeNet::new(&mut Init::new(0)), scratch.dir().join("file.safetensors")),
        &scratch.dir().join("file.safetensors"),
    );
    assert!(line.ends_with("and 99997 more") && line.len() < 500, "{line}");
}

#[test]
fn more_of_anything_is_refused() {
    let _alone = alone();
    let scratch = Scratch::new("memory-more");
    let line = open(&file(&scratch, &many(1_500_000, 1), 0)).unwrap_err();
    assert_eq!(line, format!("at most {MAX_TENSORS} tensors, found more"));

    let mut metadata = r#"{"__metadata__":{"#.to_string();
    for i in 0..5_000_000 {
        let _ = write!(metadata, r#"{}"{i}":"x""#, if i == 0 { "" } else { "," });
    }
    let line = open(&file(&scratch, &(metadata + "}}"), 0)).unwrap_err();
    assert_eq!(line, format!("at most {MAX_TENSORS} entries of metadata, found more"));

    let shape = format!(r#"{{"a":{{"dtype":"F32","shape":[{}0]}}}}"#, "0,".repeat(45_000_000));
    let line = open(&file(&scratch, &shape, 0)).unwrap_err();
    assert_eq!(line, "at most 8 numbers in a shape or in data_offsets, found more");

    for nested in ["[", "{\"a\":", "{\"a\":["] {
        let header = format!("{{\"a\":{}", nested.repeat(90_000_000 / nested.len()));
        assert!(open(&file(&scratch, &header, 0)).unwrap_err().starts_with("JSON with"), "{nested}");
    }
    // One long text, also one that is all escapes.
    for text in ["x".repeat(99_000_000), r"\u0041".repeat(16_000_000), "\"".to_string()] {
        let header = format!("{{\"__metadata__\":{{\"{text}\":1}}}}");
        assert!(open(&file(&scratch, &header, 0)).unwrap_err().starts_with("JSON with"));
    }
}

#[test]
fn what_a_file_promises_takes_nothing() {
    let _alone = alone();
    let scratch = Scratch::new("memory-promises");
    // A header of 100 MB and one byte, in a file that has it.
    let path = file(&scratch, "{}", 0);
    let mut long = File::options().write(true).open(&path).unwrap();
    long.write_all(&100_000_001_u64.to_le_bytes()).unwrap();
    long.seek(SeekFrom::Start(0)).unwrap();
    long.set_len(1 << 40).unwrap();
    let line = open(&path).unwrap_err();
    assert_eq!(
        line,
        "a safetensors file, whose header is at most 100000000 bytes, found a header of 100000001"
    );
    // A terabyte that is there (as a hole in the disk) and promised: looked at, and not read, since it is no LeNet.
    let header =
        r#"{"conv.0.weight":{"dtype":"F32","shape":[274877906944],"data_offsets":[0,1099511627776]}}"#;
    let path = file(&scratch, header, 1 << 40);
    let mut net = LeNet::new(&mut Init::new(0));
    let peak = measure_peak(|| {
        let line = message(load_model(&mut net, &path), &path);
        assert!(line.starts_with("the 10 tensors of LeNet, found no conv.0.bias"), "{line}");
    });
    assert!(peak < 1 << 20, "{peak} bytes");
}
