//! The profile: every call is counted once, every moment belongs to one row, and what ops compute and move is as counted by hand.

mod program;
mod scratch;

use std::panic::catch_unwind;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use program::{Place, ends_with, lenet, lines, small_data};
use scratch::Scratch;
use tapegrad::data::{DatasetName, FashionMnist, Images};
use tapegrad::nn::{Init, LeNet, Module};
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::optim::Adam;
use tapegrad::profile::{Pass, Peak, Profile, REST, Row, mark, multiply_adds};
use tapegrad::train::{Outcome, Training, train};
use tapegrad::{Tape, Tensor};

/// The one row of this op in this direction.
#[track_caller]
fn row(rows: &[Row], name: &str, pass: Pass) -> Row {
    let mut found = rows.iter().filter(|row| row.name == name && row.pass == pass);
    let row = found.next().unwrap_or_else(|| panic!("no {name} {pass:?} in {rows:?}"));
    assert_eq!(found.next(), None, "{name} {pass:?} has two rows");
    *row
}

/// How many calls of an op went which way.
fn calls(rows: &[Row], name: &str) -> [u64; 3] {
    [Pass::Forward, Pass::Backward, Pass::Inference]
        .map(|pass| rows.iter().filter(|row| row.name == name && row.pass == pass).map(|row| row.calls).sum())
}

/// sigmoid, twice on a training tape and once on another; square and sum, whose gradient the second needs no more than the first.
fn some_ops() {
    let x = Tensor::ones([4, 5]);
    let tape = Tape::training();
    let v = tape.variable(&x);
    let _thrown_away = v.exp();
    (v.sigmoid().sigmoid() * tape.input(&x).exp()).sum().backward();
    let tape = Tape::inference();
    tape.variable(&x).sigmoid();
}

#[test]
fn calls_are_counted_in_each_direction() {
    let profile = Profile::start();
    some_ops();
    let once = profile.rows();
    assert_eq!(calls(&once, "sigmoid"), [2, 2, 1]);
    // One result is not part of the loss, the other depends on no variable: no backward.
    assert_eq!(calls(&once, "exp"), [2, 0, 0]);
    assert_eq!(calls(&once, "mul"), [1, 1, 0]);
    assert_eq!(calls(&once, "sum"), [1, 1, 0]);
    for leaf in ["input", "variable", "param"] {
        assert_eq!(calls(&once, leaf), [0; 3]);
    }
    some_ops();
    assert_eq!(calls(&profile.rows(), "sigmoid"), [4, 4, 2]);
}

#[test]
fn every_moment_belongs_to_one_row() {
    let before = Instant::now();
    let profile = Profile::start();
    let started = Instant::now();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(2));
        mark("sleep");
        some_ops();
        thread::sleep(Duration::from_millis(1));
    }
    let least = started.elapsed();
    let rows = profile.rows();
    let most = before.elapsed();
    let total: Duration = rows.iter().map(|row| row.time).sum();
    assert!(least <= total && total <= most, "{least:?} <= {total:?} <= {most:?}");
    assert!(rows.is_sorted_by(|a, b| a.time >= b.time), "{rows:?}");
    let sleep = row(&rows, "sleep", Pass::Outside);
    assert_eq!((sleep.calls, sleep.gflops(), sleep.gigabytes()), (3, None, None));
    // A sleep is never shorter than asked for. The last three were before a variable, the next mark, and the end.
    assert!(
        sleep.time >= Duration::from_millis(6)
            && row(&rows, REST, Pass::Outside).time >= Duration::from_millis(1)
    );
}

/// What happens before a value is put on the tape, before backward starts, and after it, is no op's.
#[test]
fn what_is_done_between_ops_counts_for_none() {
    const PAUSE: Duration = Duration::from_millis(20);
    let profile = Profile::start();
    let tape = Tape::training();
    thread::sleep(PAUSE);
    let v = tape.variable(&Tensor::ones([2]));
    let id = v.id();
    let loss = tape.record("pause", &[v], Tensor::scalar(1.0), (), move |(), _, adjoints| {
        thread::sleep(PAUSE);
        adjoints.add(id, || Tensor::ones([2]));
    });
    thread::sleep(PAUSE);
    loss.backward();
    thread::sleep(PAUSE);
    let rows = profile.rows();
    assert!(row(&rows, "pause", Pass::Backward).time >= PAUSE);
    assert!(row(&rows, REST, Pass::Outside).time >= 3 * PAUSE, "{rows:?}");
}

