//! The report of a training, as a user gets it: its numbers are the log's, it is sound HTML that asks for nothing from elsewhere, it
//! follows the training, and it survives what a training survives.

mod program;
mod scratch;
mod web_page;

use std::fs;
use std::path::Path;

use program::{Place, ends_with, lenet, notes};
use tapegrad::data::{DatasetName, FashionMnist, Images};
use tapegrad::image::GrayImage;
use tapegrad::nn::{Init, LeNet};
use tapegrad::report::lenet::{History, Report, State};
use tapegrad::save::log::{Epoch, Line, Step};
use web_page::{between, check, numbers, pictures, table};

/// A JSON number behind a key, the first in the text.
#[track_caller]
fn number(line: &str, key: &str) -> f64 {
    let (_, rest) = line.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {line}"));
    rest.split([',', '}', ']']).next().unwrap().parse().unwrap_or_else(|_| panic!("{key} in {line}"))
}

/// The lines of a log of one event.
fn lines<'a>(log: &'a str, event: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.starts_with(&format!("{{\"event\":\"{event}\""))).collect()
}

/// The points of a line in a chart, as the page keeps them for the pointer.
#[track_caller]
fn points(page: &str, chart: &str, line: &str) -> Vec<(f64, f64)> {
    let chart = between(page, &format!("aria-label=\"{chart}. "), "</svg>");
    let group = between(chart, &format!("<g data-name=\"{line}\" "), ">");
    let read = |key: &str| -> Vec<f64> {
        between(group, &format!("{key}=\""), "\"").split(' ').map(|number| number.parse().unwrap()).collect()
    };
    read("data-x").into_iter().zip(read("data-y")).collect()
}

/// The page has six digits of each number.
#[track_caller]
fn same(page: &[f64], log: &[f64]) {
    assert_eq!(page.len(), log.len(), "{page:?} {log:?}");
    for (page, log) in page.iter().zip(log) {
        assert!((page - log).abs() <= 5.1e-6 * log.abs(), "{page} on the page, {log} in the log");
    }
}

