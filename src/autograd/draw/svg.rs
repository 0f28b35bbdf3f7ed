//! The tape in SVG: boxes with text that fits, lines with heads, in light and in dark.
//!
//! The picture is one file that asks for nothing else. Its colours follow the reader's (`prefers-color-scheme`); nothing is told by
//! colour alone: what wants no gradient is dashed and says so, what is a leaf has round corners. A program that reads the page
//! aloud finds the whole tape in words in `<desc>`; each box has its lines as its `<title>`, which a mouse shows.
//!
//! Text is set in a monospaced font, of which every character is at most [`CHARACTER`] wide, so that what fits a box here fits it
//! everywhere.

use std::fmt::Write;

use super::layout::{Line, Place, layout};
use super::{Drawing, Role};

/// The size of letters.
const SIZE: f64 = 13.0;
/// The width of a character: those of monospaced fonts are 0.55 (Consolas) to 0.602 (DejaVu) of their size.
const CHARACTER: f64 = SIZE * 0.615;
/// From one line of text to the next.
const LEADING: f64 = 17.0;
/// Between text and the edge of its box, and around the picture.
const PADDING: f64 = 10.0;
const MARGIN: f64 = 20.0;
/// Longer lines are cut; the whole stands in the title.
const LONGEST: usize = 44;

const STYLE: &str = "\
.tape{background:#fff}.tape text{fill:#1b1f24}.tape .quiet{fill:#57606a}.tape .bold{font-weight:bold}\
.tape rect{fill:#f6f8fa;stroke:#57606a;stroke-width:1.5}.tape .leaf rect{fill:#fff;stroke:#0a5bb5}\
.tape .constant rect{stroke-dasharray:5 4}.tape .line{fill:none;stroke:#57606a;stroke-width:1.3}.tape .head{fill:#57606a}\
@media (prefers-color-scheme:dark){.tape{background:#0f1318}.tape text{fill:#e6edf3}.tape .quiet{fill:#a5b0bb}\
.tape rect{fill:#1a2028;stroke:#a5b0bb}.tape .leaf rect{fill:#0f1318;stroke:#79b8ff}.tape .line{stroke:#a5b0bb}\
.tape .head{fill:#a5b0bb}}";

impl Drawing {
    /// The tape as a picture, from inputs at the top to the loss at the bottom.
    pub fn to_svg(&self) -> String {
        let texts: Vec<Vec<String>> = self.nodes.iter().map(|node| self.lines(node)).collect();
        let number = |at: usize| format!(" #{at}");
        // Boxes of one width, which the longest line asks for.
        let widest = |(at, lines): (usize, &Vec<String>)| {
            let first = width(&shortened(&lines[0])) + width(&number(at));
            lines[1..].iter().map(|line| width(&shortened(line))).fold(first, f64::max)
        };
        let box_width = texts.iter().enumerate().map(widest).fold(0.0, f64::max) + 2.0 * PADDING;
        let sizes: Vec<(f64, f64)> =
            texts.iter().map(|lines| (box_width, lines.len() as f64 * LEADING + PADDING)).collect();
        let laid = layout(self, &sizes);

        let mut head = self.summary();
        head.push("round: parameter, variable or input".to_string());
        head.push("dashed: wants no gradient".to_string());
        head.push("keeps: held for backward; extra is what no value holds anyway".to_string());
        let head_width = head.iter().map(|line| width(line)).fold(0.0, f64::max);
        let head_height = (head.len() + 1) as f64 * LEADING + MARGIN;
        let full = (laid.width.max(head_width) + 2.0 * MARGIN).ceil();
        let (left, top) = ((full - laid.width) / 2.0, MARGIN + head_height);
        let height = (top + laid.height + MARGIN).ceil();

        let title = format!("A tape of {}", super::counted(self.total, "value"));
        let mut svg = Svg::default();
        svg.put(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tape\" role=\"img\" aria-label=\"{title}\" width=\"{full}\" height=\"{height}\" \
             viewBox=\"0 0 {full} {height}\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
             font-size=\"{SIZE}\">"
        ));
        svg.put(&format!(
            "<title>{title}</title>\n<desc>{}</desc>\n<style>{STYLE}</style>",
            escaped(&self.words())
        ));
        svg.text(MARGIN, MARGIN + SIZE, "bold", &title);
        for (i, line) in head.iter().enumerate() {
            svg.text(MARGIN, MARGIN + SIZE + (i + 1) as f64 * LEADING, "quiet", line);
        }
        svg.put(&format!("<g transform=\"translate({} {})\">", short(left), short(top)));
        for points in &laid.trunks {
            svg.put(&format!("<path class=\"line\" d=\"{}\"/>", path(points, false)));
        }
        laid.lines.iter().for_each(|line| svg.line(line));
        for (at, (node, lines)) in self.nodes.iter().zip(&texts).enumerate() {
            let leaf = if node.role == Role::Op { "op" } else { "leaf" };
            let constant = if node.wants_grad { "" } else { " constant" };
            svg.put(&format!("<g data-node=\"{at}\" class=\"{leaf}{constant}\">"));
            svg.boxed(&laid.places[at], node.role, lines, &number(at));
            svg.put("</g>");
        }
        svg.put("</g>\n</svg>");
        svg.text
    }

    /// The whole picture in words.
    fn words(&self) -> String {
        let mut words = self.summary().join(". ") + ".";
        for (at, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<String> = node.inputs.iter().map(|input| format!("#{input}")).collect();
            let of = if inputs.is_empty() { String::new() } else { format!(" of {}", inputs.join(", ")) };
            let lines = self.lines(node);
            let _ = write!(words, "\n#{at}: {}{of}, {}.", lines[0], lines[1..].join(", "));
        }
        words
    }
}

