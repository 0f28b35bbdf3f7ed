"""The table of inference: one image at a time on one thread, and batches of 256."""

import subprocess
import sys

import peers
from rounds import Rounds, markdown, median, note, ratio, start_all, threads_text
from worker import KEEP_MEMORY, WorkerFailed

ENGINES = {
    "ONNX Runtime": ("onnxruntime", {}),
    "PyTorch compiled, frozen": ("compiled", KEEP_MEMORY | {"TORCHINDUCTOR_CACHE_DIR": str(peers.COMPILED)}),
    "PyTorch jit.freeze": ("frozen", KEEP_MEMORY),
}
TOLERANCE = 1e-3  # of logits around 1 to 10


def tables(threads_list, rounds):
    if not (peers.MODEL / "model.onnx").exists():
        note("training the net to run")
        subprocess.run([sys.executable, peers.PYTHON / "make_model.py", peers.MODEL], check=True)
    columns, busy = [], []
    for threads in threads_list:
        more, others = measure(threads, [1, 256] if threads == 1 else [256], rounds)
        columns += more
        busy.append(f"{threads_text(threads)}: {others}")
    names = ["tapegrad", *ENGINES]
    rows = [[name, *(column[1].get(name, "–") for column in columns)] for name in names]
    table = markdown(["", *(title for title, _ in columns)], rows)
    print(f"### Inference, images per second\n\n{table}\n\n{' '.join(busy)}\n", flush=True)


def measure(threads, batches, rounds):
    """A column for each batch size, its title and a text for each peer; and how busy the machine was."""

    def engine(name):
        words, environment = ENGINES[name]
        return peers.python(name, threads, "inference.py", words, peers.MODEL, environment=environment)

    makers = [
        lambda: peers.tapegrad(threads, "inference", peers.MODEL / "weights.f32"),
        *(lambda name=name: engine(name) for name in ENGINES),
    ]
    expected = {}

    def check(worker):
        for batch in batches:
            logits = worker.ask("check", batch)
            difference = max(abs(a - b) for a, b in zip(logits, expected.setdefault(batch, logits), strict=True))
            if difference > TOLERANCE:
                raise WorkerFailed(f"{worker.name}: its logits for {batch} images are off by {difference}")

    workers = start_all(makers, check)
    turns = Rounds(workers, rounds)
    samples = turns.alternate_cases([("run", batch) for batch in batches])
    for worker in workers:
        worker.close()
    columns = []
    for batch in batches:
        row = samples["run", batch]
        cells = {}
        for worker, times in zip(workers, row):
            latency = f", {median(times) * 1e6:.0f} µs" if batch == 1 else ""
            cells[worker.name] = f"{batch / median(times):,.0f}{latency} ({ratio(times, row[0]):.2f} ×)"
        columns.append((f"batch {batch}, {threads_text(threads)}", cells))
    return columns, turns.others.text()
