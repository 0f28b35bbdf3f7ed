"""Measures tapegrad beside its peers and prints Markdown tables. run.sh calls it; what the parts are, ../README.md says."""

import argparse
import datetime
import importlib.metadata
import pathlib
import re

import conv
import inference
import lenet
import products
import start
from peers import HERE

# The parts, in the order in which they run, and how many rounds each needs for a steady median.
PARTS = {
    "lenet": (lenet.plain, 7),
    "batch-norm": (lenet.batch_norm, 7),
    "inference": (inference.tables, 15),
    "gemm": (products.tables, 15),
    "conv": (conv.tables, 9),
    "start": (start.tables, 5),
}


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} [default: all]")
    parser.add_argument("--rounds", type=int, help="how often each peer is asked [default: 5 to 15, as the part needs]")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="[default: 1 2]")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"{part}: expected some of {', '.join(PARTS)}")
    print(surroundings())
    for name, (part, rounds) in PARTS.items():
        if name in options.parts or not options.parts:
            part(options.threads, options.rounds or rounds)


def surroundings():
    """The machine, the day and the versions, without which no figure means anything."""
    information = pathlib.Path("/proc/cpuinfo").read_text()
    processor = re.search(r"model name\s*: (.*)", information)[1]
    cores = information.count("processor\t")
    lock = (HERE / "rust" / "Cargo.lock").read_text()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "jax", "onnxruntime", "numpy")]
    for name in ("candle-core", "burn", "faer", "gemm", "matrixmultiply"):
        pattern = f'name = "{name}"\nversion = "(.*)"'
        versions.append(f"{name} {re.search(pattern, lock)[1]}")
    return f"{datetime.date.today()}, {cores} cores, {processor}; {', '.join(versions)}.\n"


if __name__ == "__main__":
    main()
