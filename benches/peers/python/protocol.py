"""The worker's side of the protocol: a line in, a line out. See ../rust/src/protocol.rs."""

import resource
import sys
import time


def serve(answer):
    """Answers requests until the driver closes the input. `answer(request, numbers)` returns a list of numbers."""
    for line in sys.stdin:
        request, *words = line.split()
        if request == "memory":
            reply = [peak_memory()]
        else:
            reply = answer(request, [int(word) for word in words])
        print(">", *(f"{number:.9e}" for number in reply), flush=True)


def serve_trainer(train, evaluate):
    """Answers with the seconds of `train(steps)` or `evaluate()`, and with what it returned: a mean loss or an accuracy."""

    def answer(request, numbers):
        start = time.perf_counter()
        result = train(numbers[0]) if request == "train" else evaluate()
        return [time.perf_counter() - start, result]

    serve(answer)


def peak_memory():
    """The most memory that this process has held, in bytes; workers of its own are not counted."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def seconds(repeats, run):
    """Seconds of one run, from so many in a row. Short ones, which come in numbers, find their caches full."""
    if repeats > 1:
        run()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats
