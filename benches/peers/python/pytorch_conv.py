"""PyTorch's conv2d: `pytorch_conv.py contiguous|channels_last`. Requests as in ../rust/src/conv.rs."""

import sys

import numpy
import torch
import torch.nn.functional

from protocol import seconds, serve


def numbers(*shape):
    """The numbers of ../rust/src/lib.rs."""
    hashed = numpy.arange(numpy.prod(shape), dtype=numpy.uint32) * numpy.uint32(2_654_435_761) >> numpy.uint32(8)
    values = hashed.astype(numpy.float32) / numpy.float32(1 << 23) - numpy.float32(1)
    return torch.from_numpy(values.reshape(shape))


class Convolution:
    """One shape, its inputs in place and in the layout asked for."""

    def __init__(self, shape, layout):
        n, c, size, oc, k, self.stride, self.padding, first = shape
        out = (size + 2 * self.padding - k) // self.stride + 1
        self.images = numbers(n, c, size, size).to(memory_format=layout)
        self.filters = numbers(oc, c, k, k).to(memory_format=layout)
        self.bias = torch.zeros(oc)
        self.gradient = numbers(n, oc, out, out).to(memory_format=layout)
        self.variables = [self.filters.requires_grad_(), self.bias.requires_grad_()]
        if not first:
            self.variables.append(self.images.requires_grad_())

    def output(self):
        return torch.nn.functional.conv2d(self.images, self.filters, self.bias, self.stride, self.padding)

    def forward(self):
        with torch.inference_mode():
            return self.output()

    def both(self):
        return torch.autograd.grad(self.output(), self.variables, self.gradient)

    def filter_gradient(self):
        """The gradient of the filters where the output's gradient is one everywhere."""
        output = self.output()
        return torch.autograd.grad(output, [self.filters], torch.ones_like(output))[0]


def main(layout):
    layout = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[layout]
    cases = {}

    def convolution(shape):
        shape = tuple(shape)
        if shape not in cases:
            cases[shape] = Convolution(shape, layout)
        return cases[shape]

    def answer(request, words):
        if request == "check":
            case = convolution(words)
            return [result.abs().double().sum().item() for result in (case.forward(), case.filter_gradient())]
        repeats, *shape = words
        case = convolution(shape)
        return [seconds(repeats, case.forward if request == "forward" else case.both)]

    serve(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
