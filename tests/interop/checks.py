"""What all checks use: a line for each, the files of run.sh, and Fashion-MNIST.

Next file: onnx_models.py.
"""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

NETS = ["lenet", "batch-norm"]
FILES = Path(os.environ["FILES"])
DATA = Path(__file__).resolve().parents[2] / "data" / "fashion-mnist"


def check(what, figure, holds):
    """Says what was found, and ends the program where it is not what must be."""
    print(f"{'ok     ' if holds else 'FAILED '} {what}: {figure}", flush=True)
    if not holds:
        sys.exit(1)


def images(name):
    """All images of a set, "train" or "t10k", as [n, 1, 28, 28] from 0 to 1."""
    raw = gzip.decompress((DATA / f"{name}-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return pixels.astype(np.float32) / np.float32(255)


def labels(name):
    raw = gzip.decompress((DATA / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=8).astype(np.int64)


def our_logits(net):
    """What `lenet eval --logits` wrote for the test images."""
    return load_file(FILES / f"{net}.logits")["logits"]


def evaluated(text):
    """How many of the 10,000 images are right, from the line of `lenet eval`."""
    return int(re.search(r"\((\d+) of 10000 test images\)", text).group(1))


def evaluate(weights, *options):
    """Runs `lenet eval` on a file; how many images are right."""
    command = [os.environ["LENET"], "eval", "--load", weights, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    check(f"lenet eval reads {weights.name}", done.stderr.strip() or done.stdout.strip(), done.returncode == 0)
    return evaluated(done.stdout)


def same_logits(what, found, expected, bound=1e-5):
    """That logits are within `bound`, and say the same class for every image."""
    if found.shape != expected.shape:
        check(what, f"shape {found.shape}, not {expected.shape}", False)
    furthest = float(np.abs(found.astype(np.float64) - expected).max())
    same = int((found.argmax(1) == expected.argmax(1)).sum())
    figure = f"{same} of {len(expected)} classes the same, logits within {furthest:.1e} (allowed {bound:.0e})"
    check(what, figure, same == len(expected) and furthest <= bound)
