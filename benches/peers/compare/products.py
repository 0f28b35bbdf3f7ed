"""The table of matrix products: GFLOP/s of every library on every size."""

import importlib.util
import pathlib

import peers
from rounds import Rounds, markdown, median, note, ratio, start_all, threads_text
from worker import Worker

# m, n, k: squares; the two convolutions of LeNet, an image each; the products of its dense layers.
SIZES = [
    (64, 64, 64),
    (128, 128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (6, 576, 25),
    (16, 64, 150),
    (256, 120, 256),
    (256, 84, 120),
    (256, 10, 84),
    (120, 256, 256),
]


def package(name):
    return pathlib.Path(importlib.util.find_spec(name).origin).parent


def libraries():
    """The words behind the program's name. PyTorch and NumPy bring MKL and OpenBLAS along; their `sgemm` is called without Python."""
    (openblas,) = (package("numpy").parent / "numpy.libs").glob("libscipy_openblas64_*.so")
    return {
        "tapegrad": ["tapegrad"],
        "MKL (torch)": ["blas", package("torch") / "lib" / "libtorch_cpu.so", "sgemm_"],
        "OpenBLAS (numpy)": ["blas", openblas, "scipy_sgemm_64_"],
        "faer": ["faer"],
        "gemm": ["gemm"],
        "matrixmultiply": ["matrixmultiply"],
    }


def tables(threads_list, rounds):
    for threads in threads_list:
        print(table(threads, rounds), flush=True)


def table(threads, rounds):
    def start(name, words):
        return Worker(name, [peers.PROGRAMS / "products", *words], threads)

    makers = [lambda name=name, words=words: start(name, words) for name, words in libraries().items()]
    workers = start_all(makers, lambda worker: worker.ask("check", *SIZES[0]))
    for size in SIZES:
        agree(workers, size)
    turns = Rounds(workers, rounds)
    samples = turns.alternate_cases([("run", *size) for size in SIZES])
    for worker in workers:
        worker.close()
    rows = []
    for m, n, k in SIZES:
        row = samples["run", m, n, k]
        rates = [f"{2 * m * n * k / median(times) / 1e9:.0f}" for times in row]
        best = min(ratio(times, row[0]) for times in row[1:])
        rows.append([f"{m}×{n}×{k}", *rates, f"{best:.2f}"])
    header = ["m×n×k, GFLOP/s", *(worker.name for worker in workers), "tapegrad : best other"]
    return f"### Matrix products, {threads_text(threads)}\n\n{markdown(header, rows)}\n\n{turns.others.text()}\n"


def agree(workers, size):
    """All libraries compute the same, but for rounding."""
    results = [worker.ask("check", *size)[0] for worker in workers]
    for worker, result in zip(workers, results):
        if abs(result - results[0]) > 1e-4 * results[0]:
            note(f"{worker.name} disagrees at {size}: {result} and {results[0]}")
