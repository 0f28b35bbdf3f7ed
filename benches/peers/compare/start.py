"""The table of starts: seconds from starting the process until its first step of training is done, data read, everything compiled."""

import tempfile
import time

import peers
from busy import Others
from rounds import markdown, median, note, ratio, threads_text
from worker import WorkerFailed


def tables(threads_list, rounds):
    threads = max(threads_list)
    samples, memory, others = {}, {}, Others()
    for number in range(rounds):
        others.look()
        # PyTorch's compiler finds nothing from an earlier run.
        with tempfile.TemporaryDirectory() as cache:
            for trainer in peers.trainers("lenet", threads, cache):
                try:
                    seconds, memory[trainer.name] = start(trainer)
                except WorkerFailed as failure:
                    note(f"left out: {failure}")
                    continue
                samples.setdefault(trainer.name, []).append(seconds)
                note(f"round {number + 1} of {rounds}, {trainer.name}: {seconds:.2f} s")
    own = samples["tapegrad"]
    rows = []
    for name, row in samples.items():
        spread = f"{min(row):.2f} to {max(row):.2f}"
        rows.append([name, f"{median(row):.2f}", spread, f"{ratio(row, own):.0f}", f"{memory[name] / 1e6:.0f}"])
    header = ["", "s", "least to most", "× tapegrad", "peak memory by then, MB"]
    title = f"From the start to the first step of training, {threads_text(threads)}"
    print(f"### {title}\n\n{markdown(header, rows)}\n\n{others.text()}\n", flush=True)


def start(trainer):
    """Seconds, and the memory at their end."""
    began = time.perf_counter()
    with trainer.start() as worker:
        worker.ask("train", 1)
        return time.perf_counter() - began, worker.ask("memory")[0]
