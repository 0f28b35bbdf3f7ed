"""Writes the golden files of this folder with PyTorch.

    python -B make_goldens.py              all of them
    python -B make_goldens.py ops lenet    some of them

Made with PyTorch 2.15.0 on an x86-64 CPU with one thread. Any 2.x should give the same `.f64`
numbers; the float32 ones may differ in their last digits with another version or CPU, which
sums in another order. tests/oracle/golden.rs reads the files.

What is here: data.py (the generator and the format), ops.py, optimizers.py, notebook.py (the
two networks), lenet.py, printing.py, saved.py (which needs the package safetensors); and two
that need no PyTorch: first_kernel.py, which prints the constants of tests/notebook.rs, and
pictures.py, which writes pictures.txt with Pillow. Next file: data.py.
"""

import sys
from pathlib import Path

import torch

import lenet
import ops
import optimizers
import printing
import saved

PARTS = {"ops": ops, "optimizers": optimizers, "lenet": lenet, "printing": printing, "saved": saved}


def main():
    # One thread and deterministic kernels: the files should not depend on the number of cores.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.exit(f"unknown part {unknown[0]}: choose from {', '.join(PARTS)}")
    for name in wanted:
        PARTS[name].make(Path(__file__).resolve().parent)


if __name__ == "__main__":
    main()