#[test]
fn every_number_of_the_page_is_that_of_the_log() {
    let place = Place::new("report-numbers");
    for option in [&[][..], &["--batch-norm"]] {
        let (log, page) = (place.at("log.jsonl"), place.at("page.html"));
        let _ = fs::remove_file(&log);
        let args = [&["--epochs", "3", "--log", &log, "--report", &page], option].concat();
        let (stdout, _) = ends_with(0, &mut place.train(&args));
        let (log, page) = (fs::read_to_string(log).unwrap(), fs::read_to_string(page).unwrap());
        check(&page);

        // The log stands in it, line by line.
        assert_eq!(between(&page, "<script type=\"application/json\" id=\"log\">\n", "</script>"), log);

        let (steps, epochs) = (lines(&log, "step"), lines(&log, "epoch"));
        assert_eq!((steps.len(), epochs.len()), (27, 3));
        let of = |lines: &[&str], key: &str| lines.iter().map(|line| number(line, key)).collect::<Vec<_>>();
        for (chart, name, key) in [
            ("Loss by step", "loss", "loss"),
            ("Accuracy by step", "accuracy", "accuracy"),
            ("Learning rate by step", "lr", "lr"),
        ] {
            let (x, y): (Vec<f64>, Vec<f64>) = points(&page, chart, name).into_iter().unzip();
            assert_eq!(x, (1..=27).map(f64::from).collect::<Vec<_>>(), "{chart}");
            same(&y, &of(&steps, key));
        }
        for (chart, name, key) in [
            ("Accuracy by epoch", "training", "accuracy"),
            ("Accuracy by epoch", "test", "test_accuracy"),
            ("Loss by epoch", "loss", "loss"),
            ("Time by epoch", "seconds", "seconds"),
        ] {
            let (x, y): (Vec<f64>, Vec<f64>) = points(&page, chart, name).into_iter().unzip();
            assert_eq!(x, [1.0, 2.0, 3.0], "{chart}");
            same(&y, &of(&epochs, key));
        }
        // Nothing is marked between two epochs.
        let chart = between(&page, "aria-label=\"Accuracy by epoch. ", "</svg>");
        let marks: Vec<&str> =
            chart.split("text-anchor=\"middle\">").skip(1).map(|rest| between(rest, "", "<")).collect();
        assert_eq!(marks, ["1", "2", "3", "epoch"]);

        let keys = ["loss", "accuracy", "test_accuracy", "lr", "seconds"];
        for (row, line) in numbers(&page, "The epochs as numbers").iter().zip(&epochs) {
            same(row, &keys.map(|key| number(line, key)));
        }

        // Every layer, as the log names them.
        let norms = |line: &str| between(line, "\"gradient_norm\":{", "}").to_string();
        let layers: Vec<String> =
            norms(steps[0]).split(',').map(|pair| pair.split('"').nth(1).unwrap().to_string()).collect();
        assert_eq!(layers.len(), if option.is_empty() { 5 } else { 9 });
        for layer in &layers {
            let (_, y): (Vec<f64>, Vec<f64>) =
                points(&page, "Gradient norm of each layer", layer).into_iter().unzip();
            let log: Vec<f64> = steps.iter().map(|line| number(&norms(line), layer)).collect();
            // An axis that is logarithmic draws no 0, but the number is kept.
            same(&y, &log);
        }
        let measured: Vec<&&str> = steps.iter().filter(|line| line.contains("\"activation\"")).collect();
        assert_eq!(measured.len(), 3, "the first of nine steps");
        let kinds = if option.is_empty() { "conv.1 (Sigmoid)" } else { "2 (Sigmoid)" };
        let layer = kinds.split(' ').next().unwrap();
        let means: Vec<f64> = measured
            .iter()
            .map(|line| {
                let ranges = between(line, "\"activation\":{", "}");
                let three = between(ranges, &format!("\"{layer}\":["), "]");
                let three: Vec<f64> = three.split(',').map(|number| number.parse().unwrap()).collect();
                assert!(0.0 < three[0] && three[0] <= three[1] && three[1] <= three[2] && three[2] < 1.0);
                three[1]
            })
            .collect();
        let (x, y): (Vec<f64>, Vec<f64>) = points(&page, kinds, "mean").into_iter().unzip();
        assert_eq!(x, [1.0, 10.0, 19.0]);
        same(&y, &means);

        // And what the program printed.
        let hash = stdout.lines().last().unwrap().strip_prefix("parameter hash ").unwrap();
        assert!(page.contains(&format!("<dt>parameter hash</dt><dd>{hash}</dd>")), "{hash}");
        let printed = stdout.lines().nth(2).unwrap();
        let right = printed.split('(').nth(1).unwrap().split(' ').next().unwrap();
        assert!(page.contains(&format!("After epoch 3 it has {right} of 50 test images right")), "{printed}");

        // Of the confusion matrix the diagonal is what it has right, all of it the test images.
        let caption = "Confusion matrix: a row for what the images are, a column for what the net says";
        let matrix = numbers(&page, caption);
        assert_eq!((0..10).map(|i| matrix[i][i]).sum::<f64>().to_string(), right);
        assert_eq!(matrix.iter().flatten().sum::<f64>(), 50.0);
        let caption = "Precision (of those it calls so, how many are) and recall (of those that are, how many it calls so)";
        for (class, row) in table(&page, caption).iter().enumerate() {
            let share = |of: f64| match of {
                0.0 => "–".to_string(),
                _ => format!("{:.1}%", 100.0 * matrix[class][class] / of),
            };
            let (called, are) = (matrix.iter().map(|row| row[class]).sum(), matrix[class].iter().sum());
            // The set is not known to be Fashion-MNIST, so the classes are numbers.
            assert_eq!(row[..], [class.to_string(), share(called), share(are), are.to_string()]);
        }
        // Those of the data: one brightness each.
        let shown = pictures(&page);
        let grey =
            |image: &GrayImage| image.width() == 28 && image.pixels().iter().all(|p| *p == image.pixels()[0]);
        assert!(shown.iter().filter(|image| grey(image)).count() >= 20, "{} pictures", shown.len());
    }
}

#[test]
fn the_maps_and_kernels_are_those_of_the_net() {
    let place = Place::new("report-maps");
    let (net, page) = (place.at("net.safetensors"), place.at("page.html"));
    ends_with(0, &mut place.train(&["--epochs", "1", "--save", &net, "--report", &page]));
    let page = fs::read_to_string(page).unwrap();
    let mut file = tapegrad::save::SafeTensors::open(&net).unwrap();
    let weights = file.tensor("conv.0.weight").unwrap().to_vec();
    let rows = numbers(&page, "The weights of conv.0 after training, by row and column");
    let shown: Vec<f64> = rows.concat();
    assert_eq!((rows.len(), shown.len()), (6, 150));
    for (shown, weight) in shown.iter().zip(&weights) {
        assert!((shown - f64::from(*weight)).abs() <= 5.1e-4 * f64::from(weight.abs()), "{shown} {weight}");
    }
    assert_eq!(numbers(&page, "The weights of conv.3 after training, by row and column").len(), 96);
    // Two pictures of kernels each, before and after, with the value of every square.
    for (name, count) in [("conv.0", 150), ("conv.3", 2400)] {
        for when in ["before", "after"] {
            let label = format!("aria-label=\"the kernels of {name} {when} training\"");
            assert_eq!(between(&page, &label, "</svg>").matches("<title>").count(), count);
        }
    }
    let first =
        between(&page, "aria-label=\"the kernels of conv.0 after training\"", "</svg>\n<output></output>");
    assert!(first.contains(" tabindex=\"0\" data-rows=\"5\" data-columns=\"5\" data-across=\"6\""));
    let value: f64 = between(first, "<title>", "</title>").parse().unwrap();
    assert!((value - f64::from(weights[0])).abs() <= 5.1e-4 * f64::from(weights[0].abs()));

    // 6 maps of 24 x 24 in three columns, 16 of 8 x 8 in eight, for ten classes.
    let sizes: Vec<(usize, usize)> =
        pictures(&page).iter().map(|image| (image.width(), image.height())).collect();
    let count = |size| sizes.iter().filter(|&&s| s == size).count();
    assert_eq!((count((74, 49)), count((71, 17))), (10, 10), "{sizes:?}");
}

