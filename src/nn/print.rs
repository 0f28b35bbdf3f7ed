//! A net in PyTorch's words: `print(net)`.
//!
//! A module is its name and, in parentheses, what it says of itself (`extra_repr`) and its modules, each on a line of
//! its own and two columns further in. Parameters and buffers are not shown.
//!
//! Next to read: `summary.rs`.

use std::borrow::Cow;
use std::fmt;

use super::{
    AvgPool2d, BatchNorm, Conv2d, Flatten, LeNet, Linear, MaxPool2d, Module, Part, ReLU, Sequential, Sigmoid,
    Tanh,
};

/// The rule of PyTorch's `Module.__repr__`.
pub(super) fn repr(name: &str, extra: &str, parts: &[(Cow<'static, str>, Part<'_>)]) -> String {
    let mut lines = Vec::new();
    for (name, part) in parts {
        if let Part::Module(module) = part {
            let inside = module.repr().replace('\n', "\n  ");
            lines.push(format!("({name}): {inside}"));
        }
    }
    if lines.is_empty() {
        return format!("{name}({extra})");
    }
    if !extra.is_empty() {
        lines.insert(0, extra.to_string());
    }
    format!("{name}(\n  {}\n)", lines.join("\n  "))
}

/// `Display` for a list of modules. It cannot be had for all at once: `impl<M: Module> Display for M` would claim
/// types that are not this crate's.
macro_rules! display_by_repr {
    ($($module:ty),*) => {$(
        impl fmt::Display for $module {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.repr())
            }
        }
    )*};
}

display_by_repr!(
    AvgPool2d, BatchNorm, Conv2d, Flatten, LeNet, Linear, MaxPool2d, ReLU, Sequential, Sigmoid, Tanh
);
display_by_repr!(dyn Module + '_);