/// The work of one convolution, `[n, c, h, w]` with 3 x 3 filters and padding 1: forward, and backward.
fn convolution(groups: usize, image_wants_grad: bool) -> [(f64, f64); 2] {
    let profile = Profile::start();
    let tape = Tape::training();
    let x = Tensor::ones([2, 6, 5, 4]);
    let x = if image_wants_grad { tape.variable(&x) } else { tape.input(&x) };
    let w = tape.variable(&Tensor::ones([8, 6 / groups, 3, 3]));
    let b = tape.variable(&Tensor::ones([8]));
    let options = Conv2dOptions { padding: 1.into(), groups, ..Conv2dOptions::default() };
    x.conv2d(w, Some(b), &options).sum().backward();
    let rows = profile.rows();
    [Pass::Forward, Pass::Backward]
        .map(|pass| row(&rows, "conv2d", pass).work)
        .map(|work| (work.flop, work.bytes))
}

#[test]
fn the_work_of_a_convolution_is_as_by_hand() {
    // x: 2 · 6 · 5 · 4 = 240 numbers. y: 2 · 8 · 5 · 4 = 320 of them, each a sum of 6 · 3 · 3 = 54 products. w: 8 · 54 = 432.
    let product = 2.0 * 320.0 * 54.0;
    let forward = (product, 4.0 * (240.0 + 432.0 + 8.0 + 320.0));
    // dw reads x and dy, dx reads w and dy, and the bias sums dy.
    let both = (2.0 * product + 320.0, 4.0 * (320.0 + (240.0 + 432.0) + (240.0 + 432.0 + 8.0)));
    assert_eq!(convolution(1, true), [forward, both]);
    // As in the first layer of a net: dx is not computed, so nobody reads w.
    let weight_only = (product + 320.0, 4.0 * (320.0 + 240.0 + (432.0 + 8.0)));
    assert_eq!(convolution(1, false), [forward, weight_only]);
    // In two groups a filter sees three channels: half of the taps.
    let half = (product / 2.0, 4.0 * (240.0 + 216.0 + 8.0 + 320.0));
    let both = (product + 320.0, 4.0 * (320.0 + (240.0 + 216.0) + (240.0 + 216.0 + 8.0)));
    assert_eq!(convolution(2, true), [half, both]);
}

#[test]
fn the_work_of_other_ops_is_as_by_hand() {
    let profile = Profile::start();
    let tape = Tape::training();
    let x = tape.variable(&Tensor::ones([5, 7]));
    let w = tape.input(&Tensor::ones([3, 7]));
    let y = x.linear(w, None); // [5, 3]
    let z = tape.variable(&Tensor::ones([3, 2]));
    (y.matmul(z).sigmoid().flatten(0) * 2.0).sum().backward();
    let rows = profile.rows();
    let work = |name, pass| {
        let work = row(&rows, name, pass).work;
        (work.flop, work.bytes)
    };
    // 15 sums of 7 products; w is a constant, so backward makes dx of dy and w.
    assert_eq!(work("linear", Pass::Forward), (210.0, 4.0 * (35.0 + 21.0 + 15.0)));
    assert_eq!(work("linear", Pass::Backward), (210.0, 4.0 * (15.0 + 21.0 + 35.0)));
    // 10 sums of 3 products; both factors want a gradient.
    assert_eq!(work("matmul", Pass::Forward), (60.0, 4.0 * (15.0 + 6.0 + 10.0)));
    assert_eq!(work("matmul", Pass::Backward), (120.0, 4.0 * (10.0 + (6.0 + 15.0) + (15.0 + 6.0))));
    // From x to y, and from dy and y to dx.
    assert_eq!(work("sigmoid", Pass::Forward).1, 4.0 * 20.0);
    assert_eq!(work("sigmoid", Pass::Backward), (3.0 * 10.0, 4.0 * 30.0));
    // A view moves nothing.
    assert_eq!(work("flatten", Pass::Forward), (0.0, 0.0));
    assert_eq!(work("flatten", Pass::Backward), (0.0, 0.0));
    assert_eq!(work("mul", Pass::Forward).0, 10.0);
    assert_eq!(work("sum", Pass::Forward), (10.0, 4.0 * 11.0));
}

