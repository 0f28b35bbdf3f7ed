"""JAX trains LeNet: `jax_lenet.py lenet|lenet-batch-norm`.

A step is one compiled function; the data is on the device. Channels come last and pooling is a maximum over a reshaped axis: the
fastest of both layouts and of both ways to pool (a reduced window is the other).
"""

import sys

import jax
import jax.numpy as jnp
import numpy

import fashion_mnist
from protocol import serve_trainer

BATCH = 256
FEATURES = (6, 16, 120, 84)  # of the layers with an activation


def first_parameters(batch_norm):
    """PyTorch's first values: uniform, within one over the root of a unit's number of inputs."""
    random = numpy.random.default_rng(0)

    def layer(*shape):
        bound = numpy.prod(shape[:-1]) ** -0.5
        return tuple(
            jnp.asarray(random.uniform(-bound, bound, size), jnp.float32) for size in (shape, shape[-1:])
        )

    layers = [layer(5, 5, 1, 6), layer(5, 5, 6, 16), layer(256, 120), layer(120, 84), layer(84, 10)]
    norms = [(jnp.ones(count), jnp.zeros(count)) for count in FEATURES] if batch_norm else []
    return {"layers": layers, "norms": norms}


def normalise(x, parameters, moving, training):
    """Batch norm over all axes but the last, and the moving statistics after it."""
    scale, shift = parameters
    mean, variance = moving
    if training:
        axes = tuple(range(x.ndim - 1))
        count = x.size // x.shape[-1]
        batch_mean, batch_variance = x.mean(axes), x.var(axes)
        moving = (0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance * count / (count - 1))
        mean, variance = batch_mean, batch_variance
    return (x - mean) * (scale * jax.lax.rsqrt(variance + 1e-5)) + shift, moving


def forward(parameters, moving, images, training):
    """The logits, and the moving statistics after them."""
    layers, norms, after = parameters["layers"], parameters["norms"], []

    def activate(x, layer):
        if norms:
            x, statistics = normalise(x, norms[layer], moving[layer], training)
            after.append(statistics)
        return jax.nn.sigmoid(x)

    def convolve(x, layer):
        weight, bias = layers[layer]
        x = jax.lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = activate(x + bias, layer)
        n, height, width, channels = x.shape
        return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))

    x = convolve(convolve(images, 0), 1).reshape(len(images), -1)
    for layer in (2, 3):
        x = activate(x @ layers[layer][0] + layers[layer][1], layer)
    return x @ layers[4][0] + layers[4][1], after


def loss_function(parameters, moving, images, labels):
    logits, moving = forward(parameters, moving, images, training=True)
    loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()
    return loss, (moving, (logits.argmax(1) == labels).sum())


def step(state, images, labels, chosen):
    """Gradients and Adam, as one function: the new state, the loss and the number of right answers."""
    parameters, moving, first, second, time_step = state
    (loss, (moving, correct)), gradients = jax.value_and_grad(loss_function, has_aux=True)(
        parameters, moving, images[chosen], labels[chosen]
    )
    time_step += 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
    first_scale, second_scale = 1 - 0.9**time_step, 1 - 0.999**time_step

    def update(p, m, v):
        return p - 0.001 * (m / first_scale) / (jnp.sqrt(v / second_scale) + 1e-8)

    parameters = jax.tree.map(update, parameters, first, second)
    return (parameters, moving, first, second, time_step), loss, correct


def resident(part):
    pixels, labels = fashion_mnist.load(part)
    return jnp.asarray(pixels, jnp.float32)[..., None] / 255, jnp.asarray(labels, jnp.int32)


def main(net_name):
    parameters = first_parameters(batch_norm=net_name == "lenet-batch-norm")
    moving = [(jnp.zeros(count), jnp.ones(count)) for count in FEATURES] if parameters["norms"] else []
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, moving, zeros, jax.tree.map(jnp.copy, zeros), jnp.float32(0))
    images, labels = resident("train")
    test_images, test_labels = resident("t10k")
    compiled_step = jax.jit(step, donate_argnums=0)

    @jax.jit
    def count_correct(parameters, moving, images, labels):
        return (forward(parameters, moving, images, training=False)[0].argmax(1) == labels).sum()

    random = numpy.random.default_rng(0)

    def train(steps):
        nonlocal state
        loss_sum = right = 0
        order = random.permutation(len(images)).astype(numpy.int32)
        for start in fashion_mnist.some(range(0, len(images), BATCH), steps):
            state, loss, correct = compiled_step(state, images, labels, order[start : start + BATCH])
            loss_sum += float(loss)
            right += int(correct)
        jax.block_until_ready(state)
        return loss_sum / steps

    def evaluate():
        correct = 0
        for start in range(0, len(test_images), BATCH):
            part = slice(start, start + BATCH)
            correct += int(count_correct(state[0], state[1], test_images[part], test_labels[part]))
        return correct / len(test_images)

    serve_trainer(train, evaluate)


if __name__ == "__main__":
    main(*sys.argv[1:])
