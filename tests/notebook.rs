//! The notebook, cell by cell: its lines in Rust, and the numbers that it prints.
//!
//! Put both side by side. Where the notebook prints a tensor, the text is compared; its integer tensors print as floats here.

use tapegrad::nn::{BatchNorm, Conv2d, Init, LeNet, MaxPool2d, Module, lenet_batch_norm};
use tapegrad::{Param, Tape, Tensor};

/// Cell 3. The loops are the definition; everything fast in the crate is held against such loops.
fn corr2d(x: &Tensor, k: &Tensor) -> Tensor {
    let (h, w) = (k.size(0), k.size(1));
    let (rows, columns) = (x.size(0) - h + 1, x.size(1) - w + 1);
    let mut y = Tensor::zeros([rows, columns]);
    for i in 0..rows {
        for j in 0..columns {
            let window = x.slice(0, i..i + h).slice(1, j..j + w);
            y.data_mut()[i * columns + j] = (&window * k).sum().item();
        }
    }
    y
}

#[test]
fn cell_04_corr2d() {
    let x = Tensor::new([[0., 1., 2.], [3., 4., 5.], [6., 7., 8.]]);
    let k = Tensor::new([[0., 1.], [2., 3.]]);
    let want = "\
tensor([[19., 25.],
        [37., 43.]])";
    assert_eq!(corr2d(&x, &k).to_string(), want);
}

/// Cell 6.
fn picture() -> Tensor {
    let mut x = Tensor::ones([6, 8]);
    x.data_mut().chunks_exact_mut(8).for_each(|row| row[2..6].fill(0.0));
    x
}

#[test]
fn cell_06_the_picture() {
    let want = "\
tensor([[1., 1., 0., 0., 0., 0., 1., 1.],
        [1., 1., 0., 0., 0., 0., 1., 1.],
        [1., 1., 0., 0., 0., 0., 1., 1.],
        [1., 1., 0., 0., 0., 0., 1., 1.],
        [1., 1., 0., 0., 0., 0., 1., 1.],
        [1., 1., 0., 0., 0., 0., 1., 1.]])";
    assert_eq!(picture().to_string(), want);
}

#[test]
fn cells_07_and_08_the_kernel() {
    let k = Tensor::new([[1., -1.]]);
    assert_eq!(k.to_string(), "tensor([[ 1., -1.]])");
    assert_eq!(k.shape().to_string(), "[1, 2]");
}

#[test]
fn cell_09_the_response() {
    let y = corr2d(&picture(), &Tensor::new([[1., -1.]]));
    let want = "\
tensor([[ 0.,  1.,  0.,  0.,  0., -1.,  0.],
        [ 0.,  1.,  0.,  0.,  0., -1.,  0.],
        [ 0.,  1.,  0.,  0.,  0., -1.,  0.],
        [ 0.,  1.,  0.,  0.,  0., -1.,  0.],
        [ 0.,  1.,  0.,  0.,  0., -1.,  0.],
        [ 0.,  1.,  0.,  0.,  0., -1.,  0.]])";
    assert_eq!(y.to_string(), want);
}

/// Cells 5, 10 and 11: the notebook's own `Conv2D`, with weight and bias from N(0, 1), learned by hand.
#[test]
fn cells_10_and_11_the_kernel_is_learned() {
    let x = picture().reshape([1, 1, 6, 8]);
    let y = corr2d(&picture(), &Tensor::new([[1., -1.]])).reshape([1, 1, 6, 7]);
    for seed in 0..10 {
        let mut init = Init::new(seed);
        let mut weight = Param::new(init.randn([1, 1, 1, 2]));
        let mut bias = Param::new(init.randn([1]));
        let lr = 0.01;
        let mut losses = vec![];
        for _ in 0..20 {
            let tape = Tape::training();
            let conv =
                tape.input(&x).conv2d(tape.param(&weight), Some(tape.param(&bias)), &Default::default());
            let loss = (conv - tape.input(&y)).square().sum();
            losses.push(loss.item());
            let grads = loss.backward();
            weight.add_scaled(-lr, &grads[&weight]);
            bias.add_scaled(-lr, &grads[&bias]);
        }
        // The notebook's run: 15.816, 3.951, 1.050, 0.287 at steps 5, 10, 15, 20. The loss falls at every step; from step 5 on by a factor
        // of about 4 in five steps, which the Hessian's smallest eigenvalue fixes whatever the start.
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "seed {seed}: {losses:?}");
        for step in [10, 15, 20] {
            let factor = losses[step - 6] / losses[step - 1];
            assert!((2.0..6.0).contains(&factor), "seed {seed}: by {factor} before step {step}");
        }
        assert!(losses[19] < 1.0, "seed {seed}: {}", losses[19]);
        let (weight, bias) = (weight.value().to_vec(), bias.value().item());
        assert!((weight[0] - 1.0).abs() < 0.3 && (weight[1] + 1.0).abs() < 0.3, "seed {seed}: {weight:?}");
        assert!(bias.abs() < 0.1, "seed {seed}: {bias}");
    }
}

