//! The harness of the benches, as far as it can be tested without measuring: its command line, and the files it keeps medians in.

#[path = "../benches/harness/baseline.rs"]
mod baseline;
#[path = "../benches/harness/options.rs"]
mod options;

use std::ffi::OsString;
use std::fs;

use baseline::Baseline;
use options::{HELP, Options};

fn parse(args: &str) -> Result<Options, String> {
    Options::parse(args.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
}

#[test]
fn takes_a_filter_and_options_in_any_order() {
    for args in [
        "--bench k5 --rounds 3 --threads 2,1 --baseline old --save-baseline new",
        "--save-baseline=new --threads=2,1,2 --baseline=old k5 --rounds=3 --bench",
    ] {
        let options = parse(args).expect("a right command line");
        assert!(options.measure && !options.help);
        assert_eq!((options.filter.as_str(), options.rounds), ("k5", 3));
        assert_eq!(options.threads, [2, 1]);
        assert_eq!(
            (options.baseline.as_deref(), options.save_baseline.as_deref()),
            (Some("old"), Some("new"))
        );
    }
    let options = parse("").expect("nothing is needed");
    assert!(
        !options.measure && options.filter.is_empty() && options.rounds == 15 && options.threads.is_empty()
    );
    assert!(parse("-h").is_ok_and(|options| options.help));
}

#[test]
fn says_what_is_wrong() {
    for (args, message) in [
        ("--rounds 0", "--rounds: expected a whole number from 1, found \"0\""),
        ("--rounds", "--rounds: expected a whole number from 1, found the end of the line"),
        (
            "--threads 1,many",
            "--threads: expected whole numbers from 1 to 1024, separated by commas, found \"many\"",
        ),
        ("--baseline a --baseline b", "--baseline: expected one, found two"),
        ("conv gemm", "FILTER: expected one, found two"),
        ("--bench=yes", "option: expected one of those below, found \"--bench=yes\""),
        ("--round 1", "option: expected one of those below, found \"--round\""),
    ] {
        assert_eq!(parse(args).err().as_deref(), Some(message));
    }
}

#[test]
fn help_names_every_option() {
    for option in ["FILTER", "--rounds", "--threads", "--save-baseline", "--baseline", "--help", "--bench"] {
        assert!(HELP.contains(option), "{option}");
    }
}

/// Every name that is let through is a plain file name in one folder.
#[test]
fn names_do_not_leave_the_folder() {
    for name in ["../up", "a/b", "a\\b", "/etc/passwd", "C:x", "..", ".hidden", "-x", "a*", &"x".repeat(101)]
    {
        let error = parse(&format!("--save-baseline {name}")).err().expect(name);
        assert!(error.starts_with("--save-baseline: expected at most 100 bytes of letters"), "{error}");
    }
    assert!(parse("--save-baseline=").is_err());
    assert!(parse("--save-baseline v1.2_quiet-night").is_ok());
}

#[test]
fn a_baseline_comes_back_as_it_was_and_a_wrong_file_is_refused() {
    let name = format!("test-{}", std::process::id());
    let missing = Baseline::read(&name, "none").expect_err("nothing is there yet").to_string();
    assert!(
        missing.contains(&format!("expected a baseline, as --save-baseline {name} writes it, found:")),
        "{missing}"
    );

    let mut baseline = Baseline::default();
    baseline.insert(1, "64x64x64", 1.0 / 3e5);
    baseline.insert(2, "a name with \"spaces\", and more", 12.5);
    baseline::create_folder().expect("the target folder can be written");
    let path = baseline.write(&name, "none").expect("the folder is there");
    assert_eq!(Baseline::read(&name, "none").expect("it was written"), baseline);
    assert_eq!(baseline.get(1, "64x64x64"), Some(1.0 / 3e5));
    assert_eq!(baseline.get(2, "64x64x64"), None);
    assert_eq!(baseline.keys().count(), 2);

    let first = "tapegrad medians 1: threads, seconds, case\n";
    for (text, expected) in [
        (String::new(), "in line 1, found \"\""),
        ("2\t1\tx\n".into(), "in line 1, found"),
        (format!("{first}1\t1e-3\tx\n1 1e-3 x\n"), "separated by tabs, in line 3, found \"1 1e-3 x\""),
        (format!("{first}1\tNaN\tx\n"), "in line 2"),
        (format!("{first}1\t-1\tx\n"), "in line 2"),
        (format!("{first}one\t1\tx\n"), "in line 2"),
        ("x".repeat(2 << 20), "found 2097152 bytes"),
    ] {
        fs::write(&path, text).expect("the file can be written");
        let error = Baseline::read(&name, "none").expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::remove_file(path).expect("the file is there");
}
