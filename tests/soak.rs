//! The long run: thousands of steps, and one whole training after the other in the same process. At the end memory, open files, threads and
//! bits must be what they were after the first of them. Alone in its binary, since all of these are the process's.
//!
//! An ordinary run is a short one; `tests/soak.sh` goes 10,000 steps with each net and does 200 trainings. `SOAK_STEPS=N` and
//! `SOAK_TRAININGS=N` say how many. (That no step after the first asks for tensor memory is in `recycling.rs`; how memory grows within
//! a thousand steps, and with the batch, in `memory.rs`.)
//!
//! Whether steps become slower is asked of a young process (`soak_young/mod.rs`), and the answer is printed, not asserted: time is the
//! machine's as well. The script holds it, and asks again before it believes a bad one.

mod program;
mod scratch;
mod soak_young;

use std::fs;
use std::io::{Write, stderr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use program::small_data;
use scratch::Scratch;
use soak_young::{Young, be_young, is_young};
use tapegrad::data::{FashionMnist, Images};
use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::optim::Adam;
use tapegrad::report::lenet::{History, Report, State};
use tapegrad::save::checkpoint::Checkpoints;
use tapegrad::save::log::{Line, Log, Probe};
use tapegrad::save::{Metadata, save_model};
use tapegrad::train::{Outcome, Position, Progress, Training, train, train_from};
use tapegrad::{file, parallel};

/// How far memory may be from what it was after the warm-up: 2 MB, in the KiB that the system counts in.
const SWING: usize = 2_000_000 / 1024;

/// How far the time of a step may be from that in a young process.
const FLAT: f64 = 0.05;

/// Steps to warm up, and from one look at memory to the next. An epoch has 51, the last of them with a batch of its own size.
const LOOK: usize = 100;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")))
}

/// Pages of this process that are in memory, in KiB, where the system says so.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// How many threads (`task`) or open files (`fd`) this process has, where the system says so.
fn count(folder: &str) -> Option<usize> {
    Some(fs::read_dir(Path::new("/proc/self").join(folder)).ok()?.count())
}

/// Holds the number of threads. One that is joined may be listed for another moment.
#[track_caller]
fn expect_threads(expected: Option<usize>, when: &str) {
    let start = Instant::now();
    while count("task") != expected {
        let patience = Duration::from_secs(10);
        assert!(start.elapsed() < patience, "{when}: {:?} threads, not {expected:?}", count("task"));
        sleep(Duration::from_millis(1));
    }
}

/// What memory was each time that somebody looked, the first time after the warm-up.
#[derive(Default)]
struct Memory(Vec<usize>);

impl Memory {
    #[track_caller]
    fn look(&mut self, when: &str) {
        let Some(now) = resident() else { return };
        self.0.push(now);
        let first = self.0[0];
        assert!(now.abs_diff(first) <= SWING, "{when}: {now} KiB of memory, {first} KiB after the warm-up");
    }

    fn tell(&self, name: &str) {
        let (Some(least), Some(most)) = (self.0.iter().min(), self.0.iter().max()) else { return };
        let [first, .., last] = self.0[..] else { return };
        let looks = self.0.len() - 1;
        println!(
            "{name}: memory {first} KiB after the warm-up, then {least} to {most} in {looks} looks, {last} at the end"
        );
    }
}

fn new_net(name: &str) -> Box<dyn Module> {
    let init = &mut Init::new(0);
    if name == NETS[0] { Box::new(LeNet::new(init)) } else { Box::new(lenet_batch_norm(init)) }
}

const NETS: [&str; 2] = ["LeNet", "LeNet with batch norm"];

