//! The tape in DOT, the language of Graphviz (<https://graphviz.org/doc/info/lang.html>): `dot -Tsvg tape.dot`.
//!
//! Boxes and arrows are listed, and Graphviz finds places for them. What has rounded corners is a leaf, what is dashed wants no
//! gradient.
//!
//! Next to read: `layout.rs`, which finds places itself.

use std::fmt::Write;

use super::{Drawing, Role};

impl Drawing {
    /// The tape as a directed graph from inputs to what is made of them.
    pub fn to_dot(&self) -> String {
        let mut text = String::from("digraph tape {\n");
        let summary = self.summary().join("\n");
        line(&mut text, &format!("label={}; labelloc=t; rankdir=TB;", quoted(&summary)));
        line(
            &mut text,
            "node [shape=box, fontname=\"monospace\", fontsize=10]; graph [fontname=\"monospace\"];",
        );
        for (number, node) in self.nodes.iter().enumerate() {
            let mut styles = Vec::new();
            if node.role != Role::Op {
                styles.push("rounded");
            }
            if !node.wants_grad {
                styles.push("dashed");
            }
            let mut lines = self.lines(node);
            lines[0] += &format!(" #{number}");
            let (label, style) = (quoted(&lines.join("\n")), styles.join(","));
            line(&mut text, &format!("n{number} [label={label}, style=\"{style}\"];"));
        }
        for (number, node) in self.nodes.iter().enumerate() {
            for (input, count) in node.distinct_inputs() {
                let label = if count > 1 { format!(" [label=\"\u{d7}{count}\"]") } else { String::new() };
                line(&mut text, &format!("n{input} -> n{number}{label};"));
            }
        }
        text.push_str("}\n");
        text
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {line}");
}

/// A string of DOT. Inside of it a backslash begins an escape; a line break is one.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            // Graphviz reads entities as HTML does.
            '&' => quoted.push_str("&amp;"),
            c if c.is_control() => quoted.push('\u{fffd}'),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
