//! Where the boxes of a picture go, and the lines between them.
//!
//! Data flows from the top to the bottom. A node's row is the length of the longest way to it, so every line goes down at least one
//! row. A parameter, or any leaf that is not the main input of an op, does not start a way of its own: it stands beside the first op
//! that uses it, the first to the left, the second to the right, further ones below these.
//!
//! A line to a row further down would run through the boxes between. So its node takes a narrow place in each of those rows,
//! as a box does, and the line passes through there (Sugiyama, Tagawa, Toda 1981, "Methods for visual understanding of hierarchical
//! system structures"). Each row is ordered by where its lines come from; one pass from the top suffices for graphs as
//! plain as a tape's.
//!
//! What this is not: an optimal drawing. Lines may cross, boxes and lines never do. Next to read: `svg.rs`.

use super::{Drawing, Role};

/// Between boxes side by side.
const ACROSS: f64 = 28.0;
/// Between rows.
const DOWN: f64 = 34.0;
/// Between boxes of a stack.
const STACKED: f64 = 10.0;
/// The width of a line's place in a row.
const LANE: f64 = 8.0;

/// A box: its centre and its size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Place {
    pub fn left(&self) -> f64 {
        self.x - self.width / 2.0
    }

    pub fn right(&self) -> f64 {
        self.x + self.width / 2.0
    }

    pub fn top(&self) -> f64 {
        self.y - self.height / 2.0
    }

    pub fn bottom(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

/// A line from an input to an op.
pub(super) struct Line {
    pub from: usize,
    pub to: usize,
    /// How often the op uses the input.
    pub count: usize,
    /// Its points, each the end of a curve whose tangents are vertical, or horizontal where the line is level.
    pub points: Vec<(f64, f64)>,
    pub is_level: bool,
}

/// A picture's boxes, by the number of their node, and lines.
pub(super) struct Layout {
    pub places: Vec<Place>,
    pub lines: Vec<Line>,
    /// What lines of one node that go far down have in common: the points of its way through the rows. They begin on it.
    pub trunks: Vec<Vec<(f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

/// What takes a place in a row: a node with those beside it, or a line that passes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Node(usize),
    Lane(usize),
}

/// A row: what is in it, and where, from the left.
#[derive(Default)]
struct Row {
    items: Vec<(Item, f64)>,
    top: f64,
    bottom: f64,
}

impl Row {
    fn x(&self, wanted: Item) -> Option<f64> {
        self.items.iter().find(|(item, _)| *item == wanted).map(|&(_, x)| x)
    }
}

/// Who stands where, before there are coordinates.
struct Graph<'a> {
    drawing: &'a Drawing,
    /// The op that a leaf stands beside.
    beside: Vec<Option<usize>>,
    /// The leaves beside an op.
    stacks: Vec<Vec<usize>>,
    row: Vec<usize>,
    /// The last row that a node's lines go to.
    last: Vec<usize>,
}

impl<'a> Graph<'a> {
    fn new(drawing: &'a Drawing) -> Graph<'a> {
        let nodes = &drawing.nodes;
        let mut graph = Graph {
            drawing,
            beside: vec![None; nodes.len()],
            stacks: vec![Vec::new(); nodes.len()],
            row: vec![0; nodes.len()],
            last: vec![0; nodes.len()],
        };
        let mut is_used = vec![false; nodes.len()];
        for (number, node) in nodes.iter().enumerate() {
            // What flows into the op from above: computed, or else data, or else anything.
            let inputs = || node.inputs.iter().copied();
            let main = inputs().find(|&input| nodes[input].role == Role::Op);
            let main = main.or_else(|| inputs().find(|&input| nodes[input].role != Role::Param));
            let main = main.or_else(|| inputs().next());
            for input in inputs() {
                let is_leaf = nodes[input].role != Role::Op;
                if is_leaf && !is_used[input] && Some(input) != main {
                    graph.beside[input] = Some(number);
                    graph.stacks[number].push(input);
                }
                is_used[input] = true;
            }
            let above = inputs().filter(|&input| graph.beside[input] != Some(number));
            graph.row[number] = above.map(|input| graph.row[input] + 1).max().unwrap_or(0);
            for &leaf in &graph.stacks[number] {
                graph.row[leaf] = graph.row[number];
            }
            for input in inputs() {
                graph.last[input] = graph.last[input].max(graph.row[number]);
            }
        }
        graph
    }

    /// The rows, with what is in each, not yet in order.
    fn rows(&self) -> Vec<Row> {
        let count = self.row.iter().max().map_or(0, |last| last + 1);
        let mut rows: Vec<Row> = (0..count).map(|_| Row::default()).collect();
        for node in 0..self.row.len() {
            if self.beside[node].is_none() {
                rows[self.row[node]].items.push((Item::Node(node), 0.0));
            }
            for row in self.row[node] + 1..self.last[node].max(self.row[node] + 1) {
                rows[row].items.push((Item::Lane(node), 0.0));
            }
        }
        rows
    }

    /// The leaves to the left of an op, and to the right.
    fn sides(&self, node: usize) -> [Vec<usize>; 2] {
        [0, 1].map(|side| self.stacks[node].iter().copied().skip(side).step_by(2).collect())
    }

    /// The nodes whose lines come to an item from above.
    fn above(&self, item: Item) -> Vec<usize> {
        match item {
            Item::Lane(node) => vec![node],
            Item::Node(node) => {
                let inputs = self.drawing.nodes[node].distinct_inputs();
                inputs
                    .into_iter()
                    .map(|(input, _)| input)
                    .filter(|&input| self.beside[input] != Some(node))
                    .collect()
            }
        }
    }
}

/// Lays out the drawing's nodes, whose boxes have these sizes. The left and upper end of the picture is at zero.
pub(super) fn layout(drawing: &Drawing, sizes: &[(f64, f64)]) -> Layout {
    let graph = Graph::new(drawing);
    let mut rows = graph.rows();
    let mut places: Vec<Place> =
        sizes.iter().map(|&(width, height)| Place { width, height, ..Place::default() }).collect();
    let mut y = 0.0;
    for at in 0..rows.len() {
        let (done, rest) = rows.split_at_mut(at);
        let row = &mut rest[0];
        order(&graph, row, done.last(), &mut places);
        row.top = y;
        row.bottom = y + stand(&graph, row, y, &mut places);
        y = row.bottom + DOWN;
    }
    let (lines, trunks) = (lines(&graph, &rows, &places), trunks(&graph, &rows, &places));
    let mut laid = Layout { lines, trunks, places, width: 0.0, height: y - DOWN };
    // Lanes may be further out than boxes.
    let ends = laid.places.iter().flat_map(|place| [place.left(), place.right()]);
    let points = laid.lines.iter().map(|line| &line.points).chain(&laid.trunks).flatten();
    let xs: Vec<f64> = ends.chain(points.map(|point| point.0)).collect();
    let left = xs.iter().copied().fold(f64::INFINITY, f64::min);
    let right = xs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if xs.is_empty() {
        return Layout { height: 0.0, ..laid };
    }
    laid.places.iter_mut().for_each(|place| place.x -= left);
    let points = laid.lines.iter_mut().map(|line| &mut line.points).chain(&mut laid.trunks).flatten();
    points.for_each(|point| point.0 -= left);
    laid.width = right - left;
    laid
}

/// Puts what is in a row in order, each as nearly as possible below what it comes from, and gives nodes their x.
fn order(graph: &Graph<'_>, row: &mut Row, before: Option<&Row>, places: &mut [Place]) {
    for (item, x) in &mut row.items {
        let sources = graph.above(*item);
        let xs = sources.iter().map(|&source| {
            // A line that has come past rows comes from its lane in the last of them.
            before.and_then(|row| row.x(Item::Lane(source))).unwrap_or(places[source].x)
        });
        *x = if sources.is_empty() { 0.0 } else { xs.sum::<f64>() / sources.len() as f64 };
    }
    row.items.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut end, mut moved) = (f64::NEG_INFINITY, 0.0);
    for (item, x) in &mut row.items {
        let (left, right) = match *item {
            Item::Lane(_) => (LANE / 2.0, LANE / 2.0),
            Item::Node(node) => {
                let half = places[node].width / 2.0;
                let side = |leaves: &[usize]| {
                    let widest = leaves.iter().map(|&leaf| places[leaf].width).fold(0.0, f64::max);
                    half + if leaves.is_empty() { 0.0 } else { ACROSS + widest }
                };
                let [left, right] = graph.sides(node);
                (side(&left), side(&right))
            }
        };
        let wanted = *x;
        *x = wanted.max(end + ACROSS + left);
        end = *x + right;
        moved += *x - wanted;
    }
    // All were moved to the right only; back by the mean.
    let back = moved / row.items.len().max(1) as f64;
    for (item, x) in &mut row.items {
        *x -= back;
        if let Item::Node(node) = *item {
            places[node].x = *x;
        }
    }
}

/// Gives the boxes of a row their y, and those beside an op their x; tells the height of the row.
fn stand(graph: &Graph<'_>, row: &Row, top: f64, places: &mut [Place]) -> f64 {
    let nodes: Vec<usize> = row
        .items
        .iter()
        .filter_map(|(item, _)| if let Item::Node(node) = item { Some(*node) } else { None })
        .collect();
    let stack = |leaves: &[usize], places: &[Place]| {
        leaves.iter().map(|&leaf| places[leaf].height + STACKED).sum::<f64>() - STACKED
    };
    let mut height = 0.0_f64;
    for &node in &nodes {
        height = height.max(places[node].height);
        for side in graph.sides(node) {
            height = height.max(stack(&side, places));
        }
    }
    for node in nodes {
        places[node].y = top + height / 2.0;
        for (side, leaves) in graph.sides(node).into_iter().enumerate() {
            let mut y = places[node].y - stack(&leaves, places) / 2.0;
            for leaf in leaves {
                let apart = (places[node].width + places[leaf].width) / 2.0 + ACROSS;
                places[leaf].x = places[node].x + if side == 0 { -apart } else { apart };
                places[leaf].y = y + places[leaf].height / 2.0;
                y += places[leaf].height + STACKED;
            }
        }
    }
    height
}

/// The lines, each ending on the edge of its op's box.
fn lines(graph: &Graph<'_>, rows: &[Row], places: &[Place]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (to, node) in graph.drawing.nodes.iter().enumerate() {
        let (mut level, mut from_above): (Vec<_>, Vec<_>) =
            node.distinct_inputs().into_iter().partition(|&(input, _)| graph.beside[input] == Some(to));
        for (from, count) in level.drain(..) {
            let (a, b) = (places[from], places[to]);
            let end = a.y.clamp(b.top() + b.height / 4.0, b.bottom() - b.height / 4.0);
            let points = if a.x < b.x {
                vec![(a.right(), a.y), (b.left(), end)]
            } else {
                vec![(a.left(), a.y), (b.right(), end)]
            };
            lines.push(Line { from, to, count, points, is_level: true });
        }
        // Those that come from further left end further left.
        let lane = |from: usize, row: usize| rows[row].x(Item::Lane(from)).unwrap_or(places[from].x);
        let last = |from: usize| lane(from, graph.row[to] - 1);
        from_above.sort_by(|a, b| last(a.0).total_cmp(&last(b.0)));
        let shares = from_above.len() as f64 + 1.0;
        for (i, (from, count)) in from_above.into_iter().enumerate() {
            let before = graph.row[to] - 1;
            let mut points = match rows[before].x(Item::Lane(from)) {
                Some(x) => vec![(x, rows[before].bottom)],
                None => start(from, rows, graph, places),
            };
            let end = places[to].left() + places[to].width * (i as f64 + 1.0) / shares;
            points.extend([(end, rows[graph.row[to]].top), (end, places[to].top())]);
            lines.push(Line { from, to, count, points, is_level: false });
        }
    }
    lines
}

/// Where the lines of a node begin: below its box, past the others of its row.
fn start(node: usize, rows: &[Row], graph: &Graph<'_>, places: &[Place]) -> Vec<(f64, f64)> {
    let place = places[node];
    vec![(place.x, place.bottom()), (place.x, rows[graph.row[node]].bottom)]
}

/// The ways of nodes with lines that go down more than one row.
fn trunks(graph: &Graph<'_>, rows: &[Row], places: &[Place]) -> Vec<Vec<(f64, f64)>> {
    let mut trunks = Vec::new();
    for node in 0..places.len() {
        let passed = graph.row[node] + 1..graph.last[node].max(graph.row[node] + 1);
        if passed.is_empty() {
            continue;
        }
        let mut points = start(node, rows, graph, places);
        for row in &rows[passed] {
            row.x(Item::Lane(node)).iter().for_each(|&x| points.extend([(x, row.top), (x, row.bottom)]));
        }
        trunks.push(points);
    }
    trunks
}