#[test]
fn a_rate_is_work_by_time() {
    let profile = Profile::start();
    let tape = Tape::inference();
    tape.input(&Tensor::ones([40, 50])).matmul(tape.input(&Tensor::ones([50, 60])));
    let row = row(&profile.rows(), "matmul", Pass::Inference);
    let seconds = row.time.as_secs_f64();
    let is_near =
        |rate: Option<f64>, amount: f64| (rate.expect("a rate") * seconds * 1e9 / amount - 1.0).abs() < 1e-9;
    assert!(is_near(row.gflops(), 2.0 * 40.0 * 50.0 * 60.0), "{row:?}");
    assert!(is_near(row.gigabytes(), 4.0 * (2000.0 + 3000.0 + 2400.0)), "{row:?}");
}

#[test]
fn nothing_is_noted_without_a_profile() {
    some_ops();
    mark("before");
    let profile = Profile::start();
    let only_rest = |rows: Vec<Row>| assert!(rows.iter().all(|row| row.name == REST), "{rows:?}");
    only_rest(profile.rows());
    some_ops();
    drop(profile);
    some_ops();
    mark("between");
    only_rest(Profile::start().rows());
}

/// A tape may outlive the profile, and a profile may start in the middle of a tape.
#[test]
fn backward_is_noted_where_both_ends_are_seen() {
    let x = Tensor::ones([3]);
    let tape = Tape::training();
    let profile = Profile::start();
    let loss = tape.variable(&x).exp().sum();
    drop(profile);
    loss.backward();

    let tape = Tape::training();
    let y = tape.variable(&x).exp();
    let profile = Profile::start();
    y.sum().backward();
    let rows = profile.rows();
    assert_eq!((calls(&rows, "exp"), calls(&rows, "sum")), ([0; 3], [1, 1, 0]));
    let total: Duration = rows.iter().map(|row| row.time).sum();
    assert!(!total.is_zero());
}

#[test]
fn a_thread_has_one_profile_at_a_time() {
    let refused = || {
        let payload = catch_unwind(|| drop(Profile::start())).expect_err("a second profile");
        payload.downcast_ref::<&str>().map(|text| text.to_string())
    };
    let message = "Profile::start: this thread has a profile already; drop that one first";
    let profile = Profile::start();
    some_ops();
    assert_eq!(refused().as_deref(), Some(message));
    // The first goes on.
    some_ops();
    assert_eq!(calls(&profile.rows(), "sigmoid"), [4, 4, 2]);
    drop(profile);
    drop(Profile::start());

    // One that is forgotten goes on as long as its thread.
    let forgotten = thread::spawn(move || {
        std::mem::forget(Profile::start());
        some_ops();
        refused()
    });
    assert_eq!(forgotten.join().expect("the thread ends well").as_deref(), Some(message));
}

#[test]
fn threads_do_not_mix() {
    let profile = Profile::start();
    some_ops();
    let others: Vec<_> = (1..4)
        .map(|rounds| {
            thread::spawn(move || {
                let profile = Profile::start();
                (0..rounds).for_each(|_| some_ops());
                calls(&profile.rows(), "sigmoid")
            })
        })
        .collect();
    thread::spawn(some_ops).join().expect("a thread without a profile");
    for (other, rounds) in others.into_iter().zip(1..) {
        assert_eq!(other.join().expect("the thread ends well"), [2 * rounds, 2 * rounds, rounds]);
    }
    assert_eq!(calls(&profile.rows(), "sigmoid"), [2, 2, 1]);
}

/// Two epochs of 70 images in batches of 32: three steps each, and a batch of an evaluation.
#[test]
fn a_training_is_told_apart_and_ends_with_the_same_bits() {
    let hash = |profile: Option<&Profile>| {
        let images =
            Images::new((0..70 * 784).map(|i| (i % 251) as u8).collect(), (0..70).map(|i| i % 10).collect());
        let images = images.expect("70 images");
        let data = FashionMnist { train: images.clone(), test: images, name: DatasetName::Other };
        let mut net = LeNet::new(&mut Init::new(0));
        let (training, stop) = (Training { epochs: 2, batch_size: 32, seed: 0 }, AtomicBool::new(false));
        let outcome = train(&mut net, &mut Adam::new(0.001), &data, &training, &stop, |_| {});
        assert_eq!(outcome, Outcome::Finished);
        (net.parameter_hash(), profile.map(Profile::rows))
    };
    let (without, _) = hash(None);
    let profile = Profile::start();
    let (with, rows) = hash(Some(&profile));
    assert_eq!(with, without);
    let rows = rows.expect("it was profiled");
    assert_eq!(calls(&rows, "conv2d"), [12, 12, 4]);
    assert_eq!(calls(&rows, "linear"), [18, 18, 6]);
    assert_eq!(calls(&rows, "cross_entropy"), [6, 6, 0]);
    let marked = |name| row(&rows, name, Pass::Outside).calls;
    assert_eq!(["load images", "count correct", "optimiser", "report"].map(marked), [8, 8, 6, 8]);
}

#[test]
fn the_peak_is_a_rate() {
    let peak = Peak::measure();
    assert_eq!(peak.threads, tapegrad::parallel::threads());
    for rate in [peak.one_thread, peak.all_threads, multiply_adds(2)] {
        assert!(rate.is_finite() && rate > 0.0, "{peak:?}");
    }
    // What was better stays.
    let spoilt = Peak { one_thread: 1e-9, all_threads: f64::MAX, ..peak };
    let again = spoilt.measured_again();
    assert!(again.one_thread > 1e-3 && again.all_threads == f64::MAX, "{again:?}");
}

#[test]
fn lenet_prints_it_above_the_hash() {
    let place = Place::new("profile-prints");
    let (plain, _) = ends_with(0, &mut place.train(&["--epochs", "2"]));
    let (stdout, stderr) = ends_with(0, &mut place.train(&["--epochs", "2", "--profile"]));
    let (plain, profiled) = (lines(&plain), lines(&stdout));
    assert_eq!((&profiled[..2], profiled.last()), (&plain[..2], plain.last()));
    assert!(!stderr.contains("profile"), "{stderr}");
    let table: Vec<&str> = stdout.lines().skip(2).take(profiled.len() - 3).collect();
    assert!(table[0].starts_with("profile of ") && table[0].contains(" GFLOP/s on 1 thread"), "{stdout}");
    assert!(table.iter().all(|line| line.chars().count() <= 100), "{stdout}");
    let shares: Vec<f64> = table[2..]
        .iter()
        .filter_map(|line| line.split_whitespace().find_map(|word| word.strip_suffix('%'))?.parse().ok())
        .collect();
    let (total, parts) = shares.split_last().expect("rows");
    assert_eq!(*total, 100.0);
    // Each is rounded to a tenth.
    assert!((parts.iter().sum::<f64>() - 100.0).abs() <= 0.05 * parts.len() as f64 + 1e-9, "{stdout}");
    assert!(
        parts.is_sorted_by(|a, b| a >= b) || table.iter().any(|line| line.contains(" others ")),
        "{stdout}"
    );
    // 18 steps with two convolutions each.
    let has = |start: [&str; 3]| table.iter().any(|line| line.split_whitespace().take(3).eq(start));
    for start in [["conv2d", "forward", "36"], ["conv2d", "backward", "36"], ["linear", "backward", "54"]] {
        assert!(has(start), "{start:?} is missing in:\n{stdout}");
    }
}

#[test]
fn a_net_that_diverges_has_a_profile_too() {
    let scratch = Scratch::new("profile-diverges");
    let data = small_data(&scratch, 64);
    let args = ["--data", &data, "--lr", "1e39", "--batch-size", "32", "--quiet", "--profile"];
    let (stdout, stderr) = ends_with(1, &mut lenet(&args));
    assert!(stdout.starts_with("profile of "), "{stdout}");
    assert!(stderr.contains("error: the loss became NaN"), "{stderr}");
}
