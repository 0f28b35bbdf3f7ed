//! The tape as a picture: what is told of each node, that SVG and DOT hold every node and every line, and that boxes and lines keep clear
//! of each other. What ops say that they keep is in `kept_for_backward.rs`.

mod program;
mod scratch;

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use program::{Place, ends_with, lines, refuses};
use tapegrad::autograd::draw::MOST_NODES;
use tapegrad::autograd::{Kept, Role};
use tapegrad::nn::{Init, LeNet, Linear, Module};
use tapegrad::{Param, Tape, Tensor, Var};

/// `sum((w x + y)²)` with w = 3, x = (1, 2), y = (1, -2): the sum of (4, 4) squared, 32.
fn small(tape: &Tape, w: &Param) {
    let x = tape.input(&Tensor::new([1.0, 2.0]));
    let y = tape.variable(&Tensor::new([1.0, -2.0]));
    let loss = (tape.param(w) * x + y).square().sum();
    assert_eq!(loss.item(), 32.0);
    if tape.is_training() {
        loss.backward();
    }
}

#[test]
fn a_small_tape_is_told_in_full() {
    let w = Param::new(Tensor::new([3.0]));
    let tape = Tape::training().watched();
    small(&tape, &w);
    let drawing = tape.draw().named([("scale".to_string(), &w)]);
    let told: Vec<_> = drawing
        .nodes
        .iter()
        .map(|node| (node.op, node.role, node.inputs.as_slice(), node.wants_grad, node.gradient_norm))
        .collect();
    // d/d(sum) = 1; of the square (1, 1); of its input 2 (4, 4) = (8, 8), and so of the product and of y; of w: 8 + 16.
    let (two, eights) = (Some(2.0_f64.sqrt()), Some(128.0_f64.sqrt()));
    assert_eq!(
        told,
        [
            ("input", Role::Input, &[][..], false, None),
            ("variable", Role::Variable, &[], true, eights),
            ("param", Role::Param, &[], true, Some(24.0)),
            ("mul", Role::Op, &[2, 0], true, eights),
            ("add", Role::Op, &[3, 1], true, eights),
            ("square", Role::Op, &[4], true, two),
            ("sum", Role::Op, &[5], true, Some(1.0)),
        ]
    );
    assert_eq!(drawing.nodes[3].kept, Kept { inputs: 8, value: 0, own: 0 }, "x, for the gradient of w alone");
    assert_eq!(drawing.nodes[3].shape, [2]);
    let named: Vec<_> = drawing.nodes.iter().filter_map(|node| node.name.as_deref()).collect();
    assert_eq!(named, ["scale"]);
    for picture in [drawing.to_svg(), drawing.to_dot()] {
        for text in
            ["scale", "keeps inputs 8 B", "gradient norm 11.31", "gradient norm 24", "wants no gradient"]
        {
            assert!(picture.contains(text), "{text} is missing in:\n{picture}");
        }
    }
}

#[test]
fn norms_are_noted_only_on_a_watched_tape_and_only_where_gradients_come() {
    let w = Param::new(Tensor::new([3.0]));
    let tape = Tape::training();
    small(&tape, &w);
    assert!(tape.draw().nodes.iter().all(|node| node.gradient_norm.is_none()));
    assert!(!tape.to_svg().contains("gradient norm") && tape.to_svg().contains("wants a gradient"));

    let tape = Tape::training().watched();
    let (x, unused) = (tape.variable(&Tensor::scalar(2.0)), tape.variable(&Tensor::scalar(1.0)));
    let (loss, _after) = (x.square(), unused.exp());
    assert!(tape.to_svg().contains("wants a gradient"), "before backward");
    loss.backward();
    let norms: Vec<_> = tape.draw().nodes.iter().map(|node| node.gradient_norm).collect();
    assert_eq!(norms, [Some(4.0), None, Some(1.0), None]);
    assert!(tape.to_svg().contains("no gradient came"));

    let tape = Tape::inference();
    small(&tape, &w);
    assert!(tape.draw().nodes.iter().all(|node| !node.wants_grad && node.kept == Kept::default()));
}

#[test]
fn norms_survive_gradients_that_f32_cannot_square() {
    let tape = Tape::training().watched();
    let x = tape.variable(&Tensor::new([1.0, 1.0]));
    (x * 3e30).sum().backward();
    let norm = tape.draw().nodes[0].gradient_norm.expect("it came");
    assert!((norm / (f64::from(3e30_f32) * 2.0_f64.sqrt()) - 1.0).abs() < 1e-12, "{norm}");
}

/// An element as the little reader below sees it.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> f64 {
        self.get(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{} has no {name}", self.name))
    }
}

