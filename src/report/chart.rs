//! Line charts as SVG: numbers over steps or epochs.
//!
//! ```
//! use tapegrad::report::chart::Chart;
//!
//! let svg = Chart::new("Loss", "epoch", "loss")
//!     .line("training", vec![(1.0, 1.76), (2.0, 0.98), (3.0, 0.78)])
//!     .line("test", vec![(1.0, 1.13), (2.0, 0.9), (3.0, 0.74)])
//!     .svg("The loss falls from 1.76 to 0.78.");
//! assert!(svg.starts_with("<svg class=\"chart\""));
//! ```
//!
//! Lines are told apart by colour and by dashes, few points by markers, too, and each line's name stands at its end. The numbers
//! themselves are kept beside the line (`data-x`, `data-y`), six digits of each, where the page's script finds them for the
//! value under the pointer, and a test for the log. A drawing is 400 x 250 units, so that its text can be read on a phone.
//!
//! What this is not: a place where data is thinned out or chosen; a chart draws what it is given. Values that are no number are
//! gaps. Next to read: `ticks.rs`.

use std::fmt::Write;

use super::page::Escaped;
use super::ticks;

pub use super::ticks::digits;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 250.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 210.0;
const LEFT: f64 = 48.0;
/// Names are written to the right of the lines; one letter is about this wide.
const LETTER: f64 = 6.0;
/// Names that stand above each other need so much.
const LINE: f64 = 12.0;

const DASHES: [&str; 6] = ["", "7 3", "2 2.5", "9 3 2 3", "5 2", "12 3"];

/// A chart as it grows.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    x: String,
    y: String,
    log: bool,
    range: Option<(f64, f64)>,
    series: Vec<Series>,
    marks: Vec<(f64, f64, String)>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    /// Where the points are the middle of: lowest and highest of each.
    band: Vec<(f64, f64)>,
}

impl Chart {
    /// An empty chart with its title and what its axes count. A unit stands in the axis: `time (s)`.
    pub fn new(title: &str, x: &str, y: &str) -> Chart {
        let [title, x, y] = [title, x, y].map(str::to_string);
        Chart { title, x, y, log: false, range: None, series: Vec::new(), marks: Vec::new() }
    }

    /// Makes the y axis logarithmic. Zero and what is below it are gaps then.
    pub fn logarithmic(mut self) -> Chart {
        self.log = true;
        self
    }

    /// Has the y axis reach at least from `low` to `high`.
    pub fn range(mut self, low: f64, high: f64) -> Chart {
        self.range = Some((low, high));
        self
    }

    /// Adds a line through points in the order of x.
    pub fn line(mut self, name: &str, points: Vec<(f64, f64)>) -> Chart {
        self.series.push(Series { name: name.to_string(), points, band: Vec::new() });
        self
    }

    /// Adds a line through the middles of x, lowest, middle and highest, with the range around it shaded.
    pub fn band(mut self, name: &str, points: &[(f64, [f64; 3])]) -> Chart {
        let middles = points.iter().map(|&(x, [_, middle, _])| (x, middle)).collect();
        let band = points.iter().map(|&(_, [low, _, high])| (low, high)).collect();
        self.series.push(Series { name: name.to_string(), points: middles, band });
        self
    }

    /// Shades the part from x `from` to `to` and writes `label` above it.
    pub fn shade(mut self, from: f64, to: f64, label: &str) -> Chart {
        self.marks.push((from, to, label.to_string()));
        self
    }

    /// The drawing, with the field below it where the page's script writes values. `description` says in words what is to be
    /// seen, for those who do not see it.
    pub fn svg(&self, description: &str) -> String {
        let Some(scale) = Scale::new(self) else {
            return format!("<p>{}: no values yet.</p>\n", Escaped(&self.title));
        };
        let mut svg = format!(
            "<svg class=\"chart\" role=\"img\" tabindex=\"0\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-label=\"{}\" \
             data-left=\"{LEFT}\" data-right=\"{:.1}\" data-low=\"{}\" data-high=\"{}\" data-unit=\"{}\">\n<desc>{}</desc>\n\
             <text class=\"title\" x=\"0\" y=\"14\">{}</text>\n<text x=\"0\" y=\"30\">{}</text>\n",
            Escaped(&format!("{}. {description}", self.title)),
            scale.right,
            digits(scale.x.0, 6),
            digits(scale.x.1, 6),
            Escaped(&self.x),
            Escaped(description),
            Escaped(&self.title),
            Escaped(&self.y),
        );
        self.draw_marks(&mut svg, &scale);
        self.draw_axes(&mut svg, &scale);
        for (i, series) in self.series.iter().enumerate() {
            series.draw(&mut svg, &scale, i);
        }
        self.draw_names(&mut svg, &scale);
        let _ = write!(
            svg,
            "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/>\n</svg>\n<output></output>\n"
        );
        svg
    }

