"""How each peer is started."""

import os
import pathlib
import sys

from worker import KEEP_MEMORY, Worker

HERE = pathlib.Path(__file__).resolve().parent.parent
PYTHON = HERE / "python"
# What run.sh builds.
PROGRAMS = pathlib.Path(os.environ["PEERS_PROGRAMS"])
FILES = pathlib.Path(os.environ["PEERS_FILES"])
MODEL = FILES / "model"
# What PyTorch's compiler keeps from run to run.
COMPILED = FILES / "compiled"


def python(name, threads, script, *arguments, **options):
    return Worker(name, [sys.executable, PYTHON / script, *arguments], threads, **options)


def tapegrad(threads, *arguments):
    return Worker("tapegrad", [PROGRAMS / "tapegrad", *arguments], threads)


def rust(name, threads, program, *arguments):
    # tapegrad reads the data for candle and burn; its threads would only be in their way.
    return Worker(name, [PROGRAMS / program, *arguments], threads, environment={"TAPEGRAD_THREADS": "1"})


class Trainer:
    """A peer that trains LeNet: how it is started, how much of an epoch it is asked for, and how often."""

    def __init__(self, name, start, steps=235, every=1):
        self.name, self.start, self.steps, self.every = name, start, steps, every


def trainers(net, threads, compiled=COMPILED):
    """tapegrad first. The slow ones do a tenth of an epoch, which is scaled, or are asked in every third round only."""

    def pytorch(name, configuration, **options):
        return Trainer(name, lambda: python(name, threads, "pytorch_lenet.py", net, configuration, **options))

    keep = {"environment": KEEP_MEMORY | {"TORCHINDUCTOR_CACHE_DIR": str(compiled)}}
    peers = [
        Trainer("tapegrad", lambda: tapegrad(threads, net)),
        pytorch("PyTorch eager, as shipped", "eager"),
        pytorch("PyTorch eager, malloc", "eager", **keep),
        pytorch("PyTorch channels_last, fused Adam, malloc", "best", **keep),
        pytorch("PyTorch compiled, malloc", "compiled", **keep),
    ]
    if threads > 1:  # its four loading processes have no single-threaded counterpart
        name = "PyTorch, the notebook's DataLoader"
        peers.append(Trainer(name, lambda: python(name, threads, "pytorch_dataloader.py", net, 4), every=3))
    # JAX has no setting for its number of threads but the cores it may use.
    peers.append(Trainer("JAX, jit", lambda: python("JAX", threads, "jax_lenet.py", net, one_core=threads == 1), every=3))
    for name, program in (("burn, flex", "burn"), ("candle", "candle")):
        peers.append(Trainer(name, lambda name=name, program=program: rust(name, threads, program, net), steps=24))
    return peers
