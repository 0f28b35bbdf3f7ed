//! Every `unsafe` has its argument directly above it, stands in one of a few files, and is in the list `src/unsafe.md`, which is part of
//! the documentation. Where the list is no longer true,
//!
//! ```sh
//! UNSAFE_LIST=write cargo test --test unsafe_list
//! ```
//!
//! writes it anew from the sources. (The sources are laid out by rustfmt, so lines and indentation are all the grammar that is needed.)

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The only files that may have any. A folder stands for all files in it.
const ROOMS: [&str; 11] = [
    "src/cli/interrupt.rs",
    "src/cli/terminal_size.rs",
    "src/gemm/matrix.rs",
    "src/gemm/pack.rs",
    "src/parallel.rs",
    "src/simd/",
    "src/tensor/buffer.rs",
    "tests/allocations.rs",
    "tests/guard_pages.rs",
    "tests/peak_memory/mod.rs",
    "benches/peers/rust/src/bin/products.rs",
];

/// One `unsafe { … }` or `unsafe impl`.
struct Block {
    /// Where it stands: the function and what that belongs to, or the `impl` itself.
    place: String,
    lines: usize,
    argument: String,
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether the code of a line opens a block, or is an `impl`, that asks for an argument. Functions and traits state what they ask of others
/// under `# Safety`, which Clippy looks after.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or("");
    ["unsafe {", "unsafe impl"].iter().any(|what| code.contains(what))
}

/// The comment directly above a line, from its `SAFETY:` on, in one line.
fn argument(lines: &[&str], at: usize) -> Option<String> {
    let above = lines[..at].iter().rev().map(|line| line.trim());
    let mut comment: Vec<&str> = above
        .skip_while(|line| line.starts_with("#["))
        .take_while(|line| line.starts_with("//"))
        .map(|line| line.trim_start_matches('/').trim())
        .collect();
    comment.reverse();
    let start = comment.iter().position(|line| line.starts_with("SAFETY:"))?;
    Some(comment[start..].join(" ").trim_start_matches("SAFETY:").trim().to_owned())
}

/// The nearest line above that is indented less and has one of these words.
fn above<'a>(lines: &[&'a str], at: usize, words: &[&str]) -> Option<(usize, &'a str)> {
    let mut least = indentation(lines[at]);
    for i in (0..at).rev().filter(|&i| !lines[i].trim().is_empty()) {
        if indentation(lines[i]) < least {
            least = indentation(lines[i]);
            if words.iter().any(|word| lines[i].trim_start().contains(word)) {
                return Some((i, lines[i].trim()));
            }
        }
    }
    None
}

fn place(lines: &[&str], at: usize) -> String {
    let head = |line: &str| line.trim_end_matches(['{', '}']).trim().trim_start_matches("unsafe ").to_owned();
    if let Some((_, rest)) = lines[at].split_once("unsafe impl") {
        return head(&format!("impl{rest}"));
    }
    let Some((i, function)) = above(lines, at, &["fn "]) else { return "a constant".to_owned() };
    let name = function.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next()).unwrap_or("");
    match above(lines, i, &["impl", "trait ", "macro_rules!"]) {
        Some((_, owner)) => format!("{name}, {}", head(owner)),
        None => name.to_owned(),
    }
}

/// From the line that opens it to the one that closes it.
fn length(lines: &[&str], at: usize) -> usize {
    let from = lines[at].find("unsafe").unwrap_or(0);
    let mut depth = 0;
    for (i, line) in lines[at..].iter().enumerate() {
        for c in if i == 0 { &line[from..] } else { line }.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if c == '}' && depth == 0 {
                return i + 1;
            }
        }
    }
    panic!("line {}: a block that does not end", at + 1)
}

