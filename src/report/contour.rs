//! Contour plots as SVG: a function of two numbers as lines of equal value, and paths over them.
//!
//! ```
//! use tapegrad::report::contour::Contour;
//!
//! let svg = Contour::new("A bowl", ("x", -2.0, 2.0), ("y", -2.0, 2.0))
//!     .path("descent", vec![(1.5, 1.0), (0.7, 0.5), (0.3, 0.2)])
//!     .mark("minimum", 0.0, 0.0)
//!     .svg(|x, y| x * x + y * y, "Rings around the minimum, and a path that goes there.");
//! assert!(svg.starts_with("<svg class=\"contour\""));
//! ```
//!
//! Lines are found by marching squares (Lorensen and Cline 1987, "Marching cubes", in two dimensions): the plane is cut
//! into small squares; where an edge of one has a higher value at one end and a lower one at the other, the line
//! crosses, at the place that lies between them in proportion. Their values are 1, 2 and 5 times powers of ten and
//! stand in them.
//!
//! What this is not: a plot that tells heights by colour. Next to read: `edges/step.rs`.

use std::fmt::Write;

use super::page::Escaped;
use super::ticks::{self, digits};

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 410.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 392.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 370.0;
/// Squares on a side.
const CELLS: usize = 80;

/// A plot as it grows.
pub struct Contour {
    title: String,
    x: Axis,
    y: Axis,
    paths: Vec<(String, Vec<(f64, f64)>)>,
    marks: Vec<(String, f64, f64)>,
}

struct Axis {
    name: String,
    low: f64,
    high: f64,
}

impl Contour {
    /// An empty plot: its title, and of each axis the name and both ends.
    pub fn new(title: &str, x: (&str, f64, f64), y: (&str, f64, f64)) -> Contour {
        let axis = |(name, low, high): (&str, f64, f64)| Axis { name: name.to_string(), low, high };
        Contour { title: title.to_string(), x: axis(x), y: axis(y), paths: Vec::new(), marks: Vec::new() }
    }

    /// Adds a path with a dot at each point, or squares for all but the first. Its name stands at its beginning, that
    /// of others at their ends.
    pub fn path(mut self, name: &str, points: Vec<(f64, f64)>) -> Contour {
        self.paths.push((name.to_string(), points));
        self
    }

    /// Adds a cross with a name.
    pub fn mark(mut self, name: &str, x: f64, y: f64) -> Contour {
        self.marks.push((name.to_string(), x, y));
        self
    }

    /// The drawing of `f` with the paths over it. `description` says in words what is to be seen, for those who do not
    /// see it.
    pub fn svg(&self, f: impl Fn(f64, f64) -> f64, description: &str) -> String {
        let grid = Grid::new(self, f);
        let mut svg = format!(
            "<svg class=\"contour\" role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-label=\"{0}. {1}\">\n\
             <text class=\"title\" x=\"0\" y=\"14\">{0}</text>\n",
            Escaped(&self.title),
            Escaped(description),
        );
        let mut busy = self.busy();
        let mut names = String::new();
        for (i, (name, points)) in self.paths.iter().enumerate() {
            // Paths that are compared have the same start, so the others' names stand at their ends.
            if let Some(&(x, y)) = if i == 0 { points.first() } else { points.last() } {
                names.push_str(&write_name(name, &format!("f{}", i % 6), self.place(x, y), &mut busy));
            }
        }
        for (name, x, y) in &self.marks {
            names.push_str(&write_name(name, "note", self.place(*x, *y), &mut busy));
        }
        let mut labels = String::new();
        // Highest first: where the lines lie close together, the lowest go without their values.
        for level in grid.levels().into_iter().rev() {
            let lines = grid.lines(level);
            let mut path = String::new();
            for [(x0, y0), (x1, y1)] in &lines {
                let _ = write!(path, "M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}");
            }
            let _ =
                writeln!(svg, "<path class=\"level\" data-level=\"{0}\" d=\"{path}\"/>", digits(level, 3));
            if let Some((x, y)) = place_of_label(&lines, &busy) {
                busy.push((x, y));
                let _ = writeln!(
                    labels,
                    "<text class=\"halo\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    y + 4.0,
                    digits(level, 3)
                );
            }
        }
        self.draw_axes(&mut svg);
        svg.push_str(&labels);
        for (i, (_, points)) in self.paths.iter().enumerate() {
            self.draw_path(&mut svg, i, points);
        }
        for (_, x, y) in &self.marks {
            let (x, y) = self.place(*x, *y);
            let _ = writeln!(
                svg,
                "<path class=\"cross\" d=\"M{:.1} {y:.1}h14M{x:.1} {:.1}v14\"/>",
                x - 7.0,
                y - 7.0
            );
        }
        svg.push_str(&names);
        svg.push_str("</svg>\n");
        svg
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let part = |axis: &Axis, value: f64| (value - axis.low) / (axis.high - axis.low);
        (LEFT + (RIGHT - LEFT) * part(&self.x, x), BOTTOM - (BOTTOM - TOP) * part(&self.y, y))
    }

