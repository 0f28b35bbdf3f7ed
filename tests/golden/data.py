"""Test data that needs no storing, and the writer of the golden files.

`values` and `labels` are pure functions of a seed and an index, made of
integer arithmetic alone, so that Python and Rust (tests/oracle/data.rs) agree
on every bit. Every value is a multiple of 1/4096 in (-1, 1): float32 holds it
exactly, and so it is the same number in a float32 and in a float64 run.

A golden file is read by tests/oracle/golden.rs. One line, one tensor:

    name [2,3] = values(7) * 0.25 + 1       given: made by the generator
    name [2,3] 0.5 -1.25 3e-05 ...          given or expected: numbers in full
    name [120,256]/149 0.5 ...              every 149th element of the tensor

An expected tensor stands twice: `name` is what a float32 run of PyTorch gave,
as the shortest decimal that reads back as the same float32; `name.f64` is the
same computation in float64, rounded to nine digits. The second is the truth, the
first tells how near to it PyTorch itself comes. Where both runs gave the very same
numbers, `name.f64` is left out.

Next file: ops.py.
"""

import struct

import torch

MASK = (1 << 64) - 1


def mixed(seed, index):
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014) over a counter."""
    z = ((seed << 32 | index) + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def values(seed, n):
    """n multiples of 1/4096 in (-1, 1)."""
    return [(mixed(seed, i) % 8191 - 4095) / 4096 for i in range(n)]


def labels(seed, n, classes):
    """n integers in 0..classes."""
    return [mixed(seed, i) % classes for i in range(n)]


def shortest(value):
    """The shortest decimal that reads back as the same float32."""
    value = float(value)
    if value != value or value in (float("inf"), float("-inf")):
        return repr(value)
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.0f}"  # 30, not 3e+01; and -0 keeps its sign
    bits = struct.pack("f", value)
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == bits:
            return text
    raise ValueError(f"{value!r} is not a float32")


def number(value):
    """An exact number of a generator's line, without a needless point."""
    return str(int(value)) if value == int(value) else repr(value)


def written_shape(shape):
    return "[" + ",".join(str(size) for size in shape) + "]"


class Golden:
    """A golden file that grows by one line a tensor. Seeds are handed out in order."""

    def __init__(self, path, title):
        self.path = path
        self.lines = ["# " + line if line else "#" for line in title.strip().splitlines()]
        self.lines += [
            "#",
            f"# Written by make_goldens.py with torch {torch.__version__.split('+')[0]}; the format is in data.py.",
        ]
        self.seed = 0

    def comment(self, text):
        self.lines += ["", "# " + text]

    def next_seed(self):
        self.seed += 1
        return self.seed

    def values(self, name, shape, *, seed=None, absolute=False, scale=1, offset=0):
        """A given tensor made by `values`; returned in float64, exact in float32."""
        seed = self.next_seed() if seed is None else seed
        call = f"abs(values({seed}))" if absolute else f"values({seed})"
        call += f" * {number(scale)}" if scale != 1 else ""
        call += f" + {number(offset)}" if offset != 0 else ""
        self.lines.append(f"{name} {written_shape(shape)} = {call}")
        tensor = torch.tensor(values(seed, count(shape)), dtype=torch.float64)
        tensor = (tensor.abs() if absolute else tensor) * scale + offset
        assert torch.equal(tensor.float().double(), tensor), f"{name} does not fit float32"
        return tensor.reshape(shape)

    def labels(self, name, shape, classes, *, seed=None):
        """A given tensor of integers made by `labels`."""
        seed = self.next_seed() if seed is None else seed
        self.lines.append(f"{name} {written_shape(shape)} = labels({seed}, {classes})")
        return torch.tensor(labels(seed, count(shape), classes)).reshape(shape)

    def given(self, name, numbers):
        """A given tensor or option, in full."""
        tensor = torch.as_tensor(numbers, dtype=torch.float64)
        self.line(name, tensor, 1, shortest)
        return tensor

    def expected(self, name, single, double, every=1):
        """What the float32 run gave, and what the float64 run gave."""
        self.line(name, single, every, shortest)
        if not torch.equal(single.double(), double.double()):
            self.truth(name, double, every)

    def truth(self, name, double, every=1):
        """What the float64 run gave, alone."""
        self.line(name + ".f64", double, every, lambda value: f"{float(value):.9g}")

    def line(self, name, tensor, every, text):
        tensor = torch.as_tensor(tensor).detach()
        sampled = tensor.reshape(-1)[::every].tolist()
        shape = written_shape(tensor.shape) + (f"/{every}" if every > 1 else "")
        self.lines.append(" ".join([name, shape, *map(text, sampled)]))

    def write(self):
        self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        print(f"{self.path.name}: {self.path.stat().st_size} bytes")


def count(shape):
    total = 1
    for size in shape:
        total *= size
    return total
