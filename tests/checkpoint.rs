//! Trainings that stop and go on: the same bits, whatever happened to the newest checkpoint.

mod scratch;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use scratch::{Scratch, message};
use tapegrad::data::{DatasetName, FashionMnist, Images};
use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::optim::{Adam, AdamW, Optimizer, Sgd};
use tapegrad::save::checkpoint::{Checkpoint, Checkpoints};
use tapegrad::save::log::Log;
use tapegrad::save::{Metadata, SafeTensors, load_model};
use tapegrad::train::{Moment, Outcome, Position, Training, train_from};

const TRAINING: Training = Training { epochs: 2, batch_size: 16, seed: 5 };

/// 70 pictures, so that the last of five steps is a short one.
fn data() -> FashionMnist {
    let pixel = |i: usize| (i * 37 % 251) as u8;
    let images = |count: usize| {
        Images::new((0..count * 784).map(pixel).collect(), (0..count).map(|i| (i * 7 % 10) as u8).collect())
            .unwrap()
    };
    FashionMnist { train: images(70), test: images(20), name: DatasetName::Other }
}

type Net = Box<dyn Module>;
type Rule = Box<dyn Optimizer>;
/// How both are made.
type New = (fn() -> Net, fn() -> Rule);

/// Both nets with every optimiser that remembers something, and one that does not.
fn cases() -> Vec<New> {
    vec![
        (|| Box::new(LeNet::new(&mut Init::new(1))), || Box::new(Adam::new(0.01))),
        (|| Box::new(lenet_batch_norm(&mut Init::new(1))), || Box::new(AdamW::new(0.01).betas(0.8, 0.9))),
        (|| Box::new(lenet_batch_norm(&mut Init::new(1))), || Box::new(Sgd::new(0.05).momentum(0.9))),
        (|| Box::new(LeNet::new(&mut Init::new(1))), || Box::new(Sgd::new(0.05))),
    ]
}

fn first_case() -> (Net, Rule) {
    let (net, rule) = cases()[0];
    (net(), rule())
}

/// Trains from a position on; `seen` hears of every moment.
fn train(net: &mut Net, rule: &mut Rule, from: Position, seen: impl FnMut(Moment<'_>)) {
    let outcome =
        train_from(&mut **net, &mut **rule, &data(), &TRAINING, from, &AtomicBool::new(false), seen);
    assert_eq!(outcome, Outcome::Finished);
}

/// Trains to the end and gives the hash; every moment is kept in a folder of its own.
fn train_and_keep(scratch: &Scratch, new: New) -> (u64, Vec<PathBuf>) {
    let (mut net, mut rule) = (new.0(), new.1());
    let mut folders = Vec::new();
    train(&mut net, &mut rule, Position::start_of(1), |moment| {
        let folder = scratch.dir().join(format!("moment-{}", folders.len()));
        let mut checkpoints = Checkpoints::create(&folder).unwrap();
        checkpoints
            .save(moment.net, moment.optimizer, &TRAINING, &moment.position, &Metadata::new())
            .unwrap();
        folders.push(folder);
    });
    (net.parameter_hash(), folders)
}

fn newest(folder: &Path) -> Checkpoint {
    let (newest, damaged) = Checkpoints::open(folder).unwrap().newest().unwrap();
    assert!(damaged.is_empty());
    newest.unwrap()
}

#[test]
fn from_every_moment_on_it_ends_with_the_same_bits() {
    for (case, new) in cases().into_iter().enumerate() {
        let scratch = Scratch::new(&format!("checkpoint-every-moment-{case}"));
        let (hash, folders) = train_and_keep(&scratch, new);
        assert_eq!(folders.len(), 12, "two epochs of five steps and an end");
        for folder in folders {
            // Other first values and another rate: everything must come out of the file.
            let mut net: Net = match case {
                0 | 3 => Box::new(LeNet::new(&mut Init::new(2))),
                _ => Box::new(lenet_batch_norm(&mut Init::new(2))),
            };
            let mut rule = new.1();
            rule.set_lr(0.5);
            let mut checkpoint = newest(&folder);
            assert_eq!(checkpoint.training(), TRAINING);
            let position = checkpoint.restore(&mut *net, &mut *rule).unwrap();
            train(&mut net, &mut rule, position, |_| ());
            assert_eq!(net.parameter_hash(), hash, "case {case}, {}", folder.display());
        }
    }
}

#[test]
fn the_position_is_kept_exactly() {
    let scratch = Scratch::new("checkpoint-position");
    let (mut net, mut rule) = first_case();
    let mut moments = Vec::new();
    train(&mut net, &mut rule, Position::start_of(1), |moment| {
        let folder = scratch.dir().join(format!("{}", moments.len()));
        let options = Metadata::from([("colour".to_string(), "blue".to_string())]);
        let mut checkpoints = Checkpoints::create(&folder).unwrap();
        checkpoints.save(moment.net, moment.optimizer, &TRAINING, &moment.position, &options).unwrap();
        drop(checkpoints);
        let kept = newest(&folder);
        assert_eq!(kept.position(), moment.position);
        assert_eq!((kept.option("colour"), kept.option("size")), (Some("blue"), None));
        moments.push(moment.position);
    });
    assert_eq!((moments[4].epoch, moments[4].step, moments[4].score.total), (1, 5, 70));
    assert_eq!(moments[5], Position::start_of(2));
}

/// The checkpoints of a folder, the oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some());
    files.sort();
    files
}

