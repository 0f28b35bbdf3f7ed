//! What the programs do on a terminal, and where there is none: width, colours, quiet. The terminals are those that util-linux's
//! `script` makes; where it is missing, what needs one is skipped.

mod program;
mod scratch;

use std::process::{Command, Stdio};

use program::{ends_with, lenet, path, program, refuses, small_data};
use scratch::Scratch;

/// Runs a program on a terminal of so many columns, with these variables, and gives back all that it wrote there; `None`, aloud, where
/// there is no `script`.
fn on_terminal(
    program_path: &str,
    args: &[&str],
    columns: usize,
    variables: &[(&str, &str)],
) -> Option<String> {
    let version = Command::new("script").arg("--version").output();
    if !version.is_ok_and(|version| String::from_utf8_lossy(&version.stdout).contains("util-linux")) {
        println!("skipped: apt-get install util-linux, for script");
        return None;
    }
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let line = format!("stty cols {columns} && '{program_path}' {}", quoted.join(" "));
    let mut script = program("script", &["-qec", &line, "/dev/null"]);
    for name in ["COLUMNS", "NO_COLOR"] {
        script.env_remove(name);
    }
    script.env("TERM", "xterm").envs(variables.iter().copied()).stdin(Stdio::null());
    Some(ends_with(0, &mut script).0)
}

/// Two epochs of three steps on a terminal.
fn trained(name: &str, args: &[&str], columns: usize, variables: &[(&str, &str)]) -> Option<String> {
    let scratch = Scratch::new(name);
    let data = small_data(&scratch, 140);
    let args = [&["--data", &data, "--epochs", "2", "--batch-size", "48"], args].concat();
    on_terminal(env!("CARGO_BIN_EXE_lenet"), &args, columns, variables)
}

/// What was drawn and cleared again: everything between a carriage return and `\x1b[K`, without colours.
fn bars(output: &str) -> Vec<String> {
    let drawn =
        output.split('\r').filter_map(|part| part.strip_suffix("\x1b[K")).filter(|bar| !bar.is_empty());
    drawn.map(|bar| bar.replace("\x1b[36m", "").replace("\x1b[0m", "")).collect()
}

#[test]
fn a_bar_is_as_wide_as_the_terminal() {
    for (columns, variables, room) in [
        (200, &[][..], 199),
        (80, &[], 79),
        (40, &[], 39),
        (12, &[], 11),
        // What the user says counts more than what the terminal says.
        (200, &[("COLUMNS", "50")], 49),
        // What is no width says nothing; nor does a terminal that does not know its own.
        (60, &[("COLUMNS", "wide")], 59),
        (0, &[], 79),
    ] {
        let Some(output) = trained("terminal-width", &[], columns, variables) else { return };
        let bars = bars(&output);
        // One for the first step of each epoch at least.
        assert!(bars.len() >= 2, "{output:?}");
        for bar in bars {
            assert!(
                bar.starts_with(&"epoch "[..6.min(room)]) && bar.chars().count() <= room,
                "{columns}: {bar:?}"
            );
            // Between, it depends on whether there is a time left to tell of.
            if !(45..=65).contains(&room) {
                assert_eq!(bar.contains(" loss "), room > 65, "{columns}: {bar:?}");
            }
            assert_eq!(bar.contains('['), room > 20, "{columns}: {bar:?}");
            if !(45..=100).contains(&room) {
                assert_eq!(bar.contains(" images/s"), room > 100, "{columns}: {bar:?}");
            }
        }
        // The second epoch has something to go by.
        assert_eq!(output.contains(" left"), room > 35, "{columns}: {output:?}");
    }
}

#[test]
fn colours_are_used_where_they_are_wanted() {
    for (args, variables, expected) in [
        (&[][..], &[][..], true),
        (&["--color=auto"], &[("NO_COLOR", "")], true),
        (&[], &[("NO_COLOR", "1")], false),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
        (&["--color=never"], &[], false),
        (&[], &[("TERM", "")], false),
    ] {
        let Some(output) = trained("terminal-colours", args, 80, variables) else { return };
        assert!(!bars(&output).is_empty(), "{output:?}");
        assert_eq!(output.contains("\x1b[36m"), expected, "{args:?} {variables:?}: {output:?}");
        assert_eq!(output.matches("\x1b[36m").count(), output.matches("\x1b[0m").count(), "{output:?}");
        let edges = on_terminal(env!("CARGO_BIN_EXE_edge_kernel"), args, 80, variables);
        assert!(
            edges.is_some_and(|edges| edges.contains("\x1b[38;5;") == expected),
            "{args:?} {variables:?}"
        );
    }
}

