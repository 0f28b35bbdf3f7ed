"""Fashion-MNIST, from the folder that the driver names in FASHION_MNIST."""

import gzip
import os
import pathlib

import numpy


def load(part):
    """The images `[n, 28, 28]` and labels `[n]`, as bytes, of "train" or "t10k"."""
    folder = pathlib.Path(os.environ["FASHION_MNIST"])
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    # Headers of 16 and 8 bytes; copied, so that the arrays can be written to, which PyTorch wants.
    pixels = numpy.frombuffer(images, numpy.uint8, offset=16).reshape(-1, 28, 28).copy()
    return pixels, numpy.frombuffer(labels, numpy.uint8, offset=8).copy()


def some(batches, steps):
    """So many of an epoch's batches: where more than one, then with the last, which is shorter, so that libraries compile for it."""
    return batches[-steps:] if steps > 1 else batches[:1]
