//! What the program keeps, as a user meets it: saved nets, what is seen with them, and trainings that go on. What happens when disk,
//! folder or reader do not play along is in `tests/adversity.rs`.

mod program;
mod scratch;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use program::{Place, checkpoints, ends_with, lenet, lines, notes, path, refuses, small_data};
use scratch::Scratch;
use tapegrad::nn::{Init, LeNet, Module};
use tapegrad::save::{SafeTensors, load_model};

#[test]
fn a_saved_net_has_the_accuracy_that_was_printed() {
    let place = Place::new("kept-saved");
    for options in [&[][..], &["--batch-norm"]] {
        let (net, logits) = (place.at("net.safetensors"), place.at("logits.safetensors"));
        let (stdout, _) =
            ends_with(0, &mut place.train(&[options, &["--epochs", "2", "--save", &net]].concat()));
        let last = stdout.lines().nth(1).unwrap();
        let accuracy = last.split("test acc ").nth(1).unwrap().split(',').next().unwrap();
        let (eval, _) =
            ends_with(0, &mut lenet(&["eval", "--load", &net, "--data", &place.data, "--logits", &logits]));
        assert!(eval.starts_with(&format!("test acc {accuracy}, time ")), "{eval}{stdout}");

        let mut file = SafeTensors::open(&logits).unwrap();
        assert_eq!(file.tensor("logits").unwrap().shape(), [50, 10]);
        let file = SafeTensors::open(&net).unwrap();
        let hash = stdout.lines().last().unwrap().strip_prefix("parameter hash ").unwrap();
        let said = |key: &str| file.metadata()[key].as_str();
        assert_eq!(
            (said("parameter_hash"), said("seed"), said("epochs"), said("data")),
            (hash, "0", "2", "other")
        );
        assert_eq!(said("net"), if options.is_empty() { "LeNet" } else { "LeNet with batch norm" });
        assert_eq!(said("accuracy").parse::<f64>().unwrap(), accuracy.parse::<f64>().unwrap());
    }
}

#[test]
fn pictures_are_classified() {
    let place = Place::new("kept-predict");
    let net = place.at("net.safetensors");
    ends_with(0, &mut place.train(&["--epochs", "1", "--save", &net]));
    let small = place.scratch.file("small.pgm", &[b"P5 28 28 255\n".to_vec(), vec![200; 784]].concat());
    let large = place.scratch.file("large.pgm", &[b"P5 99 41 255\n".to_vec(), vec![200; 99 * 41]].concat());
    let none = place.scratch.file("none.png", b"no picture");
    let (small, large, none) = (path(&small), path(&large), path(&none));

    let (stdout, stderr) = ends_with(0, &mut lenet(&["predict", "--load", &net, small, large]));
    assert_eq!(stderr, "");
    let [first, second] = stdout.lines().collect::<Vec<_>>()[..] else { panic!("{stdout}") };
    let (first, second) = (first.strip_prefix(small).unwrap(), second.strip_prefix(large).unwrap());
    assert_eq!(first, second, "one brightness, whatever the size");
    // This net says that it learned from something else than Fashion-MNIST.
    let classes: Vec<(String, f64)> = first
        .trim_start_matches(": ")
        .split(", ")
        .map(|part| part.rsplit_once(' ').unwrap())
        .map(|(class, p)| (class.to_string(), p.parse().unwrap()))
        .collect();
    assert_eq!(classes.len(), 3, "{first}");
    assert!(
        classes.iter().all(|(class, p)| class.starts_with("class ") && (0.0..=1.0).contains(p)),
        "{first}"
    );
    assert!(classes.is_sorted_by(|before, after| before.1 >= after.1), "{first}");
    // What the net itself says: softmax of its logits.
    let mut loaded = LeNet::new(&mut Init::new(0));
    load_model(&mut loaded, &net).unwrap();
    let pixels = tapegrad::Tensor::full([1, 1, 28, 28], 200.0 / 255.0);
    let logits = loaded.forward(tapegrad::Tape::inference().input(&pixels)).value().to_vec();
    let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
    for (class, p) in classes {
        let class: usize = class.strip_prefix("class ").unwrap().parse().unwrap();
        assert!((f64::from(logits[class]).exp() / sum - p).abs() < 6e-4, "{class}: {p}");
    }

    // A bad picture does not keep the others back.
    let (stdout, stderr) = ends_with(1, &mut lenet(&["predict", "--load", &net, none, small]));
    assert_eq!(stdout, format!("{small}{first}\n"));
    assert!(stderr.starts_with(&format!("error: {none}: expected ")), "{stderr}");
    assert!(stderr.ends_with("error: 1 of 2 pictures could not be read\n"), "{stderr}");
}