/// The elements of an XML text in order. Panics where it is not well-formed: tags that do not match, attributes without quotes or twice,
/// other entities than XML's own, characters that XML does not have.
fn elements(xml: &str) -> Vec<Element> {
    let check_text = |text: &str| {
        for piece in text.split('&').skip(1) {
            assert!(
                ["amp;", "lt;", "gt;", "quot;", "apos;"].iter().any(|known| piece.starts_with(known)),
                "&{piece}"
            );
        }
        assert!(!text.contains(['<', '>']), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    };
    let (mut found, mut open, mut rest) = (Vec::new(), Vec::new(), xml);
    while let Some(start) = rest.find('<') {
        check_text(&rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let is_empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, mut text) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes: Vec<(String, String)> = Vec::new();
        while !text.is_empty() {
            let (key, behind) = text.split_once("=\"").expect("a quoted attribute");
            let (value, behind) = behind.split_once('"').expect("a closing quote");
            check_text(value);
            assert!(attributes.iter().all(|(other, _)| other != key), "{key} twice in {tag}");
            attributes.push((key.to_string(), value.to_string()));
            text = behind.trim_start();
        }
        if !is_empty {
            open.push(name.to_string());
        }
        found.push(Element { name: name.to_string(), attributes });
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "not closed: {open:?} {rest}");
    found
}

/// A rectangle: left, top, right, bottom.
type Area = [f64; 4];

fn overlap(a: Area, b: Area) -> bool {
    // Numbers are rounded to a tenth.
    let apart = 0.2;
    a[0] + apart < b[2] && b[0] + apart < a[2] && a[1] + apart < b[3] && b[1] + apart < a[3]
}

/// The pieces of a path, as the areas that they lie in.
fn pieces(path: &str) -> Vec<Area> {
    let commands = path.replace(['M', 'L', 'C'], "|");
    let mut areas = Vec::new();
    let mut before: Option<[f64; 2]> = None;
    for command in commands.split('|').skip(1) {
        let numbers: Vec<f64> = command.split(' ').map(|number| number.parse().expect("a number")).collect();
        let points: Vec<[f64; 2]> = numbers.chunks(2).map(|point| [point[0], point[1]]).collect();
        if let Some(before) = before {
            let mut area = [before[0], before[1], before[0], before[1]];
            for [x, y] in &points {
                area = [area[0].min(*x), area[1].min(*y), area[2].max(*x), area[3].max(*y)];
            }
            // A straight line has no width; give it that of a pen.
            areas.push([area[0] - 0.5, area[1] - 0.5, area[2] + 0.5, area[3] + 0.5]);
        }
        before = points.last().copied();
    }
    areas
}

/// Checks the picture of a tape: every node and line is there once, inside of the picture, and clear of the others.
#[track_caller]
fn check_svg(tape: &Tape) {
    let (drawing, svg) = (tape.draw(), tape.to_svg());
    let elements = elements(&svg);
    let size = [elements[0].number("width"), elements[0].number("height")];
    let mut boxes: Vec<Area> = Vec::new();
    for pair in elements.windows(3).filter(|pair| pair[0].get("data-node").is_some()) {
        assert_eq!(pair[0].get("data-node"), Some(boxes.len().to_string().as_str()));
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| pair[2].number(name));
        boxes.push([x, y, x + width, y + height]);
    }
    assert_eq!(boxes.len(), drawing.nodes.len());
    let left = boxes.iter().map(|area| area[0]).fold(f64::INFINITY, f64::min);
    assert!(left >= 0.0, "{left}");
    for (i, &a) in boxes.iter().enumerate() {
        assert!(a[2] <= size[0] && a[3] <= size[1], "node {i} lies outside");
        for (j, &b) in boxes.iter().enumerate().skip(i + 1) {
            assert!(!overlap(a, b), "nodes {i} and {j} lie over each other: {a:?} {b:?}");
        }
    }
    let mut drawn = HashSet::new();
    for line in elements.iter().filter(|element| element.get("class") == Some("line")) {
        let ends = ["data-from", "data-to"].map(|end| line.get(end).map(str::parse));
        // Without ends it is what several lines have in common.
        if let [Some(Ok(from)), Some(Ok(to))] = ends {
            assert!(drawn.insert((from, to)), "{from} to {to} twice");
        }
        for area in pieces(line.get("d").expect("a path")) {
            for (i, &other) in boxes.iter().enumerate() {
                // A line touches the boxes at its ends, and enters no box.
                let inner = [other[0] + 1.0, other[1] + 1.0, other[2] - 1.0, other[3] - 1.0];
                assert!(!overlap(area, inner), "the line {ends:?} runs through node {i}");
            }
        }
    }
    let expected: HashSet<(usize, usize)> = drawing
        .nodes
        .iter()
        .enumerate()
        .flat_map(|(to, node)| node.inputs.iter().map(move |&from| (from, to)))
        .collect();
    assert_eq!(drawn, expected);
}

/// A tape of `count` nodes that have nothing to do with each other but what chance says.
fn by_chance<'t>(tape: &'t Tape, params: &[Param], count: usize, seed: u64) {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let one = Tensor::ones([2]);
    let mut vars: Vec<Var<'t>> = vec![tape.variable(&one)];
    while vars.len() < count {
        let (a, b) = (vars[below(vars.len())], vars[vars.len() - 1 - below(vars.len().min(3))]);
        vars.push(match below(8) {
            0 => tape.input(&one),
            1 => tape.variable(&one),
            2 => tape.param(&params[below(params.len())]),
            3 => a.sigmoid(),
            4 => a + b,
            5 => Var::cat(&[a, b, a], 0).narrow(0, 0, 2),
            _ => a * b,
        });
    }
}

