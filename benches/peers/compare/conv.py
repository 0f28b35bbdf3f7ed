"""The table of convolutions: milliseconds forward, and forward and backward, of the shapes in benches/conv.rs."""

import peers
from rounds import Rounds, markdown, median, note, ratio, start_all, threads_text
from worker import KEEP_MEMORY

# n, c, size, oc, k, stride, padding, and 1 for a net's first layer, whose images need no gradient.
SHAPES = [
    (256, 1, 28, 6, 5, 1, 0, 1),
    (256, 6, 12, 16, 5, 1, 0, 0),
    (2, 3, 320, 16, 3, 1, 1, 1),
    (1, 64, 56, 64, 3, 1, 1, 0),
    (8, 128, 28, 128, 3, 1, 1, 0),
    (8, 256, 14, 256, 1, 1, 0, 0),
    (32, 3, 224, 64, 7, 2, 3, 1),
    (16, 512, 7, 512, 3, 1, 1, 0),
]
LAYOUTS = ("contiguous", "channels_last")


def tables(threads_list, rounds):
    for threads in threads_list:
        print(table(threads, rounds), flush=True)


def table(threads, rounds):
    def pytorch(layout):
        return peers.python(f"PyTorch {layout}", threads, "pytorch_conv.py", layout, environment=KEEP_MEMORY)

    makers = [
        lambda: peers.tapegrad(threads, "conv"),
        *(lambda layout=layout: pytorch(layout) for layout in LAYOUTS),
        lambda: peers.rust("burn", threads, "burn", "conv"),
        lambda: peers.rust("candle", threads, "candle", "conv"),
    ]
    workers = start_all(makers, lambda worker: worker.ask("check", *SHAPES[0]))
    for shape in SHAPES:
        agree(workers, shape)
    cases = [(request, *shape) for shape in SHAPES for request in ("forward", "both")]
    turns = Rounds(workers, rounds)
    samples = turns.alternate_cases(cases)
    for worker in workers:
        worker.close()
    columns = ["tapegrad", "PyTorch", "burn", "candle"]
    rows = []
    for case in cases:
        times = {worker.name: row for worker, row in zip(workers, samples[case])}
        layouts = [times.pop(f"PyTorch {layout}") for layout in LAYOUTS if f"PyTorch {layout}" in times]
        if layouts:
            times["PyTorch"] = min(layouts, key=median)
        cells = [f"{median(times[name]) * 1e3:.3g}" if name in times else "–" for name in columns]
        ratios = [f"{ratio(times[name], times['tapegrad']):.2f}" if name in times else "–" for name in columns[1:]]
        rows.append([title(*case), *cells, *ratios])
    header = ["N, C, H×W → O, kernel, stride, padding; ms", *columns, *(f"{name} ×" for name in columns[1:])]
    return f"### Convolutions, {threads_text(threads)}\n\n{markdown(header, rows)}\n\n{turns.others.text()}\n"


def title(request, n, c, size, oc, k, stride, padding, first):
    passes = "f" if request == "forward" else "fb*" if first else "fb"
    return f"{n}, {c}, {size}² → {oc}, k{k}, s{stride}, p{padding}: {passes}"


def agree(workers, shape):
    """All peers compute the same output and the same gradient of the filters, but for rounding."""
    results = [worker.ask("check", *shape) for worker in workers]
    for worker, result in zip(workers, results):
        if any(abs(number - own) > 1e-3 * own for number, own in zip(result, results[0])):
            note(f"{worker.name} disagrees at {shape}: {result} and {results[0]}")