#[test]
fn a_training_goes_on_as_if_it_had_not_stopped() {
    let place = Place::new("kept-resume");
    let (folder, log) = (place.at("kept"), place.at("log.jsonl"));
    let (all, _) = ends_with(0, &mut place.train(&["--epochs", "4", "--seed", "3", "--lr", "0.002"]));
    let (first, stderr) = ends_with(
        0,
        &mut place.train(&[
            "--epochs",
            "2",
            "--seed",
            "3",
            "--lr",
            "0.002",
            "--checkpoint",
            &folder,
            "--log",
            &log,
        ]),
    );
    assert!(notes(&stderr).is_empty(), "{stderr}");
    let names: Vec<_> =
        checkpoints(&folder).into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["epoch-0002-step-000000.safetensors", "epoch-0003-step-000000.safetensors"]);
    // Seed, rate and size of batches come from the checkpoint.
    let (rest, stderr) = ends_with(
        0,
        &mut lenet(&["--resume", &folder, "--data", &place.data, "--epochs", "4", "--log", &log, "--quiet"]),
    );
    assert!(notes(&stderr).is_empty(), "{stderr}");
    let (all, first, rest) = (lines(&all), lines(&first), lines(&rest));
    assert_eq!([&first[..2], &rest[..]].concat(), all);
    let log = fs::read_to_string(log).unwrap();
    let events: Vec<&str> = log.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
    let epoch = [vec!["step"; 9], vec!["epoch"]].concat();
    assert_eq!(events, [&["start"][..], &epoch, &epoch, &epoch, &epoch, &["end"]].concat());
    assert!(
        log.ends_with(&format!("{{\"event\":\"end\",\"parameter_hash\":\"{}\"}}\n", &all[4][15..])),
        "{log}"
    );

    // It is done: nothing is left but to say so, and to save.
    let net = place.at("net.safetensors");
    let (stdout, stderr) =
        ends_with(0, &mut lenet(&["--resume", &folder, "--data", &place.data, "--save", &net]));
    assert_eq!(stdout, format!("{}\n", all[4]));
    assert!(stderr.contains("epoch-0005-step-000000.safetensors: all 4 epochs are done\n"), "{stderr}");
    assert_eq!(SafeTensors::open(net).unwrap().metadata()["parameter_hash"], all[4][15..]);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_told_of() {
    let place = Place::new("kept-damaged");
    let folder = place.at("kept");
    let (all, _) = ends_with(0, &mut place.train(&["--epochs", "2", "--checkpoint", &folder]));
    let newest = checkpoints(&folder).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let (rest, stderr) = ends_with(0, &mut place.train(&["--resume", &folder]));
    let [warning] = notes(&stderr)[..] else { panic!("{stderr}") };
    assert!(
        warning.starts_with(&format!("warning: {}: expected bytes with the checksum ", path(&newest))),
        "{stderr}"
    );
    assert!(warning.ends_with("damaged; going back to the checkpoint before it"), "{stderr}");
    assert_eq!(lines(&rest), lines(&all)[1..]);
}

#[test]
fn options_that_disagree_are_refused() {
    let place = Place::new("kept-disagree");
    let folder = place.at("kept");
    ends_with(0, &mut place.train(&["--epochs", "1", "--checkpoint", &folder]));
    let before = fs::read(checkpoints(&folder).pop().unwrap()).unwrap();
    let newest = checkpoints(&folder).pop().unwrap();
    let newest = path(&newest);
    for (args, expected, found) in [
        (&["--seed", "4"][..], "--seed: expected 0", "4"),
        (&["--lr", "0.5"], "--lr: expected 0.001", "0.5"),
        (&["--batch-norm"], "--batch-norm: expected false", "true"),
    ] {
        let (stdout, stderr) = ends_with(2, &mut place.train(&[&["--resume", &folder], args].concat()));
        assert_eq!(stdout, "");
        let line = format!("error: {expected}, as in the checkpoint {newest}, found {found}");
        assert_eq!(notes(&stderr)[0], line, "{stderr}");
    }
    let (_, stderr) =
        ends_with(2, &mut lenet(&["--resume", &folder, "--batch-size", "8", "--data", &place.data]));
    assert!(
        notes(&stderr)[0].starts_with("error: --batch-size: expected 16, as in the checkpoint"),
        "{stderr}"
    );

    for (args, line) in [
        (
            &["--resume", &folder, "--checkpoint", &folder][..],
            "--resume: expected one of --checkpoint DIR for a new training and --resume DIR for one that is there, found both",
        ),
        (
            &["--checkpoint-every", "5"],
            "--checkpoint-every: expected --checkpoint DIR beside it, found no folder",
        ),
        (
            &["--checkpoint", &folder, "--checkpoint-every", "0"],
            "--checkpoint-every: expected a whole number from 1, found \"0\"",
        ),
    ] {
        let (_, stderr) = ends_with(2, &mut place.train(args));
        assert_eq!(notes(&stderr)[0], format!("error: {line}"));
    }
    // Pictures that are not the checkpoint's.
    let other = Scratch::new("kept-other-data");
    let data = small_data(&other, 150);
    let line = refuses(&mut lenet(&["--resume", &folder, "--data", &data, "--quiet"]));
    assert_eq!(
        line,
        format!(
            "{data}: expected the training images of the checkpoint {newest}, found others, by their checksum"
        )
    );

    let line = refuses(&mut place.train(&["--checkpoint", &folder]));
    assert!(
        line.starts_with(&format!("{folder}: expected a folder without checkpoints (or --resume")),
        "{line}"
    );
    let missing = place.at("missing");
    let line = refuses(&mut place.train(&["--resume", &missing]));
    assert!(
        line.starts_with(&format!(
            "{missing}: expected a folder of checkpoints that can be written, found: No"
        )),
        "{line}"
    );
    assert!(fs::read(newest).unwrap() == before, "the checkpoint is as it was");
}

/// The two nets have other tensors, so each is known by its names; what is neither is refused.
#[test]
fn what_is_no_net_is_refused() {
    let place = Place::new("kept-no-net");
    for (name, bytes, expected) in [
        ("empty", &b""[..], "a safetensors file, found only 0 bytes"),
        (
            "text",
            b"what is this doing here?",
            "a safetensors file, whose header is at most 16 bytes, found a header of",
        ),
        (
            "none",
            b"\x02\0\0\0\0\0\0\0{}",
            "the 10 tensors of LeNet, found no conv.0.bias, conv.0.weight, conv.3.bias and 7 more",
        ),
    ] {
        let file = place.scratch.file(name, bytes);
        let file = path(&file);
        let onnx = place.at("out.onnx");
        for args in [
            &["eval", "--load", file, "--data", &place.data][..],
            &["predict", "--load", file, "x.pgm"],
            &["export", "--load", file, "--onnx", &onnx],
        ] {
            let line = refuses(&mut lenet(args));
            assert!(line.starts_with(&format!("{file}: expected {expected}")), "{line}");
        }
        assert!(!Path::new(&onnx).exists());
    }
    for (args, line) in [
        (&["eval"][..], "--load: expected a FILE, found no such option"),
        (&["predict", "x.pgm"], "--load: expected a FILE, found no such option"),
        (&["predict", "--load", "x"], "IMAGE: expected one picture or more, found none"),
        (&["export", "--load", "x"], "--onnx: expected a FILE, found no such option"),
        (&["eval", "--epochs", "3"], "--epochs: expected one of the options below"),
    ] {
        let (_, stderr) = ends_with(2, &mut lenet(args));
        assert_eq!(stderr.lines().next(), Some(format!("error: {line}").as_str()));
    }
    for command in ["eval", "predict", "export"] {
        let (help, _) = ends_with(0, &mut lenet(&[command, "--help"]));
        assert!(
            help.contains(&format!("Usage: lenet {command} [OPTIONS]")) && help.contains("--load FILE"),
            "{help}"
        );
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
    }
}

#[test]
fn a_net_that_was_changed_is_told_of() {
    let place = Place::new("kept-changed");
    let net = place.at("net.safetensors");
    ends_with(0, &mut place.train(&["--epochs", "1", "--save", &net]));
    let mut bytes = fs::read(&net).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x80;
    fs::write(&net, bytes).unwrap();
    let (_, stderr) = ends_with(0, &mut lenet(&["eval", "--load", &net, "--data", &place.data]));
    let [note] = notes(&stderr)[..] else { panic!("{stderr}") };
    assert!(note.starts_with(&format!("note: {net}: its metadata tell of the parameter hash")), "{stderr}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_done() {
    // Writing the checkpoint of an epoch takes longer than its steps here, so not every Ctrl-C falls between two steps.
    let between = (0..50).any(|i| {
        let place = Place::new(&format!("kept-interrupt-{i}"));
        let (folder, log) = (place.at("kept"), place.at("log.jsonl"));
        interrupt(place.train(&["--epochs", "100000", "--checkpoint", &folder, "--log", &log]));
        let (epoch, step) = last_in_log(&log);
        let newest = checkpoints(&folder).pop().unwrap();
        assert!(newest.ends_with(format!("epoch-{epoch:04}-step-{step:06}.safetensors")), "{newest:?}");
        // It can be made to end.
        let (rest, _) =
            ends_with(0, &mut place.train(&["--resume", &folder, "--epochs", &epoch.to_string()]));
        assert!(rest.lines().last().unwrap().starts_with("parameter hash "), "{rest}");
        step > 0
    });
    assert!(between, "not once between two steps of an epoch");
}

/// Presses Ctrl-C when the first epoch is told of.
#[cfg(unix)]
fn interrupt(mut training: Command) {
    use std::io::{BufRead, BufReader};
    let mut child = training.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("epoch 1,"), "{line}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let last = notes(&stderr).pop().unwrap().to_string();
    assert!(last.ends_with("; with --resume it goes on from there"), "{stderr}");
}

/// The epoch that is to be done by the last line of a log, and how many steps of it are.
fn last_in_log(path: &str) -> (usize, usize) {
    let log = fs::read_to_string(path).unwrap();
    let line = log.lines().last().unwrap();
    let number = |key: &str| -> usize {
        let rest = line.split(&format!("\"{key}\":")).nth(1).unwrap_or("0");
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    match line.contains("\"event\":\"epoch\"") {
        true => (number("epoch") + 1, 0),
        false => (number("epoch"), number("step")),
    }
}