#[cfg(unix)]
#[test]
fn the_page_follows_the_training_and_says_when_it_was_interrupted() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let place = Place::new("report-follows");
    let page = place.at("page.html");
    let mut child =
        lenet(&["--data", &place.data, "--batch-size", "16", "--epochs", "100000", "--report", &page])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut epochs = lines.by_ref().filter(|line| line.starts_with("epoch "));
    // An epoch's page is written before its line is printed.
    for epoch in 1..=2 {
        epochs.next().unwrap();
        let text = fs::read_to_string(&page).unwrap();
        let done: usize = between(&text, "still training, ", " of 100000 epochs done").parse().unwrap();
        assert!(done >= epoch, "{done} {epoch}");
        assert!(text.contains("<meta http-equiv=\"refresh\""));
        check(&text);
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let _ = epochs.count();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert_eq!(notes(&stderr).last(), Some(&format!("report: {page}").as_str()), "{stderr}");
    let text = fs::read_to_string(&page).unwrap();
    let how = between(&text, ", not finished: ", ".</p>");
    assert!(how.starts_with("stopped in epoch ") && how.ends_with(" steps"), "{how}");
    assert!(!text.contains("<meta http-equiv"), "it would read itself again for ever");
    check(&text);
}

#[test]
fn a_training_that_goes_on_has_its_past_from_the_log() {
    let place = Place::new("report-resume");
    let (folder, log, page) = (place.at("kept"), place.at("log.jsonl"), place.at("page.html"));
    ends_with(0, &mut place.train(&["--epochs", "1", "--checkpoint", &folder, "--log", &log]));
    // With the log, the page is that of a training that never stopped.
    ends_with(0, &mut place.train(&["--resume", &folder, "--epochs", "2", "--report", &page, "--log", &log]));
    let text = fs::read_to_string(&page).unwrap();
    check(&text);
    assert!(!text.contains("taken up again"), "nothing is missing");
    assert_eq!(between(&text, "id=\"log\">\n", "</script>").lines().count(), 1 + 2 * 10 + 1);
    let places =
        |text: &str| points(text, "Loss by step", "loss").iter().map(|point| point.0).collect::<Vec<_>>();
    assert_eq!(places(&text), (1..=18).map(f64::from).collect::<Vec<_>>());
    assert_eq!(table(&text, "The epochs as numbers").len(), 2);

    // Without it, it says where it begins, and shows the rest.
    ends_with(0, &mut place.train(&["--resume", &folder, "--epochs", "3", "--report", &page]));
    let text = fs::read_to_string(&page).unwrap();
    check(&text);
    assert!(text.contains("taken up again in epoch 3 after 0 steps, without a log"), "says nothing of it");
    assert!(text.contains("How the training began is not known here"), "{text:.0}");
    assert_eq!(places(&text), (19..=27).map(f64::from).collect::<Vec<_>>());
    // With the log again, a part is missing.
    ends_with(0, &mut place.train(&["--resume", &folder, "--epochs", "4", "--report", &page, "--log", &log]));
    let text = fs::read_to_string(&page).unwrap();
    assert!(
        text.contains("taken up again in epoch 4 after 0 steps; its log (--log) ends before that"),
        "says nothing"
    );
    assert_eq!(places(&text), (1..=18).chain(28..=36).map(f64::from).collect::<Vec<_>>());

    // What is done already is shown, too.
    ends_with(0, &mut place.train(&["--resume", &folder, "--report", &page]));
    assert!(fs::read_to_string(&page).unwrap().contains("Confusion matrix"));
}