    /// Where nothing can be written: on paths and crosses.
    fn busy(&self) -> Vec<(f64, f64)> {
        let mut busy: Vec<(f64, f64)> = self.marks.iter().map(|&(_, x, y)| self.place(x, y)).collect();
        for (_, points) in &self.paths {
            for pair in points.windows(2) {
                let ((x0, y0), (x1, y1)) =
                    (self.place(pair[0].0, pair[0].1), self.place(pair[1].0, pair[1].1));
                let parts = (0..=10).map(|i| f64::from(i) / 10.0);
                busy.extend(parts.map(|part| (x0 + part * (x1 - x0), y0 + part * (y1 - y0))));
            }
        }
        busy
    }

    fn draw_axes(&self, svg: &mut String) {
        let _ = writeln!(
            svg,
            "<rect class=\"frame\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/>",
            RIGHT - LEFT,
            BOTTOM - TOP
        );
        for tick in ticks::linear(self.x.low, self.x.high, 5) {
            let (x, _) = self.place(tick, 0.0);
            let _ = writeln!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{}\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 4.0,
                BOTTOM + 16.0,
                digits(tick, 4)
            );
        }
        for tick in ticks::linear(self.y.low, self.y.high, 5) {
            let (_, y) = self.place(0.0, tick);
            let _ = writeln!(
                svg,
                "<line class=\"axis\" x1=\"{}\" x2=\"{LEFT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 4.0,
                LEFT - 7.0,
                y + 4.0,
                digits(tick, 4)
            );
        }
        let (across, down) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{across}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(11 {down}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 33.0,
            Escaped(&self.x.name),
            Escaped(&self.y.name)
        );
    }

    fn draw_path(&self, svg: &mut String, i: usize, points: &[(f64, f64)]) {
        let color = i % 6;
        let places: Vec<(f64, f64)> = points.iter().map(|&(x, y)| self.place(x, y)).collect();
        let mut line = String::new();
        for (n, (x, y)) in places.iter().enumerate() {
            let _ = write!(line, "{}{x:.1} {y:.1}", if n == 0 { "M" } else { "L" });
        }
        let dash = if i == 0 { "" } else { "4 3" };
        let _ = writeln!(svg, "<path class=\"line c{color}\" stroke-dasharray=\"{dash}\" d=\"{line}\"/>");
        for (n, ((x, y), (px, py))) in points.iter().zip(&places).enumerate() {
            let title = format!("after {n} steps: {}, {}", digits(*x, 4), digits(*y, 4));
            let _ = match i {
                0 => write!(
                    svg,
                    "<circle class=\"f{color}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3.2\"><title>{title}</title></circle>"
                ),
                _ => write!(
                    svg,
                    "<rect class=\"f{color}\" x=\"{:.1}\" y=\"{:.1}\" width=\"5.6\" \
                    height=\"5.6\"><title>{title}</title></rect>",
                    px - 2.8,
                    py - 2.8
                ),
            };
        }
    }
}

/// A name beside a point, on the side where there is most room.
fn write_name(name: &str, class: &str, (x, y): (f64, f64), busy: &mut Vec<(f64, f64)>) -> String {
    let width = 6.5 * name.chars().count() as f64;
    // Where the text is when its left end is here: five points along its middle.
    let along = |left: f64, base: f64| (0..5).map(move |i| (left + width * f64::from(i) / 4.0, base - 4.0));
    let room = |&(left, base): &(f64, f64)| {
        let is_inside = left > LEFT && left + width < RIGHT && base > TOP + 12.0 && base < BOTTOM - 4.0;
        if !is_inside {
            return 0.0;
        }
        let gaps =
            along(left, base).flat_map(|(px, py)| busy.iter().map(move |(bx, by)| (px - bx).hypot(py - by)));
        gaps.fold(14.0, f64::min)
    };
    let sides =
        [4.0, -9.0, 17.0].into_iter().flat_map(|down| [(x + 10.0, y + down), (x - 10.0 - width, y + down)]);
    // Of equal ones the first.
    let best =
        sides.fold((x + 10.0, y + 4.0), |best, side| if room(&side) > room(&best) { side } else { best });
    let (left, base) = best;
    busy.extend(along(left, base));
    let name = Escaped(name);
    format!("<text class=\"halo {class}\" x=\"{left:.1}\" y=\"{base:.1}\">{name}</text>\n")
}

/// The place of a line that is far from the frame and from what is there already, where its value can be read.
fn place_of_label(lines: &[[(f64, f64); 2]], busy: &[(f64, f64)]) -> Option<(f64, f64)> {
    let room = |&(x, y): &(f64, f64)| {
        let frame = [x - LEFT - 12.0, RIGHT - 12.0 - x, y - TOP - 4.0, BOTTOM - 4.0 - y].map(|far| far * 1.5);
        let others = busy.iter().map(|(bx, by)| (x - bx).hypot(y - by) * 0.6);
        // Further off than this is no better; then the rightmost place is taken, so that values stand in a row.
        others.chain(frame).fold(36.0, f64::min) + 0.02 * x
    };
    let best = lines.iter().map(|line| line[0]).max_by(|a, b| room(a).total_cmp(&room(b)))?;
    (room(&best) > 16.0).then_some(best)
}

