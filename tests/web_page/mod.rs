//! An HTML page as a test reads it: its tags held against each other, its tables and pictures taken out.
//!
//! It knows what the crate's own pages use, nothing more.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]

use std::collections::HashSet;

use tapegrad::image::{GrayImage, png};

/// Elements without an end.
const VOID: [&str; 5] = ["meta", "link", "img", "br", "input"];

/// Panics unless every element ends where it should, no id is there twice, every link leads somewhere on the page,
/// every picture has words, and nothing is asked of elsewhere.
#[track_caller]
pub fn check(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{}", &page[..60]);
    let (mut open, mut ids, mut links) = (Vec::new(), HashSet::new(), Vec::new());
    let mut rest = &page["<!DOCTYPE html>".len()..];
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a bare > in {:?}", &rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{:?}", rest.get(..80));
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        for (attribute, value) in attributes(tag) {
            match attribute {
                "id" => assert!(ids.insert(value), "id {value} is there twice"),
                "href" => links.push(value),
                "src" => assert!(value.starts_with("data:image/png;base64,"), "{value}"),
                "alt" | "aria-label" => assert!(!value.is_empty(), "{tag}"),
                _ => assert!(!attribute.starts_with("on"), "{tag}"),
            }
        }
        assert!(name != "img" || tag.contains(" alt=\""), "{tag}");
        assert!(name != "svg" || tag.contains(" aria-label=\"") || tag.contains("aria-hidden"), "{tag}");
        if matches!(name, "style" | "script") {
            // Not markup up to its end.
            rest = &rest[rest.find(&format!("</{name}>")).expect("it ends") + name.len() + 3..];
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never ended: {open:?}");
    for link in links {
        assert!(link == "data:," || link.strip_prefix('#').is_some_and(|id| ids.contains(id)), "{link}");
    }
    for elsewhere in ["http:", "https:", "//", "url(", "@import"] {
        assert!(!outside_comments(page).contains(elsewhere), "{elsewhere}");
    }
}

/// The page without the comments of its script and the letters of its pictures, where `//` means nothing.
fn outside_comments(page: &str) -> String {
    let lines: Vec<&str> = page.lines().filter(|line| !line.trim_start().starts_with("// ")).collect();
    let mut pieces = lines.join("\n");
    while let Some(start) = pieces.find(";base64,") {
        let end = start + pieces[start..].find('"').expect("a quoted address");
        pieces.replace_range(start..end, "");
    }
    pieces
}

fn attributes(tag: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = tag;
    while let Some(at) = rest.find("=\"") {
        let name = rest[..at].rsplit(' ').next().unwrap_or_default();
        let value = &rest[at + 2..];
        let end = value.find('"').expect("a quoted value");
        found.push((name, &value[..end]));
        rest = &value[end + 1..];
    }
    found
}

/// The cells of the table with this caption, row by row, without its head. Minus signs are those of programs.
#[track_caller]
pub fn table(page: &str, caption: &str) -> Vec<Vec<String>> {
    let (_, table) = page
        .split_once(&format!("<caption>{caption}</caption>"))
        .unwrap_or_else(|| panic!("no table {caption:?}"));
    let body = between(table, "<tbody>", "</tbody>");
    let rows = body.split("</tr>").filter(|row| row.contains("<tr>"));
    rows.map(|row| row.split("</t").filter(|cell| cell.contains("<t")).map(text).collect()).collect()
}

/// The numbers of such a table, without the names of its rows.
#[track_caller]
pub fn numbers(page: &str, caption: &str) -> Vec<Vec<f64>> {
    let number = |cell: &String| cell.parse().unwrap_or_else(|_| panic!("{cell:?} in {caption:?}"));
    table(page, caption).iter().map(|row| row[1..].iter().map(number).collect()).collect()
}

/// What stands between two marks.
#[track_caller]
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after:?}")).0
}

/// Markup without its tags.
pub fn text(markup: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in markup.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            '>' => text.clear(), // the end of a tag that began before
            _ if inside => {}
            c => text.push(if c == '−' { '-' } else { c }),
        }
    }
    text.trim().to_string()
}

/// The PNG pictures of the page, in order.
pub fn pictures(page: &str) -> Vec<GrayImage> {
    let sources = page.split("data:image/png;base64,").skip(1);
    sources
        .map(|rest| {
            let letters = rest.split('"').next().unwrap_or_default();
            png::decode(&from_base64(letters)).expect("a PNG file")
        })
        .collect()
}

fn from_base64(letters: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{letter} in base64"),
    };
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for letter in letters.bytes().filter(|&letter| letter != b'=') {
        bits = (bits << 6) | u32::from(value(letter));
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