    fn draw_marks(&self, svg: &mut String, scale: &Scale) {
        for (from, to, label) in &self.marks {
            let (from, to) = (scale.place_x(*from).max(LEFT), scale.place_x(*to).min(scale.right));
            let width = (to - from).max(1.0);
            let _ = writeln!(
                svg,
                "<rect class=\"shade\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>\
                 <text class=\"note\" x=\"{:.1}\" y=\"{}\">{}</text>",
                BOTTOM - TOP,
                to + 4.0,
                TOP + 11.0,
                Escaped(label)
            );
        }
    }

    fn draw_axes(&self, svg: &mut String, scale: &Scale) {
        let (low, high) = scale.y;
        let right = scale.right;
        let y_ticks = if self.log { ticks::logarithmic(low, high) } else { ticks::linear(low, high, 5) };
        for tick in y_ticks {
            let (y, text) = (scale.place_y(tick), digits(tick, 3));
            let _ = writeln!(
                svg,
                "<line class=\"tick\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 5.0,
                y + 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\"/>"
        );
        let mut x_ticks = ticks::linear(scale.x.0, scale.x.1, 5);
        // There is no step or epoch one and a half.
        x_ticks.retain(|tick| (tick - tick.round()).abs() < 1e-9);
        for tick in x_ticks {
            let (x, text) = (scale.place_x(tick), digits(tick, 4));
            let _ = writeln!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{}\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                BOTTOM + 4.0,
                BOTTOM + 16.0
            );
        }
        let middle = (LEFT + right) / 2.0;
        let y = BOTTOM + 32.0;
        let _ = writeln!(
            svg,
            "<text x=\"{middle:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
            Escaped(&self.x)
        );
    }

    /// Each name at the end of its line, pushed apart where two would cover each other. A single line needs none.
    fn draw_names(&self, svg: &mut String, scale: &Scale) {
        if self.series.len() < 2 {
            return;
        }
        let mut places: Vec<(f64, usize)> = Vec::new();
        for (i, series) in self.series.iter().enumerate() {
            let last = series.points.iter().rev().find(|(_, y)| scale.shows(*y));
            places.push((last.map_or(BOTTOM, |(_, y)| scale.place_y(*y)), i));
        }
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        for i in 1..places.len() {
            places[i].0 = places[i].0.max(places[i - 1].0 + LINE);
        }
        // Pushed out below: all move up again, the lowest first.
        let mut floor = BOTTOM;
        for (y, _) in places.iter_mut().rev() {
            *y = y.min(floor);
            floor = *y - LINE;
        }
        for (y, i) in places {
            let (x, color) = (scale.right + 4.0, i % 6);
            let dash = DASHES[color];
            let _ = writeln!(
                svg,
                "<line class=\"line c{color}\" x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke-dasharray=\"{dash}\"/>\
                 <text class=\"f{color}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 16.0,
                x + 20.0,
                y + 4.0,
                Escaped(&self.series[i].name)
            );
        }
    }
}

impl Series {
    fn draw(&self, svg: &mut String, scale: &Scale, i: usize) {
        let color = i % 6;
        let shown = || self.points.iter().filter(|(_, y)| y.is_finite());
        let join = |numbers: &mut dyn Iterator<Item = f64>| {
            numbers.map(|n| digits(n, 6)).collect::<Vec<_>>().join(" ")
        };
        let _ = write!(
            svg,
            "<g data-name=\"{}\" data-x=\"{}\" data-y=\"{}\">",
            Escaped(&self.name),
            join(&mut shown().map(|point| point.0)),
            join(&mut shown().map(|point| point.1))
        );
        if !self.band.is_empty() {
            let place = |(x, y): (f64, f64)| format!("{:.1},{:.1}", scale.place_x(x), scale.place_y(y));
            let both = || {
                self.points
                    .iter()
                    .zip(&self.band)
                    .filter(|(_, (low, high))| low.is_finite() && high.is_finite())
            };
            let above = both().map(|(point, band)| place((point.0, band.1)));
            let below = both().rev().map(|(point, band)| place((point.0, band.0)));
            let outline = above.chain(below).collect::<Vec<_>>().join(" ");
            let _ = write!(svg, "<polygon class=\"band f{color}\" points=\"{outline}\"/>");
        }
        let mut gap = true;
        let mut path = String::new();
        for &(x, y) in &self.points {
            if !scale.shows(y) {
                gap = true;
                continue;
            }
            let _ = write!(
                path,
                "{}{:.1} {:.1}",
                if gap { "M" } else { "L" },
                scale.place_x(x),
                scale.place_y(y)
            );
            gap = false;
        }
        let dash = DASHES[color];
        let _ = write!(svg, "<path class=\"line c{color}\" stroke-dasharray=\"{dash}\" d=\"{path}\"/>");
        if self.points.len() <= 30 {
            for &(x, y) in self.points.iter().filter(|(_, y)| scale.shows(*y)) {
                let _ = write!(
                    svg,
                    "<path class=\"f{color}\" d=\"{}\"/>",
                    marker(i, scale.place_x(x), scale.place_y(y))
                );
            }
        }
        svg.push_str("</g>\n");
    }
}