/// The function at the corners of all squares, and where they lie in the drawing.
struct Grid {
    values: Vec<f64>,
    places: Vec<(f64, f64)>,
}

impl Grid {
    fn new(plot: &Contour, f: impl Fn(f64, f64) -> f64) -> Grid {
        let mut grid = Grid { values: Vec::new(), places: Vec::new() };
        let along = |axis: &Axis, i: usize| axis.low + (axis.high - axis.low) * i as f64 / CELLS as f64;
        for j in 0..=CELLS {
            for i in 0..=CELLS {
                let (x, y) = (along(&plot.x, i), along(&plot.y, j));
                grid.values.push(f(x, y));
                grid.places.push(plot.place(x, y));
            }
        }
        grid
    }

    /// Round values, the nine highest of them, the further apart the higher.
    fn levels(&self) -> Vec<f64> {
        let finite = || self.values.iter().copied().filter(|value| value.is_finite());
        let (low, high) =
            (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let top = high.log10().ceil() as i32;
        let all = (top - 4..=top).flat_map(|power| [1.0, 2.0, 5.0].map(|times| times * 10f64.powi(power)));
        let all: Vec<f64> = all.filter(|level| (low..high * 0.9).contains(level)).collect();
        all[all.len().saturating_sub(9)..].to_vec()
    }

    /// The line of one value, in pieces.
    fn lines(&self, level: f64) -> Vec<[(f64, f64); 2]> {
        let mut lines = Vec::new();
        for j in 0..CELLS {
            for i in 0..CELLS {
                let at = |di: usize, dj: usize| (j + dj) * (CELLS + 1) + i + di;
                // Around the square, so that neighbours here share an edge.
                let corners = [at(0, 0), at(1, 0), at(1, 1), at(0, 1)];
                let mut crossings = Vec::with_capacity(4);
                for n in 0..4 {
                    crossings.extend(self.crossing(corners[n], corners[(n + 1) % 4], level));
                }
                match crossings[..] {
                    [from, to] => lines.push([from, to]),
                    // A saddle: both ways to join the four are as good.
                    [a, b, c, d] => lines.extend([[a, b], [c, d]]),
                    _ => {}
                }
            }
        }
        lines
    }

    /// Where the line crosses an edge of a square, if it does.
    fn crossing(&self, from: usize, to: usize, level: f64) -> Option<(f64, f64)> {
        // The same way round from both squares that share the edge, so that both get the same bits.
        let (from, to) = (from.min(to), from.max(to));
        let (a, b) = (self.values[from], self.values[to]);
        if !(a.is_finite() && b.is_finite()) || (a < level) == (b < level) {
            return None;
        }
        let part = (level - a) / (b - a);
        let ((x0, y0), (x1, y1)) = (self.places[from], self.places[to]);
        Some((x0 + part * (x1 - x0), y0 + part * (y1 - y0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_where_the_function_has_their_value() {
        let plot = Contour::new("A bowl", ("x", -2.0, 2.0), ("y", -2.0, 2.0));
        let bowl = |x: f64, y: f64| x * x + 4.0 * y * y;
        let grid = Grid::new(&plot, bowl);
        assert_eq!(grid.levels(), [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]);
        for level in [0.5, 2.0, 10.0] {
            let lines = grid.lines(level);
            let mut ends: Vec<(u64, u64)> = Vec::new();
            for (px, py) in lines.iter().flatten() {
                let x = -2.0 + 4.0 * (px - LEFT) / (RIGHT - LEFT);
                let y = -2.0 + 4.0 * (BOTTOM - py) / (BOTTOM - TOP);
                assert!((bowl(x, y) - level).abs() < 0.01, "{x} {y} {level}");
                ends.push((px.to_bits(), py.to_bits()));
            }
            // A closed line: every end is that of two pieces. The line of 10 leaves the frame.
            ends.sort();
            let is_closed = ends.chunks(2).all(|pair| pair.len() == 2 && pair[0] == pair[1]);
            assert_eq!(is_closed, level < 4.0, "{level}");
            assert!(lines.len() > 50);
        }
    }

    #[test]
    fn what_is_no_number_has_no_lines() {
        let plot = Contour::new("Half a slope", ("x", 0.0, 1.0), ("y", 0.0, 1.0));
        let svg = plot.svg(|_, _| f64::NAN, "Nothing is there.");
        assert!(!svg.contains("class=\"level\"") && !svg.contains("NaN"), "{svg}");
        let svg = plot.svg(|x, y| if x < 0.5 { f64::NAN } else { x + y }, "Half of it is there.");
        assert!(svg.contains("data-level=\"1\"") && !svg.contains("NaN"), "{svg}");
    }
}