#[test]
fn boxes_and_lines_keep_clear_of_each_other() {
    check_svg(&Tape::training());
    let params: Vec<Param> = (0..5).map(|_| Param::new(Tensor::ones([2]))).collect();
    for seed in 0..60 {
        let tape = Tape::training();
        by_chance(&tape, &params, 1 + seed as usize, seed);
        check_svg(&tape);
    }
    let net = LeNet::new(&mut Init::new(0));
    let tape = Tape::training();
    net.forward(tape.input(&Tensor::zeros([16, 1, 28, 28]))).cross_entropy(&[0; 16]);
    assert_eq!(tape.draw().total, 24);
    check_svg(&tape);
}

#[test]
fn graphviz_reads_the_dot() {
    let params = [Param::new(Tensor::ones([2]))];
    let tape = Tape::training();
    by_chance(&tape, &params, 50, 7);
    let x = tape.variable(&Tensor::ones([2]));
    tape.record("a \"quoted\" \\n <b> & \u{e9}", &[x], Tensor::ones([2]), (), move |(), _, _| {});
    let drawing = tape.draw();
    let program = Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut program) = program else {
        println!("skipped: Graphviz is not installed, so nobody reads the DOT");
        return;
    };
    program.stdin.take().expect("piped").write_all(drawing.to_dot().as_bytes()).expect("dot reads all");
    let output = program.wait_with_output().expect("dot ends");
    let svg = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{svg}");
    assert_eq!(svg.matches("class=\"node\"").count(), drawing.nodes.len());
    let lines: HashSet<(usize, usize)> = drawing
        .nodes
        .iter()
        .enumerate()
        .flat_map(|(to, node)| node.inputs.iter().map(move |&from| (from, to)))
        .collect();
    assert_eq!(svg.matches("class=\"edge\"").count(), lines.len());
    assert!(svg.contains("a &quot;quoted&quot; \\n &lt;b&gt; &amp; \u{e9}"), "{svg}");
}

#[test]
fn names_that_mean_something_in_xml_do_no_harm() {
    let tape = Tape::training();
    let x = tape.variable(&Tensor::ones([2]));
    let op = "</text><script>&\"'\u{1b}\u{ffff}\u{e9} and so on, for longer than any box is wide";
    tape.record(op, &[x], Tensor::ones([2]), (), move |(), _, _| {});
    check_svg(&tape);
    let svg = tape.to_svg();
    assert!(
        !svg.contains("<script>")
            && svg.contains("&lt;/text&gt;&lt;script&gt;&amp;&quot;'\u{fffd}\u{fffd}\u{e9}")
    );
}

#[test]
fn of_a_long_tape_the_beginning_is_drawn() {
    let tape = Tape::training();
    let x = tape.variable(&Tensor::scalar(0.5));
    let (mut y, kept) = (x, 99_999);
    for _ in 0..kept {
        y = y * x;
    }
    let drawing = tape.draw();
    assert_eq!((drawing.nodes.len(), drawing.total), (MOST_NODES, 100_000));
    check_svg(&tape);
    for picture in [drawing.to_svg(), drawing.to_dot()] {
        assert!(picture.contains(&format!("drawn are the first {MOST_NODES} values of 100000")));
        assert!(picture.len() < 1 << 20, "{}", picture.len());
    }
}

#[test]
fn a_tape_leaves_nothing_to_the_next_one() {
    let net = Linear::new(3, 2, &mut Init::new(0));
    for _ in 0..2 {
        let tape = Tape::training();
        net.forward(tape.input(&Tensor::ones([4, 3]))).sum().backward();
        let told: Vec<_> = tape.draw().nodes.iter().map(|node| node.inputs.clone()).collect();
        assert_eq!(told.len(), 5);
        assert_eq!(told[3..], [vec![0, 1, 2], vec![3]]);
    }
}

#[test]
fn lenet_draws_its_first_step_and_trains_as_without() {
    let place = Place::new("draw");
    let file = place.at("tape.svg");
    for net in [&["--epochs", "1"][..], &["--epochs", "1", "--batch-norm"]] {
        let (plain, _) = ends_with(0, &mut place.train(net));
        let (drawn, _) = ends_with(0, &mut place.train(&[net, &["--draw-tape", &file]].concat()));
        assert_eq!(lines(&drawn), lines(&plain), "the hash of the parameters among them");
        let svg = fs::read_to_string(&file).expect("it is drawn");
        let boxes = elements(&svg).iter().filter(|element| element.get("data-node").is_some()).count();
        let (name, nodes) = if net.len() == 2 { ("conv.3.weight", 24) } else { ("1.gamma", 36) };
        assert_eq!(boxes, nodes);
        assert!(
            svg.contains(name) && svg.contains("gradient norm") && svg.contains("[16, 1, 28, 28]"),
            "{svg}"
        );
    }
    let folder = place.at("");
    let line = refuses(&mut place.train(&["--draw-tape", &folder]));
    assert!(line.contains("expected a file that can be written, found a folder"), "{line}");
}