/// The first of the real pictures, so that an epoch is short and there are many of them.
fn some_data() -> FashionMnist {
    let all = FashionMnist::load(concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist")).unwrap();
    let first = |images: &Images, n: usize| {
        Images::new(images.pixels()[..n * 784].to_vec(), images.labels()[..n].to_vec()).unwrap()
    };
    FashionMnist { train: first(&all.train, 50 * 64 + 32), test: first(&all.test, 500), name: all.name }
}

/// Trains until `each`, which hears of the seconds of every step, has enough.
fn train_while(name: &str, data: &FashionMnist, mut each: impl FnMut(f64) -> bool) {
    let training = Training { epochs: usize::MAX, batch_size: 64, seed: 0 };
    let stop = AtomicBool::new(false);
    let mut before = Instant::now();
    train(&mut *new_net(name), &mut Adam::new(0.001), data, &training, &stop, |progress| {
        if let Progress::Step(_) = progress
            && !each(before.elapsed().as_secs_f64())
        {
            stop.store(true, Ordering::Relaxed);
        }
        before = Instant::now();
    });
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One training of so many steps. They are cut into windows; in the first fifth of each, a young process goes along. Both have then one
/// thread, on the same core.
fn many_steps(name: &str, steps: usize, threads: usize) {
    let data = some_data();
    let windows = (steps / 500).max(2);
    let window = steps.saturating_sub(LOOK) / windows;
    assert!(window >= 50, "SOAK_STEPS={steps}: expected 200 at least");
    let (mut memory, mut done, mut young) = (Memory::default(), 0, None::<Young>);
    let (mut seconds, mut ratios) = (Vec::new(), Vec::new());
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    parallel::set_threads(threads);
    train_while(name, &data, |own| {
        done += 1;
        match &mut young {
            Some(young) => ratios.push(own / young.step()),
            None => seconds.push(own),
        }
        if done % LOOK == 0 {
            memory.look(&format!("{name}, after {done} steps"));
        }
        if done < LOOK {
            return true;
        }
        match (done - LOOK) % window {
            0 => {
                if done > LOOK {
                    alone.push(median(&seconds));
                }
                seconds.clear();
                if alone.len() == windows {
                    return false;
                }
                parallel::set_threads(1);
                young = Some(Young::start(name));
            }
            at if at == window / 5 => {
                young = None;
                parallel::set_threads(threads);
                beside.push(median(&ratios));
                ratios.clear();
            }
            _ => {}
        }
        true
    });
    println!("{name}: {done} steps on {threads} threads");
    memory.tell(name);
    tell_time(name, &alone, &beside);
}

/// Says how long the steps of each window took, alone and beside a young process.
fn tell_time(name: &str, alone: &[f64], beside: &[f64]) {
    let all = median(alone);
    let parts: Vec<f64> = alone.iter().map(|seconds| seconds / all).collect();
    println!("{name}: a step takes {:.2} ms, window by window {parts:.3?} of that", 1e3 * all);
    println!("{name}: and {beside:.3?} of what it takes in a process that has just begun");
    let middle = median(beside);
    let flat = beside.iter().all(|ratio| (ratio - 1.0).abs() <= FLAT && (ratio / middle - 1.0).abs() <= FLAT);
    let last_to_first = beside[beside.len() - 1] / beside[0];
    let verdict = if flat { "flat" } else { "not flat" };
    println!("{name}: last window to first {last_to_first:.3}; {verdict} within {}%", 100.0 * FLAT);
}

/// What a training leaves behind that must be the same whenever it is done, and on whatever number of threads.
#[derive(Clone, PartialEq)]
struct Trained {
    losses: Vec<u64>,
    net: Vec<u8>,
}

/// A whole training as `lenet` does it with --log, --report, --checkpoint and --save: everything is read, made and written anew.
fn whole_training(name: &str, threads: usize, before: Option<usize>, data: &Path, folder: &Path) -> Trained {
    fs::create_dir(folder).unwrap();
    parallel::set_threads(threads);
    let expected = before.map(|before| before + threads - 1);
    let data = FashionMnist::load(data).unwrap();
    let training = Training { epochs: 2, batch_size: 64, seed: 0 };
    let (mut net, mut adam) = (new_net(name), Adam::new(0.001));
    let mut log = Log::append(folder.join("log.jsonl")).unwrap();
    let mut checkpoints = Checkpoints::create(folder.join("checkpoints")).unwrap();
    let probe = Probe::new(&data.test);
    let mut report = Report {
        history: History::default(),
        name: name.to_string(),
        data: &data,
        before: new_net(name),
        options: vec![],
        begins_at: None,
        test_logits: vec![],
        profile: None,
    };
    let page = folder.join("page.html");
    let start = Line::start(&*net, &adam, &training);
    log.write(&start).unwrap();
    report.history.add(start);
    let stop = AtomicBool::new(false);
    let outcome =
        train_from(&mut *net, &mut adam, &data, &training, Position::start_of(1), &stop, |moment| {
            let line = Line::moment(&moment, Some(&probe));
            log.write(&line).unwrap();
            report.history.add(line);
            if let Some(logits) = moment.test_logits {
                report.test_logits = logits.to_vec();
                checkpoints
                    .save(moment.net, moment.optimizer, &training, &moment.position, &Metadata::new())
                    .unwrap();
                file::replace(&page, report.page(moment.net, &State::Running).as_bytes()).unwrap();
                expect_threads(expected, &format!("{name} on {threads}"));
            }
        });
    assert_eq!(outcome, Outcome::Finished);
    let end = Line::end(&*net);
    log.write(&end).unwrap();
    report.history.add(end);
    file::replace(&page, report.page(&*net, &State::Finished).as_bytes()).unwrap();
    let saved = folder.join("net.safetensors");
    save_model(&*net, &saved, &Metadata::new()).unwrap();
    let losses = report.history.steps.iter().map(|step| step.loss.to_bits()).collect();
    Trained { losses, net: fs::read(&saved).unwrap() }
}

/// Trainings one after the other, on changing numbers of threads.
fn many_trainings(trainings: usize, threads: Option<usize>, files: Option<usize>) {
    const ON: [usize; 4] = [1, 2, 3, 7];
    let scratch = Scratch::new("soak");
    let data = small_data(&scratch, 300);
    let (mut memory, mut first) = (Memory::default(), [None, None]);
    for i in 0..trainings {
        let (net, on) = (i % 2, ON[i / 2 % ON.len()]);
        let when = format!("training {}, {} on {on} threads", i + 1, NETS[net]);
        let folder = scratch.dir().join(i.to_string());
        let trained = whole_training(NETS[net], on, threads, data.as_ref(), &folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(trained.losses.len(), 2 * 5, "{when}");
        assert!(
            first[net].get_or_insert_with(|| trained.clone()) == &trained,
            "{when}: other bits than the first"
        );
        assert_eq!(count("fd"), files, "{when}: open files");
        // Once both nets were on every number of threads.
        if i + 1 >= NETS.len() * ON.len() {
            memory.look(&when);
        }
    }
    println!("{trainings} trainings, on {ON:?} threads in turn: the same bits, no file left open");
    memory.tell("trainings");
}

/// The name of the test, with which it starts itself again.
const TEST: &str = "memory_files_threads_and_bits_stay_what_they_are";

/// One test, since two would run at the same time.
#[test]
fn memory_files_threads_and_bits_stay_what_they_are() {
    if is_young() {
        return be_young();
    }
    let asked_for = parallel::threads();
    let (threads, files) = (count("task"), count("fd"));
    if resident().is_none() || threads.is_none() || files.is_none() {
        // To the stream itself: what a passing test prints nobody sees.
        let _ = writeln!(stderr(), "skipped: no status, task or fd in /proc/self; only the bits are held");
    }
    let (trainings, steps) = (number("SOAK_TRAININGS", 24), number("SOAK_STEPS", 200));
    if trainings > 0 {
        many_trainings(trainings, threads, files);
    }
    if steps > 0 {
        NETS.iter().for_each(|name| many_steps(name, steps, asked_for));
    }
    parallel::set_threads(1);
    expect_threads(threads, "in the end");
    assert_eq!(count("fd"), files, "open files in the end");
    if let Some(threads) = threads {
        println!("in the end {threads} threads, as before the first; all others are joined");
    }
}
