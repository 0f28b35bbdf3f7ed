//! Reads the files that the scripts in `tests/golden/` wrote with PyTorch.
//!
//! ```text
//! let golden = Golden::read("ops.txt");
//! for case in golden.cases("conv2d") {                       // "conv2d.plain", "conv2d.padding" ...
//!     let x = golden.f32(&format!("{case}.x"));              // the input
//!     let stride = golden.pair(&format!("{case}.stride"));   // an option
//!     let truth = golden.truth(&format!("{case}.y"));        // PyTorch in f64
//!     let single = golden.f32(&format!("{case}.y"));         // PyTorch in f32
//! }
//! ```
//!
//! What the names mean stands at the top of ops.py, optimizers.py and lenet.py, the format of a
//! line in data.py. A large tensor is stored as a sample of its elements: [`Golden::sample`] takes
//! the same sample of a result.
//!
//! Everything here panics with a clear message: a test with a broken golden file cannot go on.

use std::collections::HashMap;
use std::fs;

use super::array::Array;
use super::data::{labels, values};

/// One tensor of a golden file.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    /// The shape of the whole tensor.
    pub shape: Vec<usize>,
    /// Only every so many elements are stored; 1 when all are.
    pub every: usize,
    /// The numbers as read in f32. (Not the f64 ones rounded: that would round twice.)
    pub single: Vec<f32>,
    /// The numbers as read in f64. For an f32 result these are not its exact value but its
    /// shortest decimal's; for an option such as a learning rate of 0.1 they are what was meant.
    pub double: Vec<f64>,
}

/// A golden file: tensors by name.
pub struct Golden {
    file: String,
    names: Vec<String>,
    entries: HashMap<String, Entry>,
}

/// A tensor and what PyTorch prints for it.
#[derive(Clone, Debug)]
pub struct Printed {
    pub tensor: Entry,
    /// The lines, joined by `\n`, without one at the end.
    pub text: String,
}

impl Golden {
    /// Reads `tests/golden/<file>`.
    #[track_caller]
    pub fn read(file: &str) -> Golden {
        let mut golden = Golden { file: file.to_string(), names: Vec::new(), entries: HashMap::new() };
        for (number, line) in content(file).lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = parse(line).unwrap_or_else(|e| panic!("{file}:{}: {e}", number + 1));
            golden.names.push(entry.name.clone());
            let twice = golden.entries.insert(entry.name.clone(), entry);
            assert!(twice.is_none(), "{file}:{}: a second tensor of this name", number + 1);
        }
        golden
    }

    /// All names, in the order of the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The cases of an op, `op.variant`, in the order of the file. Panics if there are none:
    /// a loop over nothing would test nothing.
    #[track_caller]
    pub fn cases(&self, op: &str) -> Vec<String> {
        let mut cases: Vec<String> = Vec::new();
        for name in &self.names {
            let mut parts = name.splitn(3, '.');
            if let (Some(first), Some(variant), Some(_)) = (parts.next(), parts.next(), parts.next())
                && first == op
            {
                let case = format!("{first}.{variant}");
                if !cases.contains(&case) {
                    cases.push(case);
                }
            }
        }
        assert!(!cases.is_empty(), "{}: no case of {op}", self.file);
        cases
    }

    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    #[track_caller]
    pub fn entry(&self, name: &str) -> &Entry {
        match self.entries.get(name) {
            Some(entry) => entry,
            None => panic!("{}: no tensor {name}", self.file),
        }
    }

    /// The shape of the whole tensor.
    #[track_caller]
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.entry(name).shape
    }

    /// A given tensor, or what PyTorch gave in f32.
    #[track_caller]
    pub fn f32(&self, name: &str) -> &[f32] {
        &self.entry(name).single
    }

    /// What PyTorch gave in f64, to nine digits. Where it is not stored apart, the f64 run gave
    /// the very numbers of the f32 run.
    #[track_caller]
    pub fn truth(&self, name: &str) -> Vec<f64> {
        match self.entries.get(&format!("{name}.f64")) {
            Some(entry) => entry.double.clone(),
            None => self.f32(name).iter().map(|&v| f64::from(v)).collect(),
        }
    }

    /// A given tensor for the oracle. f32 holds it exactly, so this is the same tensor.
    #[track_caller]
    pub fn array(&self, name: &str) -> Array {
        Array::from_f32(self.shape(name), self.f32(name))
    }

    /// A single number.
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        match self.entry(name).double.as_slice() {
            &[value] => value,
            other => panic!("{}: {name} has {} numbers, not one", self.file, other.len()),
        }
    }

    /// Integers that are not negative: labels, axes, indices.
    #[track_caller]
    pub fn integers(&self, name: &str) -> Vec<usize> {
        let integer = |&v: &f64| {
            assert!(v >= 0.0 && v.fract() == 0.0, "{}: {name} holds {v}", self.file);
            v as usize
        };
        self.entry(name).double.iter().map(integer).collect()
    }

    /// An option by axis.
    #[track_caller]
    pub fn pair(&self, name: &str) -> (usize, usize) {
        match self.integers(name).as_slice() {
            &[rows, columns] => (rows, columns),
            other => panic!("{}: {name} has {} numbers, not two", self.file, other.len()),
        }
    }

    #[track_caller]
    pub fn flag(&self, name: &str) -> bool {
        self.number(name) != 0.0
    }

    /// The elements of a whole tensor that the file stores of it, in the same order.
    #[track_caller]
    pub fn sample<T: Copy>(&self, name: &str, whole: &[T]) -> Vec<T> {
        let entry = self.entry(name);
        let size: usize = entry.shape.iter().product();
        assert_eq!(whole.len(), size, "{name} has shape {:?}", entry.shape);
        whole.iter().copied().step_by(entry.every).collect()
    }
}

