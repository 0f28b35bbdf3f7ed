//! One step of the training as its tape: every value, every gradient, and how to check them by hand.
//!
//! The values are read from the tape before backward. The gradients of values between are on no tape afterwards, since
//! backward gives their memory back; so an op that changes nothing is put behind each, which keeps the gradient that
//! comes by.
//!
//! Next to read: `mod.rs`.

use std::cell::RefCell;
use std::rc::Rc;

use super::learn::{Kernel, Task, first_kernel};
use super::{minus, number};
use crate::autograd::draw::Drawing;
use crate::autograd::{Keep, Memory};
use crate::nn::Module;
use crate::report::page::{Escaped, Html};
use crate::{Tape, Tensor, Var};

/// A value of the tape, and the derivative of the loss by it.
pub struct Node {
    /// As many numbers as the value has.
    pub value: Tensor,
    /// Of the same shape.
    pub gradient: Tensor,
}

/// The first step, node by node. The picture and its edges are constants, for which nobody asks a gradient.
pub struct Tour {
    /// What the step starts with.
    pub kernel: Kernel,
    /// The derivatives by it.
    pub gradient: Kernel,
    /// ŷ, `[6, 7]`.
    pub response: Node,
    /// ŷ - y.
    pub difference: Node,
    /// (ŷ - y)².
    pub square: Node,
    /// Their sum.
    pub loss: Node,
}

/// Where a gradient is put on the way back.
#[derive(Clone, Default)]
struct Slot(Rc<RefCell<Option<Tensor>>>);

/// Nothing is kept for backward: a slot is empty until then.
impl Keep for Slot {
    fn memory(&self, _: &mut dyn FnMut(Memory)) {}
}

/// The same value once more; on the way back its gradient is kept.
fn keeping_gradient<'t>(x: Var<'t>, values: &mut Vec<(Tensor, Slot)>) -> Var<'t> {
    let slot = Slot::default();
    values.push((x.value(), slot.clone()));
    let id = x.id();
    x.tape().record("identity", &[x], x.value(), slot, move |slot, dy, adjoints| {
        slot.0.replace(Some(dy.clone()));
        adjoints.add(id, || dy);
    })
}

impl Tour {
    /// Makes the first step of the run from `seed`.
    pub fn new(task: &Task, seed: u64) -> Tour {
        let conv = first_kernel(seed, true);
        let (x, y) = (task.x.reshape([1, 1, 6, 8]), task.y.reshape([1, 1, 6, 7]));
        let tape = Tape::training();
        let mut values = Vec::new();
        let y_hat = keeping_gradient(conv.forward(tape.input(&x)), &mut values);
        let difference = keeping_gradient(y_hat - tape.input(&y), &mut values);
        let square = keeping_gradient(difference.square(), &mut values);
        let loss = keeping_gradient(square.sum(), &mut values);
        let grads = loss.backward();
        let dw = grads[&conv.weight].to_vec();
        let mut nodes = values.into_iter().map(|(value, Slot(gradient))| Node {
            gradient: gradient.take().unwrap_or_else(|| Tensor::zeros(value.shape())),
            value,
        });
        let mut next = || nodes.next().unwrap_or_else(|| unreachable!("four were kept"));
        Tour {
            kernel: Kernel::of(&conv),
            gradient: Kernel { weight: [dw[0], dw[1]], bias: grads[&conv.bias].item() },
            response: next(),
            difference: next(),
            square: next(),
            loss: next(),
        }
    }

    /// The step as its tape, drawn: the numbers of its nodes are those of [`Tour::html`].
    pub fn drawing(task: &Task, seed: u64) -> Drawing {
        let conv = first_kernel(seed, true);
        let tape = Tape::training().watched();
        let y_hat = conv.forward(tape.input(&task.x.reshape([1, 1, 6, 8])));
        (y_hat - tape.input(&task.y.reshape([1, 1, 6, 7]))).square().sum().backward();
        tape.draw()
            .named([("w, the kernel".to_string(), &conv.weight), ("b, the bias".to_string(), &conv.bias)])
    }

