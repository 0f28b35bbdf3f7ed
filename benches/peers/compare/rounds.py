"""Measuring: workers are asked in turn, one at a time, round after round.

The machine's speed drifts and others use it, so only what was measured side by side can be compared. Every round asks every worker, each
time beginning with another, and a peer is judged by the median over the rounds of its time as a multiple of tapegrad's.
"""

import statistics
import sys

from worker import WorkerFailed

# A shorter measurement says little; runs are repeated until one takes about this long, in seconds.
LONG_ENOUGH = 0.02


def alternate(workers, rounds, measure):
    """The samples of each worker: `measure(worker, round)` once per round, or None to leave the worker out of it."""
    samples = [[] for _ in workers]
    for number in range(rounds):
        order = list(range(len(workers)))
        for i in order[number % len(order) :] + order[: number % len(order)]:
            samples[i].append(measure(workers[i], number))
    return samples


def alternate_cases(workers, cases, rounds):
    """Seconds of one run: `samples[case][worker][round]`. A case is a request and its numbers, between which the repeats go.

    All cases are measured in every round, so that a busy moment of the machine touches one sample of many cases, not all of one.
    """
    repeats = {}
    for case in cases:
        for worker in workers:
            request, *words = case
            worker.ask(request, 1, *words)  # compiles, fills caches
            (once,) = worker.ask(request, 1, *words)
            repeats[case, worker] = min(max(round(LONG_ENOUGH / once), 1), 20_000)
    samples = {case: [[] for _ in workers] for case in cases}
    for number in range(rounds):
        for case in cases:
            request, *words = case
            order = list(range(len(workers)))
            for i in order[number % len(order) :] + order[: number % len(order)]:
                worker = workers[i]
                samples[case][i].append(worker.ask(request, repeats[case, worker], *words)[0])
        note(f"round {number + 1} of {rounds}")
    return samples


def median(samples):
    return statistics.median(sample for sample in samples if sample is not None)


def ratio(samples, own):
    """The median over the rounds of a peer's time as a multiple of tapegrad's in the same round."""
    return statistics.median(
        sample / mine for sample, mine in zip(samples, own) if sample is not None and mine is not None
    )


def start_all(makers, prepare):
    """Starts workers, one after the other, and prepares each; one that fails is left out, with its reason on standard error."""
    workers = []
    for make in makers:
        worker = make()
        try:
            prepare(worker)
        except WorkerFailed as failure:
            worker.close()
            note(f"left out: {failure}")
        else:
            workers.append(worker)
    return workers


def note(text):
    print(text, file=sys.stderr, flush=True)


def markdown(header, rows):
    """A table; the first column is text, the others numbers."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def threads_text(threads):
    return "1 thread" if threads == 1 else f"{threads} threads"