/// How wide a text may come out. Characters beyond ASCII may be twice as wide as the others.
fn width(text: &str) -> f64 {
    text.chars().map(|c| if c.is_ascii() { CHARACTER } else { 2.0 * CHARACTER }).sum()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_string();
    }
    text.chars().take(LONGEST - 1).chain(['\u{2026}']).collect()
}

/// Text as XML has it. What XML cannot hold at all becomes the replacement character.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A coordinate with at most one decimal.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_string()
}

/// A curve through points: straight where it goes straight on, and upright at every point, or level where `is_level` says so.
fn path(points: &[(f64, f64)], is_level: bool) -> String {
    let mut path = String::new();
    let mut before: Option<(f64, f64)> = None;
    for &(x, y) in points {
        let (to_x, to_y) = (short(x), short(y));
        let _ = match before {
            None => write!(path, "M{to_x} {to_y}"),
            Some((x0, y0)) if x0 == x || y0 == y => write!(path, "L{to_x} {to_y}"),
            Some((x0, y0)) if is_level => {
                let middle = short((x0 + x) / 2.0);
                write!(path, "C{middle} {} {middle} {to_y} {to_x} {to_y}", short(y0))
            }
            Some((x0, y0)) => {
                let middle = short((y0 + y) / 2.0);
                write!(path, "C{} {middle} {to_x} {middle} {to_x} {to_y}", short(x0))
            }
        };
        before = Some((x, y));
    }
    path
}

/// A picture being written.
#[derive(Default)]
struct Svg {
    text: String,
}

impl Svg {
    fn put(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let (x, y) = (short(x), short(y));
        self.put(&format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>", escaped(text)));
    }

    fn boxed(&mut self, place: &Place, role: Role, lines: &[String], number: &str) {
        let radius = if role == Role::Op { 2 } else { 14 };
        self.put(&format!("<title>{}</title>", escaped(&lines.join("\n"))));
        let [x, y, width, height] = [place.left(), place.top(), place.width, place.height].map(short);
        self.put(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\"/>"
        ));
        let (left, first) = (place.left() + PADDING, place.top() + PADDING / 2.0 + SIZE);
        for (i, line) in lines.iter().enumerate() {
            let class = if i == 0 { "bold" } else { "quiet" };
            self.text(left, first + i as f64 * LEADING, class, &shortened(line));
        }
        let (x, y) = (short(place.right() - PADDING), short(first));
        self.put(&format!(
            "<text x=\"{x}\" y=\"{y}\" class=\"quiet\" text-anchor=\"end\">{}</text>",
            number.trim()
        ));
    }

    fn line(&mut self, line: &Line) {
        let path = path(&line.points, line.is_level);
        let (Some(&(x, y)), Some(&(x0, _))) = (line.points.last(), line.points.first()) else { return };
        let (from, to) = (line.from, line.to);
        self.put(&format!("<path class=\"line\" data-from=\"{from}\" data-to=\"{to}\" d=\"{path}\"/>"));
        // The head: a triangle of 8 by 8, its tip on the edge of the box.
        let (dx, dy) = if line.is_level { (if x0 < x { -8.0 } else { 8.0 }, 0.0) } else { (0.0, -8.0) };
        let corner = |side: f64| {
            let (x, y) = if line.is_level { (x + dx, y + side) } else { (x + side, y + dy) };
            format!("{} {}", short(x), short(y))
        };
        let tip = format!("{} {}", short(x), short(y));
        self.put(&format!("<path class=\"head\" d=\"M{tip}L{}L{}Z\"/>", corner(-4.0), corner(4.0)));
        if line.count > 1 {
            let (x, y) = if line.is_level { (x + dx, y - 6.0) } else { (x + 8.0, y - 6.0) };
            self.text(x, y, "quiet", &format!("\u{d7}{}", line.count));
        }
    }
}