    /// The tape from its beginning to the loss, with forward and backward of each op beside each other.
    pub fn html(&self, task: &Task, lr: f32) -> Html {
        let n = |value: f32| number(f64::from(value), 4);
        let [w0, w1] = self.kernel.weight.map(n);
        let b = n(self.kernel.bias);
        let row = |node: &Tensor| -> Vec<f32> { node.to_vec()[..7].to_vec() };
        let (y_hat, d, s) = (row(&self.response.value), row(&self.difference.value), row(&self.square.value));
        let (g_hat, g_d, g_s) =
            (row(&self.response.gradient), row(&self.difference.gradient), row(&self.square.gradient));
        let sum = |places: &[usize], of: &[f32]| {
            places.iter().map(|&i| bracketed(&n(of[i]))).collect::<Vec<_>>().join(" + ")
        };
        let y = row(&task.y);
        let all = [0, 1, 2, 3, 4, 5, 6];

        let none = "A constant: nobody asks for its gradient, so none is computed.";
        let mut out = Html::new();
        out = node(out, "0", "input x", "[1, 1, 6, 8]", Html::new().then(&matrix("x", &task.x)), text(none));
        let (dw, db) = (self.gradient.weight.map(n), n(self.gradient.bias));
        out = node(
            out,
            "1",
            "param b, the bias",
            "[1]",
            formula(&format!("b = {b}"), ""),
            formula("db = Σ dŷ[i, j]", &format!("Six equal rows: 6 · ({}) = {db}", sum(&all, &g_hat))),
        );
        out = node(
            out,
            "2",
            "param w, the kernel",
            "[1, 1, 1, 2]",
            formula(&format!("w₁ = {w0}, w₂ = {w1}"), ""),
            formula(
                "dw₁ = Σ dŷ[i, j] · x[i, j],  dw₂ = Σ dŷ[i, j] · x[i, j + 1]",
                &format!(
                    "x[i, j] is 1 where j is 0, 1 or 6: dw₁ = 6 · ({}) = {}. x[i, j + 1] is 1 where j is 0, 5 or 6: \
                     dw₂ = 6 · ({}) = {}",
                    sum(&[0, 1, 6], &g_hat),
                    dw[0],
                    sum(&[0, 5, 6], &g_hat),
                    dw[1]
                ),
            ),
        );
        out = node(
            out,
            "3",
            "conv2d of 0, 2 and 1: the response ŷ",
            "[1, 1, 6, 7]",
            formula(
                "ŷ[i, j] = w₁ · x[i, j] + w₂ · x[i, j + 1] + b",
                &format!("ŷ[0, 1] = {w0} · 1 + {} · 0 + {} = {}", bracketed(&w1), bracketed(&b), n(y_hat[1])),
            )
            .then(&matrix("ŷ", &self.response.value)),
            formula("dŷ = dd · 1", &format!("dŷ[0, 1] = {} · 1 = {}", n(g_d[1]), n(g_hat[1])))
                .then(&matrix("dŷ", &self.response.gradient)),
        );
        out = node(out, "4", "input y, the true response", "[1, 1, 6, 7]", matrix("y", &task.y), text(none));
        out = node(
            out,
            "5",
            "sub of 3 and 4: the difference d",
            "[1, 1, 6, 7]",
            formula(
                "d = ŷ − y",
                &format!("d[0, 1] = {} − {} = {}", n(y_hat[1]), bracketed(&n(y[1])), n(d[1])),
            )
            .then(&matrix("d", &self.difference.value)),
            formula(
                "dd = ds · 2 d",
                &format!("dd[0, 1] = {} · 2 · {} = {}", n(g_s[1]), bracketed(&n(d[1])), n(g_d[1])),
            )
            .then(&matrix("dd", &self.difference.gradient)),
        );
        out = node(
            out,
            "6",
            "square of 5: s",
            "[1, 1, 6, 7]",
            formula("s = d²", &format!("s[0, 1] = {0} · {0} = {1}", bracketed(&n(d[1])), n(s[1])))
                .then(&matrix("s", &self.square.value)),
            formula("ds = dL, at every place", &format!("ds[0, 1] = {}", n(g_s[1])))
                .then(&matrix("ds", &self.square.gradient)),
        );
        let loss = n(self.loss.value.item());
        out = node(
            out,
            "7",
            "sum of 6: the loss L",
            "[]",
            formula("L = Σ s[i, j]", &format!("Six equal rows: 6 · ({}) = {loss}", sum(&all, &s))),
            formula("dL = 1", "The derivative of the loss by itself. Here backward begins."),
        );
        let lr_text = minus(&lr.to_string());
        let step = |name: &str, from: f32, by: f32| {
            let to = n(from - lr * by);
            format!("{name} = {} − {lr_text} · {} = {to}", n(from), bracketed(&n(by)))
        };
        let Kernel { weight, bias } = self.kernel;
        let update = [
            step("w₁", weight[0], self.gradient.weight[0]),
            step("w₂", weight[1], self.gradient.weight[1]),
            step("b", bias, self.gradient.bias),
        ];
        Html::new()
            .raw("<ol class=\"walk\" start=\"0\">\n")
            .then(&out)
            .raw("</ol>\n")
            .heading("And the step itself")
            .paragraph("Each parameter goes against its gradient, by the learning rate times as much:")
            .preformatted(&update.join("\n"))
    }
}