/// A shape that stays apart from others without its colour: circle, square, triangle, diamond, and so on.
fn marker(i: usize, x: f64, y: f64) -> String {
    match i % 4 {
        0 => format!("M{:.1} {y:.1}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z", x - 3.5),
        1 => format!("M{:.1} {:.1}h6.4v6.4h-6.4z", x - 3.2, y - 3.2),
        2 => format!("M{x:.1} {:.1}l4 7.2h-8z", y - 4.4),
        _ => format!("M{x:.1} {:.1}l4.4 4.4l-4.4 4.4l-4.4 -4.4z", y - 4.4),
    }
}

/// Where numbers lie in the drawing.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
    log: bool,
    right: f64,
}

impl Scale {
    /// `None` where there is nothing to draw.
    fn new(chart: &Chart) -> Option<Scale> {
        let mut scale = Scale { x: (0.0, 0.0), y: (0.0, 0.0), log: chart.log, right: WIDTH - 12.0 };
        let points =
            || chart.series.iter().flat_map(|series| &series.points).filter(|(_, y)| scale.shows(*y));
        let x = ends(points().map(|point| point.0))?;
        let bands = chart.series.iter().flat_map(|series| &series.band).flat_map(|&(low, high)| [low, high]);
        let values = points().map(|point| point.1).chain(bands.filter(|value| scale.shows(*value)));
        let range = chart.range.into_iter().flat_map(|(low, high)| [low, high]);
        let (mut low, mut high) = ends(values.chain(range))?;
        if chart.log {
            (low, high) = if low == high { (low / 2.0, high * 2.0) } else { (low, high) };
        } else {
            // The axis ends at round numbers, a little beyond the values.
            let room = if low == high { low.abs().max(1.0) * 0.5 } else { 0.0 };
            (low, high) = (low - room, high + room);
            let step = match ticks::linear(low, high, 5)[..] {
                [first, second, ..] => second - first,
                _ => high - low,
            };
            (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        }
        let longest = chart.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
        if chart.series.len() > 1 {
            scale.right = WIDTH - (28.0 + LETTER * longest.min(20) as f64);
        }
        scale.x = if x.0 == x.1 { (x.0 - 0.5, x.1 + 0.5) } else { x };
        scale.y = (low, high);
        Some(scale)
    }

    fn shows(&self, y: f64) -> bool {
        y.is_finite() && (!self.log || y > 0.0)
    }

    fn place_x(&self, x: f64) -> f64 {
        LEFT + (self.right - LEFT) * (x - self.x.0) / (self.x.1 - self.x.0)
    }

    fn place_y(&self, y: f64) -> f64 {
        let (low, high) = self.y;
        let part = if self.log { (y / low).ln() / (high / low).ln() } else { (y - low) / (high - low) };
        BOTTOM - (BOTTOM - TOP) * part
    }
}

/// The smallest and the largest.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_inside_and_keep_their_numbers() {
        let chart =
            Chart::new("Loss", "step", "loss").line("a", vec![(1.0, 2.5), (2.0, f64::NAN), (3.0, 0.5)]);
        let svg = chart.svg("It falls.");
        assert!(svg.contains("data-x=\"1 3\" data-y=\"2.5 0.5\""), "{svg}");
        // 2.5 is the top of the axis, 0.5 its foot; the gap begins a new piece.
        assert!(svg.contains("d=\"M48.0 40.0M388.0 210.0\""), "{svg}");
    }

    #[test]
    fn a_logarithmic_axis_has_equal_decades() {
        let chart = Chart::new("Norm", "step", "norm").logarithmic();
        let svg = chart.line("a", vec![(0.0, 1e-4), (1.0, 1e-2), (2.0, 0.0), (3.0, 1.0)]).svg("");
        assert!(svg.contains("d=\"M48.0 210.0L161.3 125.0M388.0 40.0\""), "{svg}");
    }

    #[test]
    fn names_do_not_cover_each_other() {
        // All lines end at the foot, then all at the top.
        for (end, expected) in
            [(0.0, [166.0, 178.0, 190.0, 202.0, 214.0]), (1.0, [44.0, 56.0, 68.0, 80.0, 92.0])]
        {
            let mut chart = Chart::new("Norms", "step", "norm");
            for name in ["a", "b", "c", "d", "e"] {
                chart = chart.line(name, vec![(0.0, 1.0 - end), (1.0, end)]);
            }
            let svg = chart.svg("");
            let mut places: Vec<f64> = svg
                .lines()
                .filter(|line| line.contains("<text class=\"f"))
                .filter_map(|line| line.rsplit_once(" y=\"")?.1.split_once('"')?.0.parse().ok())
                .collect();
            places.sort_by(f64::total_cmp);
            assert_eq!(places, expected);
        }
    }

    #[test]
    fn nothing_to_draw_is_said() {
        assert!(
            Chart::new("Loss", "step", "loss")
                .line("a", vec![(1.0, f64::NAN)])
                .svg("")
                .contains("no values yet")
        );
    }
}
