//! Tensors: views against plain index arithmetic, writes that nobody else sees, and printing as PyTorch prints. What wrong calls say is
//! in `misuse/tensor.rs`.

mod oracle;

use oracle::golden;
use tapegrad::Tensor;

/// A view as a function from an index to the number that must be there, checked element by element.
#[track_caller]
fn check(view: &Tensor, shape: &[usize], want: impl Fn(&[usize]) -> f32) {
    assert_eq!(view.shape()[..], *shape);
    let flat = view.to_vec();
    for (at, &got) in flat.iter().enumerate() {
        let mut index = vec![0; shape.len()];
        let mut rest = at;
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        assert_eq!(got, want(&index), "at {index:?} of {shape:?}");
    }
}

#[test]
fn views_show_the_right_numbers() {
    // The element at (i, j, k) is 100 i + 10 j + k, so each number says where it comes from.
    let mut x = Tensor::empty([4, 3, 5]);
    for (at, value) in x.data_mut().iter_mut().enumerate() {
        *value = (at / 15 * 100 + at / 5 % 3 * 10 + at % 5) as f32;
    }
    let at = |i: usize, j: usize, k: usize| (100 * i + 10 * j + k) as f32;
    check(&x.transpose(0, 2), &[5, 3, 4], |i| at(i[2], i[1], i[0]));
    check(&x.permute(&[1, 2, 0]), &[3, 5, 4], |i| at(i[2], i[0], i[1]));
    check(&x.narrow(1, 1, 2), &[4, 2, 5], |i| at(i[0], i[1] + 1, i[2]));
    check(&x.slice(-1, 2..), &[4, 3, 3], |i| at(i[0], i[1], i[2] + 2));
    check(&x.select(1, 2), &[4, 5], |i| at(i[0], 2, i[1]));
    check(&x.unsqueeze(1), &[4, 1, 3, 5], |i| at(i[0], i[2], i[3]));
    check(&x.unsqueeze(-1).squeeze(-1), &[4, 3, 5], |i| at(i[0], i[1], i[2]));
    check(&x.select(0, 1).expand([2, 3, 5]), &[2, 3, 5], |i| at(1, i[1], i[2]));
    check(&x.unfold(2, 3, 2), &[4, 3, 2, 3], |i| at(i[0], i[1], 2 * i[2] + i[3]));
    check(&x.reshape([12, 5]), &[12, 5], |i| at(i[0] / 3, i[0] % 3, i[1]));
    check(&x.flatten(1), &[4, 15], |i| at(i[0], i[1] / 5, i[1] % 5));
    // Chains, over strides that no single view has; the reshape at the end copies.
    let chain = x.transpose(0, 1).slice(1, 1..4).unfold(2, 2, 3);
    check(&chain, &[3, 3, 2, 2], |i| at(i[1] + 1, i[0], 3 * i[2] + i[3]));
    check(&chain.reshape([9, 4]), &[9, 4], |i| at(i[0] % 3 + 1, i[0] / 3, 3 * (i[1] / 2) + i[1] % 2));
    check(&chain.contiguous(), &[3, 3, 2, 2], |i| at(i[1] + 1, i[0], 3 * i[2] + i[3]));
    // A batch of patches, as im2col sees them.
    let patches = x.unfold(1, 2, 1).unfold(2, 2, 1);
    check(&patches, &[4, 2, 4, 2, 2], |i| at(i[0], i[1] + i[3], i[2] + i[4]));
}

#[test]
fn sizes_of_zero_and_one() {
    let empty = Tensor::zeros([2, 0, 3]);
    assert_eq!((empty.numel(), empty.transpose(0, 1).to_vec().len()), (0, 0));
    assert_eq!(empty.reshape([0, 7]).shape(), [0, 7]);
    assert_eq!(Tensor::scalar(3.0).reshape([1, 1]).squeeze(0).item(), 3.0);
    assert_eq!(Tensor::arange(3).narrow(0, 3, 0).to_vec(), [0.0; 0]);
}

#[test]
fn a_write_is_never_seen_through_another_tensor() {
    let x = Tensor::arange(6).reshape([2, 3]);
    let (mut copy, row) = (x.clone(), x.select(0, 1));
    copy.data_mut()[0] = 9.0;
    assert_eq!(x.to_vec(), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(row.to_vec(), [3., 4., 5.]);
    let mut transposed = x.t();
    transposed.data_mut()[1] = 9.0;
    assert_eq!(transposed.to_vec(), [0., 9., 1., 4., 2., 5.]);
    assert_eq!(x.to_vec(), [0., 1., 2., 3., 4., 5.]);
}

#[test]
fn joining() {
    let (a, b) = (Tensor::arange(4).reshape([2, 2]), Tensor::arange(2).reshape([2, 1]));
    assert_eq!(Tensor::cat(&[&a, &b.expand([2, 3])], 1).to_vec(), [0., 1., 0., 0., 0., 2., 3., 1., 1., 1.]);
    assert_eq!(Tensor::stack(&[&a, &a.t()], -1).to_vec(), [0., 0., 1., 2., 2., 1., 3., 3.]);
}

#[test]
fn printing_is_pytorchs() {
    let cases = golden::printed();
    assert!(cases.len() > 50);
    for case in cases {
        let tensor = Tensor::from_slice(&case.tensor.single, &case.tensor.shape);
        assert_eq!(tensor.to_string(), case.text, "{}", case.tensor.name);
    }
}