/// A node of the tape: its head, and two columns.
fn node(out: Html, id: &str, op: &str, shape: &str, forward: Html, backward: Html) -> Html {
    let head = format!("{op} {shape}");
    out.raw(&format!("<li id=\"node{id}\">\n"))
        .raw(&format!(
            "<h3><span class=\"id\">{id}</span> {}</h3>\n<div class=\"ways\">\n<div>\n",
            Escaped(&head)
        ))
        .raw("<p class=\"way\"><span aria-hidden=\"true\">↓ </span>forward</p>\n")
        .then(&forward)
        .raw("</div>\n<div>\n<p class=\"way\"><span aria-hidden=\"true\">↑ </span>backward</p>\n")
        .then(&backward)
        .raw("</div>\n</div>\n</li>\n")
}

fn text(text: &str) -> Html {
    Html::new().raw("<div class=\"quiet\">").paragraph(text).raw("</div>\n")
}

/// A formula, and the same with numbers.
fn formula(formula: &str, by_hand: &str) -> Html {
    let out = Html::new().raw("<div class=\"formula\">").paragraph(formula).raw("</div>\n");
    if by_hand.is_empty() { out } else { out.then(&text(by_hand)) }
}

/// All elements of a picture, under the numbers of their columns.
fn matrix(name: &str, values: &Tensor) -> Html {
    let shape = values.shape();
    let columns = shape[shape.len() - 1];
    let head: Vec<String> = (0..columns).map(|j| j.to_string()).collect();
    let head: Vec<&str> = ["i \\ j"].into_iter().chain(head.iter().map(String::as_str)).collect();
    let values = values.to_vec();
    let is_whole = values.iter().all(|value| value.fract() == 0.0);
    let rows = values.chunks(columns).enumerate().map(|(i, row)| {
        let row = row.iter().map(|&value| number(f64::from(value), if is_whole { 0 } else { 4 }));
        [i.to_string()].into_iter().chain(row).collect::<Vec<_>>()
    });
    let caption = format!("{name}[i, j]");
    Html::new().raw("<div class=\"matrix\">\n").table(&caption, &head, rows).raw("</div>\n")
}

/// A number as a factor or a part of a sum: in brackets if it is negative.
fn bracketed(number: &str) -> String {
    if number.starts_with('−') { format!("({number})") } else { number.to_string() }
}