/// Cell 12.
fn comp_conv2d(conv2d: &Conv2d, x: &Tensor) -> Tensor {
    let x = x.view([1, 1, x.size(0), x.size(1)]);
    let y = conv2d.forward(Tape::inference().input(&x)).value();
    y.view([y.size(2), y.size(3)])
}

#[test]
fn cells_12_to_15_padding_and_stride() {
    let (x, mut init) = (picture(), Init::new(0));
    let conv2d = Conv2d::new(1, 1, 3, &mut init).padding(1);
    assert_eq!(comp_conv2d(&conv2d, &x).shape(), [6, 8]);
    let conv2d = Conv2d::new(1, 1, (5, 3), &mut init).padding((2, 1));
    assert_eq!(comp_conv2d(&conv2d, &x).shape(), [6, 8]);
    let conv2d = Conv2d::new(1, 1, 3, &mut init).padding(1).stride(2);
    assert_eq!(comp_conv2d(&conv2d, &x).shape(), [3, 4]);
    let conv2d = Conv2d::new(1, 1, (3, 5), &mut init).padding((0, 1)).stride((3, 4));
    assert_eq!(comp_conv2d(&conv2d, &x).shape(), [2, 2]);
}

/// Cell 16.
fn corr2d_multi_in(x: &Tensor, k: &Tensor) -> Tensor {
    let mut res = corr2d(&x.select(0, 0), &k.select(0, 0));
    for i in 1..x.size(0) {
        res = &res + &corr2d(&x.select(0, i), &k.select(0, i));
    }
    res
}

/// Cell 19.
fn corr2d_multi_in_out(x: &Tensor, k: &Tensor) -> Tensor {
    let each: Vec<Tensor> = (0..k.size(0)).map(|o| corr2d_multi_in(x, &k.select(0, o))).collect();
    Tensor::stack(&each.iter().collect::<Vec<_>>(), 0)
}

/// Cell 17.
fn two_channels() -> (Tensor, Tensor) {
    let x =
        Tensor::new([[[0., 1., 2.], [3., 4., 5.], [6., 7., 8.]], [[1., 2., 3.], [4., 5., 6.], [7., 8., 9.]]]);
    let k = Tensor::new([[[0., 1.], [2., 3.]], [[1., 2.], [3., 4.]]]);
    (x, k)
}

#[test]
fn cells_17_and_18_input_channels() {
    let (x, k) = two_channels();
    let want = "\
tensor([[ 56.,  72.],
        [104., 120.]])";
    assert_eq!(corr2d_multi_in(&x, &k).to_string(), want);
    assert_eq!(format!("{} {}", x.shape(), k.shape()), "[2, 3, 3] [2, 2, 2]");
}

#[test]
fn cells_20_and_21_output_channels() {
    let (x, k) = two_channels();
    let k = Tensor::stack(&[&k, &(&k + 1.0), &(&k + 2.0)], 0);
    assert_eq!(k.shape(), [3, 2, 2, 2]);
    let want = "\
tensor([[[ 56.,  72.],
         [104., 120.]],

        [[ 76., 100.],
         [148., 172.]],

        [[ 96., 128.],
         [192., 224.]]])";
    assert_eq!(corr2d_multi_in_out(&x, &k).to_string(), want);
    // The crate's own convolution says the same.
    let tape = Tape::inference();
    let y = tape.input(&x.unsqueeze(0)).conv2d(tape.input(&k), None, &Default::default()).value();
    assert_eq!(y.squeeze(0).to_string(), want);
}