#[test]
fn nothing_is_rewritten_where_that_is_not_understood_or_not_wanted() {
    for (args, variables) in [(&[][..], &[("TERM", "dumb")][..]), (&["--quiet"], &[])] {
        let Some(output) = trained("terminal-dumb", args, 80, variables) else { return };
        assert!(bars(&output).is_empty() && !output.contains('\x1b'), "{args:?} {variables:?}: {output:?}");
        assert!(output.contains("epoch 2, loss "), "{output:?}");
    }
}

#[test]
fn colours_go_into_a_pipe_only_where_they_are_asked_for() {
    let scratch = Scratch::new("terminal-pipe");
    let data = small_data(&scratch, 140);
    let run = |args: &[&str]| {
        let args = [&["--data", &data, "--epochs", "2"], args].concat();
        ends_with(0, lenet(&args).env("TERM", "xterm").env_remove("NO_COLOR"))
    };
    for args in [&[][..], &["--color", "auto"], &["--color", "never"]] {
        let (stdout, stderr) = run(args);
        assert!(
            !stdout.contains('\x1b') && !stderr.contains('\x1b') && !stderr.contains('\r'),
            "{args:?}: {stdout}"
        );
    }
    let (stdout, stderr) = run(&["--color", "always"]);
    assert!(stdout.contains("\x1b[36m") && !stderr.contains('\r'), "{stdout:?} {stderr:?}");
    let edges = |args: &[&str]| {
        let args = [&["--data", &data], args].concat();
        ends_with(0, &mut program::edge_kernel(&args)).0.contains("\x1b[38;5;")
    };
    assert!(edges(&["--color", "always"]) && !edges(&[]));
}

#[test]
fn what_is_no_choice_of_colours_is_refused() {
    for command in [lenet, program::edge_kernel] {
        let (stdout, stderr) = ends_with(2, &mut command(&["--color", "green"]));
        assert_eq!(stdout, "");
        let message = "error: --color: expected auto, always or never, found \"green\"";
        assert_eq!(stderr.lines().next(), Some(message));
    }
}

/// The line above the hash, of two epochs or more.
#[test]
fn the_accuracies_end_a_training() {
    let scratch = Scratch::new("terminal-sparkline");
    let data = small_data(&scratch, 140);
    let folder = path(&scratch.dir().join("kept")).to_string();
    let accuracies = |args: &[&str]| {
        let args = [&["--data", &data, "--batch-size", "16", "--lr", "0.01"], args].concat();
        let (stdout, _) = ends_with(0, &mut lenet(&args));
        let lines: Vec<String> = stdout.lines().map(str::to_string).collect();
        assert!(lines.last().is_some_and(|line| line.starts_with("parameter hash ")), "{stdout}");
        let all: Vec<String> = lines
            .iter()
            .filter_map(|line| Some(line.split_once("test acc ")?.1.split(',').next()?.to_string()))
            .filter(|accuracy| accuracy.parse::<f64>().is_ok())
            .collect();
        let line = lines.iter().rev().nth(1).filter(|line| line.starts_with("test acc, epochs ")).cloned();
        (line, all)
    };
    let (line, all) = accuracies(&["--epochs", "6", "--checkpoint", &folder]);
    let line = line.expect("a line");
    let (before, columns) = line.split_once(": ").expect("columns");
    assert_eq!((before, all.len()), ("test acc, epochs 1 to 6", 6));
    let (columns, behind) = columns.split_once(' ').expect("the ends");
    assert_eq!(behind, format!("{} to {}", all[0], all[5]));
    assert_eq!(columns.chars().count(), 6);
    // Higher columns for higher numbers: the block characters are in that order.
    for (column, accuracy) in columns.chars().zip(&all) {
        for (other, less) in columns.chars().zip(&all) {
            assert!(accuracy < less || column >= other, "{line}: {all:?}");
        }
    }
    // Only of what was trained now.
    let (line, all) = accuracies(&["--epochs", "8", "--resume", &folder]);
    let line = line.expect("a line");
    assert!(line.starts_with("test acc, epochs 7 to 8: ") && all.len() == 2, "{line}");
    assert_eq!(accuracies(&["--epochs", "1"]).0, None);
    assert_eq!(accuracies(&["--epochs", "2", "--quiet"]).0, None);
}

#[test]
fn a_wrong_file_is_one_line_in_any_colour() {
    assert!(!refuses(&mut lenet(&["--data", "no/such/folder", "--color", "always"])).contains('\x1b'));
}