/// Reads `tests/golden/printing.txt`.
pub fn printed() -> Vec<Printed> {
    let file = "printing.txt";
    let mut cases: Vec<(Entry, Vec<String>)> = Vec::new();
    for (number, line) in content(file).lines().enumerate() {
        if let Some(text) = line.strip_prefix('|') {
            let (_, lines) = cases.last_mut().expect("a tensor before its text");
            lines.push(text.to_string());
        } else if !line.is_empty() && !line.starts_with('#') {
            let tensor = parse(line).unwrap_or_else(|e| panic!("{file}:{}: {e}", number + 1));
            cases.push((tensor, Vec::new()));
        }
    }
    cases
        .into_iter()
        .map(|(tensor, lines)| {
            assert!(!lines.is_empty(), "{file}: {} has no text", tensor.name);
            Printed { tensor, text: lines.join("\n") }
        })
        .collect()
}

fn content(file: &str) -> String {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// `name [2,3] 1 2 3 4 5 6`, `name [120,256]/149 ...` or `name [2,3] = values(7) * 2 + 1`.
fn parse(line: &str) -> Result<Entry, String> {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default().to_string();
    let shape_text = words.next().ok_or("a shape is missing")?;
    let (shape_text, every) = match shape_text.split_once('/') {
        Some((shape, every)) => (shape, whole_number(every)?),
        None => (shape_text, 1),
    };
    let shape = parse_shape(shape_text)?;
    let size: usize = shape.iter().product();
    let words: Vec<&str> = words.collect();
    let (single, double) = if words.first() == Some(&"=") {
        let single = generate(&words[1..].join(" "), size)?;
        let double = single.iter().map(|&v| f64::from(v)).collect();
        (single, double)
    } else {
        let bad = |word: &&str| format!("{word:?} is no number");
        let single: Result<Vec<f32>, String> = words.iter().map(|w| w.parse().map_err(|_| bad(w))).collect();
        let double: Result<Vec<f64>, String> = words.iter().map(|w| w.parse().map_err(|_| bad(w))).collect();
        (single?, double?)
    };
    let stored = size.div_ceil(every);
    if single.len() != stored {
        return Err(format!("{name} needs {stored} numbers, found {}", single.len()));
    }
    Ok(Entry { name, shape, every, single, double })
}

fn parse_shape(text: &str) -> Result<Vec<usize>, String> {
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let inside = inside.ok_or(format!("{text:?} is no shape"))?;
    inside.split(',').filter(|size| !size.is_empty()).map(whole_number).collect()
}

fn whole_number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is no whole number"))
}

/// `values(7)`, `abs(values(7))`, `arange()`, each with `* scale` and `+ offset`, or
/// `labels(7, 10)`.
fn generate(call: &str, size: usize) -> Result<Vec<f32>, String> {
    let (call, offset) = call.split_once(" + ").unwrap_or((call, "0"));
    let (call, scale) = call.split_once(" * ").unwrap_or((call, "1"));
    let number = |text: &str| text.parse::<f32>().map_err(|_| format!("{text:?} is no number"));
    let (scale, offset) = (number(scale)?, number(offset)?);
    let argument = |name: &str, text: &str| -> Option<String> {
        text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')').map(str::to_string)
    };
    let made: Vec<f32> = if let Some(inner) = argument("abs", call) {
        let seed = argument("values", &inner).ok_or(format!("abs of {inner:?}"))?;
        values(whole_number(&seed)?, size).into_iter().map(f32::abs).collect()
    } else if let Some(seed) = argument("values", call) {
        values(whole_number(&seed)?, size)
    } else if let Some(arguments) = argument("labels", call) {
        let (seed, classes) = arguments.split_once(',').ok_or("labels needs two arguments")?;
        let made = labels(whole_number(seed)?, size, whole_number(classes)?);
        made.into_iter().map(|label| label as f32).collect()
    } else if argument("arange", call).is_some() {
        (0..size).map(|i| i as f32).collect()
    } else {
        return Err(format!("{call:?} is no generator"));
    };
    Ok(made.into_iter().map(|v| v * scale + offset).collect())
}