/// Cell 22.
fn corr2d_multi_in_out_1x1(x: &Tensor, k: &Tensor) -> Tensor {
    let (c_i, h, w) = (x.size(0), x.size(1), x.size(2));
    let c_o = k.size(0);
    let x = x.view([c_i, h * w]);
    let k = k.view([c_o, c_i]);
    k.matmul(&x).view([c_o, h, w])
}

#[test]
fn cell_23_a_1x1_convolution_is_a_matrix_product() {
    let mut init = Init::new(0);
    let x = init.rand([3, 3, 3]);
    let k = init.rand([2, 3, 1, 1]);
    let y1 = corr2d_multi_in_out_1x1(&x, &k);
    let y2 = corr2d_multi_in_out(&x, &k);
    assert!((&y1 - &y2).norm().item() < 1e-6);
    assert!(y1.norm().item() > 0.1, "the comparison means something");
}

/// Cell 24.
fn pool2d(x: &Tensor, (p_h, p_w): (usize, usize), mode: &str) -> Tensor {
    let (rows, columns) = (x.size(0) - p_h + 1, x.size(1) - p_w + 1);
    let mut y = Tensor::zeros([rows, columns]);
    for i in 0..rows {
        for j in 0..columns {
            let window = x.slice(0, i..i + p_h).slice(1, j..j + p_w);
            let pooled = if mode == "max" { window.max() } else { window.mean() };
            y.data_mut()[i * columns + j] = pooled.item();
        }
    }
    y
}

#[test]
fn cells_25_and_26_pooling() {
    let x = Tensor::new([[0., 1., 2.], [3., 4., 5.], [6., 7., 8.]]);
    let max = "\
tensor([[4., 5.],
        [7., 8.]])";
    let avg = "\
tensor([[2., 3.],
        [5., 6.]])";
    assert_eq!(pool2d(&x, (2, 2), "max").to_string(), max);
    assert_eq!(pool2d(&x, (2, 2), "avg").to_string(), avg);
    // The crate's own pooling, with windows one apart as in the loops.
    let x = x.unsqueeze(0).unsqueeze(0);
    let tape = Tape::inference();
    let y = tapegrad::nn::MaxPool2d::new(2).stride(1).forward(tape.input(&x)).value();
    assert_eq!(y.view([2, 2]).to_string(), max);
    let y = tapegrad::nn::AvgPool2d::new(2).stride(1).forward(tape.input(&x)).value();
    assert_eq!(y.view([2, 2]).to_string(), avg);
}

#[test]
fn cells_27_to_29_pooling_with_padding_and_stride() {
    let x = Tensor::arange(16).view([1, 1, 4, 4]);
    let want = "\
tensor([[[[ 0.,  1.,  2.,  3.],
          [ 4.,  5.,  6.,  7.],
          [ 8.,  9., 10., 11.],
          [12., 13., 14., 15.]]]])";
    assert_eq!(x.to_string(), want);
    let tape = Tape::inference();
    let pool2d = MaxPool2d::new(3); // the stride is the kernel
    assert_eq!(pool2d.forward(tape.input(&x)).value().to_string(), "tensor([[[[10.]]]])");
    let pool2d = MaxPool2d::new(3).padding(1).stride(2);
    let want = "\
tensor([[[[ 5.,  7.],
          [13., 15.]]]])";
    assert_eq!(pool2d.forward(tape.input(&x)).value().to_string(), want);
}