/// All blocks of a file, and what is wrong with it.
fn read(name: &str, text: &str) -> (Vec<Block>, Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    let (mut blocks, mut wrong) = (Vec::new(), Vec::new());
    for at in (0..lines.len()).filter(|&at| is_unsafe(lines[at])) {
        match argument(&lines, at) {
            Some(argument) => {
                blocks.push(Block { place: place(&lines, at), lines: length(&lines, at), argument })
            }
            None => wrong
                .push(format!("{name}:{}: expected a comment `// SAFETY: …` directly above unsafe", at + 1)),
        }
    }
    if !blocks.is_empty()
        && !ROOMS.iter().any(|room| name == *room || (room.ends_with('/') && name.starts_with(room)))
    {
        wrong.push(format!("{name}: expected unsafe only in {}", ROOMS.join(", ")));
    }
    (blocks, wrong)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn list(files: &[(String, Vec<Block>)]) -> String {
    let lines = |blocks: &[Block]| blocks.iter().map(|block| block.lines).sum::<usize>();
    let all: usize = files.iter().map(|(_, blocks)| blocks.len()).sum();
    let mut text = format!(
        "Every `unsafe` block and `impl` of the library, with the argument why it is sound: {all} with {} in {}. The comments are those of the\n\
         sources, in their order; `tests/unsafe_list.rs` holds the two together and says how to write this page anew. What a trusted function asks\n\
         of its callers stands under `# Safety` in its own documentation.\n",
        count(files.iter().map(|(_, blocks)| lines(blocks)).sum(), "line"),
        count(files.len(), "file"),
    );
    for (name, blocks) in files {
        write!(text, "\n# `{name}`: {} with {}\n\n", blocks.len(), count(lines(blocks), "line")).unwrap();
        for block in blocks {
            writeln!(text, "- `{}` ({}): {}", block.place, count(block.lines, "line"), block.argument)
                .unwrap();
        }
    }
    text
}

#[test]
fn every_unsafe_block_is_argued_and_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in ["src", "tests", "benches"] {
        sources(&root.join(folder), &mut paths);
    }
    // Here the word stands in strings.
    paths.retain(|path| !path.ends_with("tests/unsafe_list.rs"));
    paths.sort();
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let (blocks, complaints) = read(&name, &fs::read_to_string(&path).unwrap());
        wrong.extend(complaints);
        if name.starts_with("src/") && !blocks.is_empty() {
            files.push((name, blocks));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let (file, want) = (root.join("src/unsafe.md"), list(&files));
    if std::env::var_os("UNSAFE_LIST").is_some_and(|value| value == "write") {
        fs::write(&file, &want).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    if let Some((found, want)) = found.lines().zip(want.lines()).find(|(found, want)| found != want) {
        panic!(
            "src/unsafe.md: expected\n{want}\nfound\n{found}\nTo write it anew: UNSAFE_LIST=write cargo test --test unsafe_list"
        );
    }
    assert_eq!(found.len(), want.len(), "src/unsafe.md: UNSAFE_LIST=write cargo test --test unsafe_list");
}

/// The reader finds what it is there to find.
#[test]
fn what_lacks_an_argument_or_a_room_is_found() {
    let argued = "impl A for B {\n    fn f() {\n        // SAFETY: it is\n        // there.\n        #[cold]\n        let x = unsafe {\n            g()\n        };\n    }\n}\n";
    let (blocks, wrong) = read("src/parallel.rs", argued);
    assert_eq!(wrong, [""; 0]);
    let Block { place, lines, argument } = &blocks[0];
    assert_eq!((place.as_str(), *lines, argument.as_str()), ("f, impl A for B", 3, "it is there."));

    let (_, wrong) = read("src/parallel.rs", "fn f() {\n    // Fine.\n    unsafe { g() }\n}\n");
    assert_eq!(wrong, ["src/parallel.rs:3: expected a comment `// SAFETY: …` directly above unsafe"]);
    let (_, wrong) = read("src/ops/relu.rs", "// SAFETY: so.\nunsafe impl Send for A {}\n");
    assert!(
        wrong.len() == 1 && wrong[0].starts_with("src/ops/relu.rs: expected unsafe only in "),
        "{wrong:?}"
    );
}
