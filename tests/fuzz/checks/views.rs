//! Chains of views on a tensor, held against a model that has no strides: a list of numbers in row-major order, from
//! which each view takes the element at an index that is computed for every element anew.
//!
//! The input is a program: a shape, then steps with their arguments. Arguments are folded into what is allowed, so every
//! input is a valid program; what wrong arguments do is in tests/misuse/.

use tapegrad::Tensor;
use tapegrad::tensor::MAX_RANK;

/// More elements than this no step makes. An axis of length 0 counts as 1: beside one, the others would grow step by step
/// until counting along them takes seconds.
const MOST: usize = 256;

fn is_large(shape: &[usize]) -> bool {
    shape.iter().map(|&dim| dim.max(1)).product::<usize>() > MOST
}

/// Longer chains are cut off.
const STEPS: usize = 24;

pub fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let shape: Vec<usize> = (0..input.below(5)).map(|_| input.below(20)).collect();
    if is_large(&shape) {
        return;
    }
    let mut model = Model::new(shape);
    let mut tensor = Tensor::from_slice(&model.values, model.shape.as_slice());
    model.check(&tensor, "at the start");
    for _ in 0..STEPS {
        let Some(step) = input.next() else { break };
        let name = apply(step, &mut input, &mut tensor, &mut model);
        model.check(&tensor, name);
    }
}

/// The rest of the input.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A number below `end`; 0 where the input has ended.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.next().unwrap_or(0)) % end
    }

    /// An axis of so many, as PyTorch counts them: also from the end.
    fn axis(&mut self, rank: usize) -> (usize, isize) {
        let number = self.below(2 * rank);
        let axis = number % rank;
        (axis, if number < rank { axis as isize } else { axis as isize - rank as isize })
    }
}

/// A tensor without strides.
struct Model {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Model {
    fn new(shape: Vec<usize>) -> Model {
        let count: usize = shape.iter().product();
        Model { shape, values: (0..count).map(|i| i as f32).collect() }
    }

    fn at(&self, index: &[usize]) -> f32 {
        assert!(index.iter().zip(&self.shape).all(|(i, dim)| i < dim), "{index:?} in {:?}", self.shape);
        self.values[index.iter().zip(&self.shape).fold(0, |place, (i, dim)| place * dim + i)]
    }

    /// Another shape, whose element at an index is the one of this model at `from(index)`.
    /// `from` is given an empty list to put the old index in.
    fn gather(&mut self, shape: Vec<usize>, from: impl Fn(&[usize], &mut Vec<usize>)) {
        let (mut values, mut old) = (Vec::new(), Vec::new());
        for_each_index(&shape, |index| {
            old.clear();
            from(index, &mut old);
            values.push(self.at(&old));
        });
        *self = Model { shape, values };
    }

    /// Whether a tensor is this model: by its strides, and copied into order.
    fn check(&self, tensor: &Tensor, name: &str) {
        assert_eq!(tensor.shape()[..], self.shape[..], "{name}");
        assert_eq!(tensor.numel(), self.values.len(), "{name}");
        assert_eq!(tensor.to_vec(), self.values, "{name}: in order");
        let (storage, strides) = (tensor.storage(), tensor.strides());
        let mut by_strides = Vec::new();
        for_each_index(&self.shape, |index| {
            let place: usize = index.iter().zip(strides.iter()).map(|(i, stride)| i * stride).sum();
            by_strides.push(storage[place]);
        });
        assert_eq!(by_strides, self.values, "{name}: by strides {strides}");
        if tensor.is_contiguous() {
            assert_eq!(tensor.data(), self.values, "{name}: where it lies");
        }
    }
}

/// All indices of a shape, the last axis fastest.
fn for_each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    fn rest(shape: &[usize], index: &mut Vec<usize>, visit: &mut dyn FnMut(&[usize])) {
        if index.len() == shape.len() {
            return visit(index);
        }
        for i in 0..shape[index.len()] {
            index.push(i);
            rest(shape, index, visit);
            index.pop();
        }
    }
    // An empty shape may have long axes before the one that is 0.
    if !shape.contains(&0) {
        rest(shape, &mut Vec::new(), &mut visit);
    }
}