#[test]
fn cells_30_and_31_pooling_of_channels() {
    let x = Tensor::arange(16).view([1, 1, 4, 4]);
    let x = Tensor::cat(&[&x, &(&x + 1.0)], 1);
    let want = "\
tensor([[[[ 0.,  1.,  2.,  3.],
          [ 4.,  5.,  6.,  7.],
          [ 8.,  9., 10., 11.],
          [12., 13., 14., 15.]],

         [[ 1.,  2.,  3.,  4.],
          [ 5.,  6.,  7.,  8.],
          [ 9., 10., 11., 12.],
          [13., 14., 15., 16.]]]])";
    assert_eq!(x.to_string(), want);
    let pool2d = MaxPool2d::new(3).padding(1).stride(2);
    let want = "\
tensor([[[[ 5.,  7.],
          [13., 15.]],

         [[ 6.,  8.],
          [14., 16.]]]])";
    assert_eq!(pool2d.forward(Tape::inference().input(&x)).value().to_string(), want);
}

/// Cell 37, from primitive ops.
fn batch_norm(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    moving: &mut [Tensor; 2],
    eps: f32,
    momentum: f32,
) -> Tensor {
    let axes: &[isize] = if x.rank() == 2 { &[0] } else { &[0, 2, 3] };
    let mean = x.mean_axes(axes, true);
    let var = (x - &mean).square().mean_axes(axes, true);
    let x_hat = (x - &mean) / (&var + eps).sqrt();
    moving[0] = &moving[0] * momentum + &mean * (1.0 - momentum);
    moving[1] = &moving[1] * momentum + &var * (1.0 - momentum);
    &(gamma * &x_hat) + beta
}

#[test]
fn cells_37_and_38_batch_norm_from_scratch() {
    for (shape, features) in [(&[7, 3][..], &[1, 3][..]), (&[5, 3, 4, 6], &[1, 3, 1, 1])] {
        let mut init = Init::new(1);
        let mut layer = BatchNorm::new(3, shape.len());
        layer.gamma.set(&init.rand(features));
        layer.beta.set(&init.rand(features));
        let mut moving = [Tensor::zeros(features), Tensor::zeros(features)];
        for _ in 0..3 {
            let x = init.randn(shape);
            let y = layer.forward(Tape::training().input(&x)).value();
            let want = batch_norm(&x, layer.gamma.value(), layer.beta.value(), &mut moving, 1e-5, 0.9);
            assert!((&y - &want).abs().max().item() < 2e-6);
        }
        assert!((&layer.moving_mean.value() - &moving[0]).abs().max().item() < 1e-6);
        assert!((&layer.moving_var.value() - &moving[1]).abs().max().item() < 1e-6);
        // For use, the moving statistics take the place of the batch's.
        let x = init.randn(shape);
        let y = layer.forward(Tape::inference().input(&x)).value();
        let x_hat = (&x - &moving[0]) / (&moving[1] + 1e-5).sqrt();
        let want = &(layer.gamma.value() * &x_hat) + layer.beta.value();
        assert!((&y - &want).abs().max().item() < 2e-6);
    }
}

/// Cell 39: the layers in the notebook's order.
#[test]
fn cell_39_lenet_with_batch_norm() {
    let net = lenet_batch_norm(&mut Init::new(0)).to_string();
    let layers: Vec<&str> =
        net.lines().filter_map(|line| line.split(": ").nth(1)?.split('(').next()).collect();
    let want = "Conv2d BatchNorm Sigmoid MaxPool2d Conv2d BatchNorm Sigmoid MaxPool2d Flatten \
                Linear BatchNorm Sigmoid Linear BatchNorm Sigmoid Linear";
    assert_eq!(layers.join(" "), want);
}

#[test]
fn cells_42_and_43_lenet_printed() {
    let want = "\
LeNet(
  (conv): Sequential(
    (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
    (1): Sigmoid()
    (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    (3): Conv2d(6, 16, kernel_size=(5, 5), stride=(1, 1))
    (4): Sigmoid()
    (5): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  )
  (fc): Sequential(
    (0): Linear(in_features=256, out_features=120, bias=True)
    (1): Sigmoid()
    (2): Linear(in_features=120, out_features=84, bias=True)
    (3): Sigmoid()
    (4): Linear(in_features=84, out_features=10, bias=True)
  )
)";
    let net = LeNet::new(&mut Init::new(0));
    assert_eq!(net.to_string(), want);
    // The forward of cell 42: ten logits for each image.
    assert_eq!(net.forward(Tape::inference().input(&Tensor::zeros([3, 1, 28, 28]))).shape(), [3, 10]);
}
