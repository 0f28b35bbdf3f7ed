//! The layers that a net runs, one after the other, with the names that they have in it.
//!
//! A chain of chains ([`Kind::Chain`]) is laid out flat. What is not a chain is one leaf, whatever is inside.
//!
//! Next to read: `print.rs`.

use super::{Kind, Module, Part};

/// The layers of a net in the order in which they run: `conv.0`, a convolution, first.
///
/// A link of a chain that is none of the net's parts (the `Flatten` of LeNet's `forward`) goes by the name of its type, and so
/// does a net that is no chain.
///
/// ```
/// use tapegrad::nn::{Init, LeNet, leaves};
/// let net = LeNet::new(&mut Init::new(0));
/// let names: Vec<String> = leaves(&net).into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names[..3], ["conv.0", "conv.1", "conv.2"]);
/// assert_eq!(names[6..8], ["Flatten", "fc.0"]);
/// ```
pub fn leaves(net: &dyn Module) -> Vec<(String, &dyn Module)> {
    let mut found = Vec::new();
    match net.kind() {
        Kind::Chain(_) => add("", net, &mut found),
        _ => found.push((net.name().to_string(), net)),
    }
    found
}

fn add<'a>(path: &str, module: &'a dyn Module, found: &mut Vec<(String, &'a dyn Module)>) {
    let Kind::Chain(links) = module.kind() else {
        found.push((path.to_string(), module));
        return;
    };
    let mut parts = module.parts();
    for link in links {
        // Layers without data may share an address; then they have no parts either, and stand in the order of the chain.
        let same = |part: &Part<'_>| matches!(part, Part::Module(part) if std::ptr::addr_eq(*part, link) && part.name() == link.name());
        let name = match parts.iter().position(|(_, part)| same(part)) {
            Some(at) => parts.remove(at).0,
            None => link.name().to_string().into(),
        };
        add(&super::join(path, &name), link, found);
    }
}