#[test]
fn two_trainings_are_laid_over_each_other() {
    let place = Place::new("report-compare");
    let [a, b, page, both] = ["a.jsonl", "b.jsonl", "b.html", "both.html"].map(|name| place.at(name));
    ends_with(0, &mut place.train(&["--epochs", "2", "--log", &a]));
    ends_with(0, &mut place.train(&["--epochs", "3", "--batch-norm", "--log", &b, "--report", &page]));
    let (_, stderr) = ends_with(0, &mut lenet(&["compare", &a, &b, "--report", &both]));
    assert_eq!(stderr, format!("report: {both}\n"));
    let text = fs::read_to_string(&both).unwrap();
    check(&text);
    for (name, log, epochs) in [("A", &a, 2), ("B", &b, 3)] {
        let log = fs::read_to_string(log).unwrap();
        let of = |event, key| lines(&log, event).iter().map(|line| number(line, key)).collect::<Vec<f64>>();
        let y = |chart| points(&text, chart, name).iter().map(|point| point.1).collect::<Vec<_>>();
        same(&y("Accuracy"), &of("step", "accuracy"));
        same(&y("Test accuracy"), &of("epoch", "test_accuracy"));
        same(&y("Time"), &of("epoch", "seconds"));
        assert_eq!(table(&text, &format!("The epochs of {name}")).len(), epochs);
    }
    // A page says the same as the log that it was made with, and so does a comparison.
    ends_with(0, &mut lenet(&["compare", &a, &page, "--report", &page]));
    assert_eq!(fs::read_to_string(&page).unwrap().replace(&page, &b), text);
    ends_with(0, &mut lenet(&["compare", &both, &b, "--report", &page]));

    // What is neither is refused, in one line, and nothing is written.
    let none = place.at("none.html");
    let [text, cut] = [("text", "hello\n"), ("cut.jsonl", "{\"event\":\"step\"}\n")]
        .map(|(name, text)| place.scratch.file(name, text.as_bytes()).display().to_string());
    for (file, message) in [
        (&text, "expected JSON with '{' in line 1 of a log, found 'h' at byte 0"),
        (&cut, "expected the log of a training, or the page of a report, found no first line of a training"),
    ] {
        let line = program::refuses(&mut lenet(&["compare", &a, file, "--report", &none]));
        assert_eq!(line, format!("{file}: {message}"));
    }
    let (_, stderr) = ends_with(2, &mut lenet(&["compare", &a, "--report", &none]));
    assert!(stderr.starts_with("error: lenet compare: expected two files A and B, found 1\n"), "{stderr}");
    assert!(!Path::new(&none).exists());
}

#[test]
fn a_long_training_stays_a_small_page() {
    let images = Images::new(vec![100; 784 * 20], (0..20).map(|i| i % 10).collect()).unwrap();
    let data = FashionMnist { train: images.clone(), test: images, name: DatasetName::FashionMnist };
    let net = LeNet::new(&mut Init::new(0));
    let layers =
        ["conv.0", "conv.3", "fc.0", "fc.2", "fc.4"].map(|name| (name.to_string(), 0.123456789012345));
    let mut history = History::default();
    for i in 0..23_500_u64 {
        let (epoch, step) = (i / 235 + 1, i % 235 + 1);
        let activation = match step % 10 {
            1 => layers.iter().map(|(name, value)| (name.clone(), [-value, 0.0, *value])).collect(),
            _ => Vec::new(),
        };
        let (loss, gradient_norm) = (1.0 / (i + 1) as f64, layers.to_vec());
        let accuracy = 1.0 - loss;
        let line =
            Step { epoch, step, steps: 235, loss, accuracy, gradient_norm, activation, ..Step::default() };
        history.add(Line::Step(line));
        if step == 235 {
            history.add(Line::Epoch(Epoch {
                epoch,
                loss,
                accuracy,
                test_accuracy: accuracy,
                ..Epoch::default()
            }));
        }
    }
    let report = Report {
        history,
        name: "LeNet".to_string(),
        data: &data,
        before: Box::new(LeNet::new(&mut Init::new(1))),
        options: vec![("--seed", "<script>&\"".to_string())],
        begins_at: None,
        test_logits: vec![0.5; 200],
        profile: None,
    };
    let page = report.page(&net, &State::Finished);
    check(&page);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(page.contains("Of 23500 steps one in 20 is shown."));
    let shown = points(&page, "Loss by step", "loss");
    assert_eq!((shown[0].0, shown[1].0), (1.0, 21.0));
    same(&[shown[1].1], &[1.0 / 21.0]);
    assert!(page.contains("&lt;script&gt;&amp;&quot;") && page.contains("Sweaters stand beside coats"));
}