/// A folder with the last two checkpoints of a training.
fn two_checkpoints(folder: &Path) -> (Net, Rule) {
    let (mut net, mut rule) = first_case();
    let mut checkpoints = Checkpoints::create(folder).unwrap();
    train(&mut net, &mut rule, Position::start_of(1), |moment| {
        checkpoints
            .save(moment.net, moment.optimizer, &TRAINING, &moment.position, &Metadata::new())
            .unwrap();
        assert!(files(folder).len() <= 2);
    });
    (net, rule)
}

#[test]
fn the_one_before_is_taken_where_the_newest_is_damaged() {
    let scratch = Scratch::new("checkpoint-damaged");
    let folder = scratch.dir().join("kept");
    two_checkpoints(&folder);
    let [before, last] = &files(&folder)[..] else { panic!("two files") };
    assert!(before.ends_with("epoch-0002-step-000005.safetensors"), "{before:?}");
    assert!(last.ends_with("epoch-0003-step-000000.safetensors"), "{last:?}");
    let whole = fs::read(last).unwrap();
    let damage: [(&str, Vec<u8>, &str); 4] = [
        ("a bit", flipped(&whole, whole.len() / 2), "with the checksum"),
        ("cut", whole[..whole.len() - 4].to_vec(), "bytes of data, as the header promises"),
        ("empty", vec![], "a safetensors file, found only 0 bytes"),
        ("another file", b"something else entirely".to_vec(), "whose header is at most"),
    ];
    for (name, bytes, expected) in damage {
        fs::write(last, bytes).unwrap();
        let mut checkpoints = Checkpoints::open(&folder).unwrap();
        let (newest, damaged) = checkpoints.newest().unwrap();
        assert_eq!(newest.unwrap().path(), before, "{name}");
        assert_eq!(damaged.len(), 1, "{name}");
        assert!(damaged[0].to_string().contains(expected), "{name}: {}", damaged[0]);
    }
    // Both: then there is nothing to go on from, and nothing is removed.
    fs::write(before, "").unwrap();
    let line = message(Checkpoints::open(&folder).unwrap().newest(), &folder);
    assert!(line.starts_with("a whole checkpoint, found 2 damaged; the newest: "), "{line}");
    assert_eq!(files(&folder).len(), 2);
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x10;
    bytes
}

