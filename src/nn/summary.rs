//! The table of a net's layers: what shape leaves each, and how many parameters it has.
//!
//! Shapes are not worked out a second time here: the net runs once on zeros, and [`Module::call`](super::Module::call) notes what every
//! module gave. The notes are a tree of calls, kept by the thread that runs the net; the table is the tree of modules
//! with the notes laid beside it. A call is known by the module's address and its type's name. Only among layers without
//! any data of their own (two `Sigmoid`s in one net) can two share both; they are then taken in the order of the calls.
//!
//! A module that was not called, or not with `call`, has no shape in the table.
//!
//! Next to read: `lenet.rs`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use super::Part;
use crate::Shape;

/// One call of a module.
struct Call {
    module: *const (),
    name: String,
    output: Option<Shape>,
    /// The calls that this one made.
    inside: Vec<Call>,
}

thread_local! {
    /// The calls that have not returned yet, outermost first, while somebody watches. The first is the watcher's own.
    static OPEN: RefCell<Option<Vec<Call>>> = const { RefCell::new(None) };
}

/// Notes that a module is called. Whether somebody watches.
pub(super) fn enter(module: *const (), name: &str) -> bool {
    OPEN.with_borrow_mut(|open| match open {
        Some(open) => {
            open.push(Call { module, name: name.to_string(), output: None, inside: Vec::new() });
            true
        }
        None => false,
    })
}

/// Notes what the module gave.
pub(super) fn leave(output: Shape) {
    OPEN.with_borrow_mut(|open| {
        if let Some(open) = open
            && let Some(mut call) = open.pop()
            && let Some(caller) = open.last_mut()
        {
            call.output = Some(output);
            caller.inside.push(call);
        }
    });
}

/// While it lives, calls on this thread are noted.
pub struct Watch(());

impl Watch {
    pub(super) fn start() -> Watch {
        let watcher =
            Call { module: std::ptr::null(), name: String::new(), output: None, inside: Vec::new() };
        OPEN.set(Some(vec![watcher]));
        Watch(())
    }

    /// The table of the net that was called.
    pub(super) fn finish(self, name: &str, parts: &[(Cow<'static, str>, Part<'_>)], input: Shape) -> Summary {
        let watcher = OPEN.take().and_then(|mut open| open.pop());
        let call = watcher.and_then(|mut watcher| watcher.inside.pop());
        let (output, mut inside) = call.map_or((None, Vec::new()), |call| (call.output, call.inside));
        let mut rows = vec![Row::new("", name, output, parts)];
        add_rows("", parts, &mut inside, &mut rows);
        Summary { input, rows }
    }
}

impl Drop for Watch {
    /// Also after a panic in the net: the next call must not be noted.
    fn drop(&mut self) {
        OPEN.take();
    }
}

fn add_rows(
    prefix: &str,
    parts: &[(Cow<'static, str>, Part<'_>)],
    calls: &mut Vec<Call>,
    rows: &mut Vec<Row>,
) {
    for (name, part) in parts {
        let Part::Module(module) = *part else { continue };
        let path = super::join(prefix, name);
        let parts = module.parts();
        let address: *const () = std::ptr::from_ref(module).cast();
        let at = calls.iter().position(|call| call.module == address && call.name == module.name());
        match at.map(|at| calls.remove(at)) {
            Some(Call { output, mut inside, .. }) => {
                rows.push(Row::new(&path, module.name(), output, &parts));
                add_rows(&path, &parts, &mut inside, rows);
            }
            // Run with `forward`: what it called was noted one level further up.
            None => {
                rows.push(Row::new(&path, module.name(), None, &parts));
                add_rows(&path, &parts, calls, rows);
            }
        }
    }
}

/// A line of a [`Summary`]: one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands: `conv.0`. Empty for the net itself.
    pub path: String,
    /// The name of its type: `Conv2d`.
    pub name: String,
    /// What it gave for the input; `None` where it was not called.
    pub output: Option<Shape>,
    /// The elements of its own parameters, those of modules inside not counted; `None` where it has only modules.
    pub parameters: Option<usize>,
}

impl Row {
    fn new(path: &str, name: &str, output: Option<Shape>, parts: &[(Cow<'static, str>, Part<'_>)]) -> Row {
        let own = parts.iter().filter_map(|(_, part)| match part {
            Part::Param(param) => Some(param.value().numel()),
            Part::Buffer(_) | Part::Module(_) => None,
        });
        let only_modules = !parts.is_empty() && parts.iter().all(|(_, part)| matches!(part, Part::Module(_)));
        let parameters = (!only_modules).then(|| own.sum());
        Row { path: path.to_string(), name: name.to_string(), output, parameters }
    }
}

/// The layers of a net with their output shapes and parameters; see [`Module::summary`](super::Module::summary). `Display` gives a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The shape that the net was run with.
    pub input: Shape,
    /// The net, then everything in it, depth first.
    pub rows: Vec<Row>,
}

impl Summary {
    /// The elements of all parameters.
    pub fn parameter_count(&self) -> usize {
        self.rows.iter().filter_map(|row| row.parameters).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "-".to_string();
        let mut table = vec![["layer", "type", "output shape", "parameters"].map(str::to_string)];
        table.push([none(), "(input)".to_string(), self.input.to_string(), none()]);
        for row in &self.rows {
            let path = if row.path.is_empty() { none() } else { row.path.clone() };
            let output = row.output.map_or_else(none, |shape| shape.to_string());
            let parameters = row.parameters.map_or_else(none, with_commas);
            table.push([path, row.name.clone(), output, parameters]);
        }
        let total = with_commas(self.parameter_count());
        table.push(["total".to_string(), String::new(), String::new(), total]);

        let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        for (i, [path, name, output, parameters]) in table.iter().enumerate() {
            let [a, b, c, d] = widths;
            let line = format!("{path:a$}  {name:b$}  {output:c$}  {parameters:>d$}");
            out.write_str(&line)?;
            if i + 1 < table.len() {
                out.write_str("\n")?;
            }
        }
        Ok(())
    }
}

/// 44426 as "44,426".
fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