/// One step on both; steps that are not possible do nothing. Returns its name.
fn apply(step: u8, input: &mut Input, tensor: &mut Tensor, model: &mut Model) -> &'static str {
    let rank = model.shape.len();
    match step % 12 {
        0 => {
            let shape = another_shape(input, model.values.len());
            *tensor = tensor.reshape(shape.as_slice());
            model.shape = shape;
            "reshape"
        }
        1 if rank > 0 => {
            let ((a, axis0), (b, axis1)) = (input.axis(rank), input.axis(rank));
            *tensor = tensor.transpose(axis0, axis1);
            let mut shape = model.shape.clone();
            shape.swap(a, b);
            model.gather(shape, |index, from| {
                from.extend(index);
                from.swap(a, b);
            });
            "transpose"
        }
        2 => {
            // Each axis takes one of those that are left.
            let mut left: Vec<usize> = (0..rank).collect();
            let order: Vec<usize> = (0..rank).map(|_| left.remove(input.below(left.len()))).collect();
            *tensor = tensor.permute(&order);
            let shape = order.iter().map(|&axis| model.shape[axis]).collect();
            model.gather(shape, |index, from| {
                from.resize(rank, 0);
                order.iter().zip(index).for_each(|(&axis, &i)| from[axis] = i);
            });
            "permute"
        }
        3 if rank > 0 => {
            let (a, axis) = input.axis(rank);
            let start = input.below(model.shape[a] + 1);
            let length = input.below(model.shape[a] - start + 1);
            *tensor = match input.below(2) {
                0 => tensor.narrow(axis, start, length),
                _ => tensor.slice(axis, start..start + length),
            };
            let mut shape = model.shape.clone();
            shape[a] = length;
            model.gather(shape, |index, from| {
                from.extend(index);
                from[a] += start;
            });
            "narrow"
        }
        4 if rank > 0 => {
            let (a, axis) = input.axis(rank);
            if model.shape[a] == 0 {
                return "no select";
            }
            let chosen = input.below(model.shape[a]);
            *tensor = tensor.select(axis, chosen);
            let mut shape = model.shape.clone();
            shape.remove(a);
            model.gather(shape, |index, from| {
                from.extend(index);
                from.insert(a, chosen);
            });
            "select"
        }
        5 => {
            let more = input.below(MAX_RANK - rank + 1).min(2);
            let mut shape: Vec<usize> = (0..more).map(|_| input.below(4)).collect();
            for &dim in &model.shape {
                shape.push(if dim == 1 { input.below(6) } else { dim });
            }
            if is_large(&shape) {
                return "no expand";
            }
            *tensor = tensor.expand(shape.as_slice());
            let old = model.shape.clone();
            model.gather(shape, |index, from| {
                let index = index[more..].iter().zip(&old);
                from.extend(index.map(|(&i, &dim)| if dim == 1 { 0 } else { i }));
            });
            "expand"
        }
        6 if rank > 0 && rank < MAX_RANK => {
            let (a, axis) = input.axis(rank);
            let size = input.below(model.shape[a] + 1);
            let by = 1 + input.below(5);
            let mut shape = model.shape.clone();
            // Counted, not computed.
            shape[a] = (0..).step_by(by).take_while(|start| start + size <= model.shape[a]).count();
            shape.push(size);
            if is_large(&shape) {
                return "no unfold";
            }
            *tensor = tensor.unfold(axis, size, by);
            model.gather(shape, |index, from| {
                from.extend(&index[..rank]);
                from[a] = from[a] * by + index[rank];
            });
            "unfold"
        }
        7 => {
            *tensor = tensor.contiguous();
            assert!(tensor.is_contiguous());
            "contiguous"
        }
        8 if rank < MAX_RANK => {
            let place = input.below(rank + 1);
            *tensor = match input.below(2) {
                0 => tensor.unsqueeze(place as isize),
                _ => tensor.unsqueeze(place as isize - rank as isize - 1),
            };
            model.shape.insert(place, 1);
            "unsqueeze"
        }
        9 => {
            let Some(a) = model.shape.iter().position(|&dim| dim == 1) else { return "no squeeze" };
            *tensor = tensor.squeeze(a as isize);
            model.shape.remove(a);
            "squeeze"
        }
        10 if rank > 0 => {
            let (a, axis) = input.axis(rank);
            *tensor = tensor.flatten(axis);
            let rest = model.shape.split_off(a);
            model.shape.push(rest.iter().product());
            "flatten"
        }
        11 if !model.values.is_empty() => {
            let place = input.below(model.values.len());
            let value = -1.0 - f32::from(input.next().unwrap_or(0));
            let other = tensor.clone();
            tensor.data_mut()[place] = value;
            model.check(&other, "written through another tensor");
            model.values[place] = value;
            "data_mut"
        }
        _ => "nothing",
    }
}

/// A shape with so many elements.
fn another_shape(input: &mut Input, mut count: usize) -> Vec<usize> {
    let mut shape = Vec::new();
    if count == 0 {
        // Anything with a zero in it.
        shape = (0..input.below(MAX_RANK)).map(|_| input.below(3)).collect();
        shape.insert(input.below(shape.len() + 1), 0);
        return shape;
    }
    while shape.len() < MAX_RANK - 1 && (count > 1 || input.below(3) == 1) {
        let divisors: Vec<usize> = (1..=count).filter(|d| count.is_multiple_of(*d)).collect();
        let divisor = divisors[input.below(divisors.len())];
        shape.push(divisor);
        count /= divisor;
    }
    if count > 1 || input.below(2) == 1 {
        shape.push(count);
    }
    shape
}