#[test]
fn a_damaged_one_goes_when_two_whole_ones_are_there() {
    let scratch = Scratch::new("checkpoint-goes");
    let folder = scratch.dir().join("kept");
    two_checkpoints(&folder);
    let [before, last] = &files(&folder)[..] else { panic!("two files") };
    fs::write(last, "damaged").unwrap();
    let mut checkpoints = Checkpoints::open(&folder).unwrap();
    let (kept, _) = checkpoints.newest().unwrap();
    let (mut net, mut rule) = first_case();
    let position = kept.unwrap().restore(&mut *net, &mut *rule).unwrap();
    let mut save = |position: &Position| {
        checkpoints.save(&*net, &*rule, &TRAINING, position, &Metadata::new()).unwrap();
        files(&folder)
    };
    assert_eq!(save(&position), [before.clone(), last.clone()], "the same place once more");
    let again = save(&Position { step: 4, ..position });
    assert_eq!(again.len(), 3, "two whole ones and the damaged one: {again:?}");
    let last_two = save(&Position::start_of(4));
    assert_eq!(last_two.len(), 2, "{last_two:?}");
    assert!(!last_two.contains(last));
}

#[test]
fn what_a_kill_leaves_behind_is_cleaned_up() {
    let scratch = Scratch::new("checkpoint-left-behind");
    scratch.file(".tapegrad-1234-0.partial", b"half a checkpoi");
    let other = scratch.file("notes.txt", b"mine");
    let mut checkpoints = Checkpoints::create(scratch.dir()).unwrap();
    assert!(checkpoints.newest().unwrap().0.is_none());
    let mut names: Vec<_> = fs::read_dir(scratch.dir()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", "notes.txt"]);
    assert_eq!(fs::read(other).unwrap(), b"mine");
}

#[test]
fn a_folder_is_for_one_training() {
    let scratch = Scratch::new("checkpoint-one-training");
    let folder = scratch.dir().join("kept");
    two_checkpoints(&folder);
    let line = message(Checkpoints::create(&folder), &folder);
    assert_eq!(
        line,
        "a folder without checkpoints (or --resume, to go on from the last), found epoch-0002-step-000005.safetensors"
    );
    let first = Checkpoints::open(&folder).unwrap();
    let line = message(Checkpoints::open(&folder), &folder);
    assert_eq!(line, "a folder that no other training uses, found one that is in use (by its file 'lock')");
    drop(first);
    Checkpoints::open(&folder).unwrap();

    let file = scratch.file("file", b"");
    assert!(message(Checkpoints::create(&file), &file).starts_with("a folder for checkpoints, found"));
    assert_eq!(message(Checkpoints::open(&file), &file), "a folder of checkpoints, found a file");
    let missing = scratch.dir().join("missing");
    let line = message(Checkpoints::open(&missing), &missing);
    assert!(line.starts_with("a folder of checkpoints that can be written, found: No such file"), "{line}");
}

#[test]
fn a_checkpoint_of_something_else_changes_nothing() {
    let scratch = Scratch::new("checkpoint-else");
    let folder = scratch.dir().join("kept");
    two_checkpoints(&folder);
    let other_net: Net = Box::new(lenet_batch_norm(&mut Init::new(4)));
    let same_net: Net = Box::new(LeNet::new(&mut Init::new(4)));
    let adam = || -> Rule { Box::new(Adam::new(0.5)) };
    for (mut net, mut rule, expected) in [
        (other_net, adam(), "the 26 tensors of Sequential, found no 0.bias"),
        (
            same_net,
            Box::new(Adam::new(0.5).eps(1e-3)) as Rule,
            "a checkpoint of Adam(beta1=0.9, beta2=0.999, eps=0.001, weight_decay=0.0), found one of Adam(beta1=0.9, \
             beta2=0.999, eps=1e-8, weight_decay=0.0)",
        ),
    ] {
        let (hash, lr) = (net.parameter_hash(), rule.lr());
        let mut kept = newest(&folder);
        let path = kept.path().to_path_buf();
        let line = message(kept.restore(&mut *net, &mut *rule), &path);
        assert!(line.starts_with(expected), "{line}");
        assert_eq!((net.parameter_hash(), rule.lr()), (hash, lr));
        assert!(rule.state(net.named_parameters()[0].1).is_none());
    }
}

#[test]
fn a_checkpoint_is_a_net_too() {
    let scratch = Scratch::new("checkpoint-net");
    let folder = scratch.dir().join("kept");
    let (net, _) = two_checkpoints(&folder);
    let mut other = LeNet::new(&mut Init::new(8));
    load_model(&mut other, files(&folder).pop().unwrap()).unwrap();
    assert_eq!(other.parameter_hash(), net.parameter_hash());
    // PyTorch's names.
    let file = SafeTensors::open(files(&folder).pop().unwrap()).unwrap();
    assert!(file.tensors().contains_key("conv.0.weight"));
    assert_eq!(file.tensors()["optimizer.conv.0.weight.exp_avg_sq"].shape, [6, 1, 5, 5]);
    assert_eq!(file.metadata()["optimizer.fc.4.bias.step"], "10");
}

#[test]
fn a_log_that_goes_on_reads_as_one() {
    let scratch = Scratch::new("checkpoint-log");
    let seconds = |text: &str| -> String {
        let line = |line: &str| {
            let Some((before, rest)) = line.split_once("\"seconds\":") else { return line.to_string() };
            format!("{before}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit() || ".e-".contains(c)))
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    let earlier = "{\"event\":\"start\"}\n{\"event\":\"step\",\"epoch\":1,\"step\":1,\"more\":[{\"a\":\"]}\\\"\"}]}\n{\"event\":\"end\"}\n";
    let path = scratch.file("log.jsonl", earlier.as_bytes());

    let (mut net, mut rule) = first_case();
    let mut log = Log::append(&path).unwrap();
    let start = log.len().unwrap();
    assert_eq!(start, earlier.len() as u64);
    log.start(&*net, &*rule, &TRAINING).unwrap();
    let folder = scratch.dir().join("kept");
    let mut checkpoints = Checkpoints::create(&folder).unwrap();
    train(&mut net, &mut rule, Position::start_of(1), |moment| {
        log.moment(&moment).unwrap();
        if (moment.position.epoch, moment.position.step) == (1, 3) {
            let Moment { net, optimizer, position, .. } = moment;
            checkpoints.save(net, optimizer, &TRAINING, &position, &Metadata::new()).unwrap();
        }
    });
    log.end(&*net).unwrap();
    drop(checkpoints);
    let whole = fs::read_to_string(&path).unwrap();
    assert!(whole.starts_with(earlier));
    assert_eq!(whole.lines().count(), 3 + 1 + 12 + 1);

    // As a power cut may leave it: half a line at the end.
    for end in ["", "{\"event\":\"st"] {
        fs::write(&path, format!("{whole}{end}")).unwrap();
        let position = newest(&folder).restore(&mut *net, &mut *rule).unwrap();
        let mut log = Log::resume(&path, start, &position).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3 + 1 + 3);
        train(&mut net, &mut rule, position, |moment| log.moment(&moment).unwrap());
        log.end(&*net).unwrap();
        assert_eq!(seconds(&fs::read_to_string(&path).unwrap()), seconds(&whole));
    }

    // What is not its own is neither cut off nor appended to.
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(message(Log::append(&path), &path), "a log of whole lines, found no line break at its end");
    let position = Position::start_of(1);
    for (text, start, expected) in [
        ("[1, 2]\n", 0, "JSON with '{' at byte 0 of a log, found '['"),
        (
            "{\"event\":\"dance\"}\n",
            0,
            "an event start, step, epoch or end at byte 0 of a log, found \"dance\"",
        ),
        (earlier, 18, "the log of one training from byte 18 on, found event \"step\" at byte 18"),
        (
            &earlier.repeat(2),
            0,
            &format!(
                "the log of one training from byte 0 on, found event \"start\" at byte {}",
                earlier.len()
            ),
        ),
    ] {
        fs::write(&path, text).unwrap();
        let line = message(Log::resume(&path, start, &position), &path);
        assert!(line.starts_with(expected), "{line}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
