"""Measuring: workers are asked in turn, one at a time, round after round.

The machine's speed drifts and others use it, so only what was measured side by side can be compared. Every round asks every worker, each
time beginning with another, and a peer is judged by the median over the rounds of its time as a multiple of tapegrad's.
"""

import statistics
import sys

from busy import Others
from worker import WorkerFailed

# Runs are repeated until a measurement takes about this long, in seconds: in much shorter ones, threads that slept are still waking up
# or share a core, and two threads of matrixmultiply showed a third of their speed.
LONG_ENOUGH = 0.1


class Rounds:
    """Asks workers in turn, and sees how busy the machine is."""

    def __init__(self, workers, count):
        self.workers, self.count, self.others = workers, count, Others()

    def alternate(self, measure):
        """The samples of each worker: `measure(worker, round)` once per round; None leaves the worker out of the round."""
        samples = [[] for _ in self.workers]
        for number in range(self.count):
            self.others.look()
            for i in self.order(number):
                samples[i].append(measure(self.workers[i], number))
        return samples

    def alternate_cases(self, cases):
        """Seconds of one run: `samples[case][worker][round]`. A case is a request and its numbers, between which the repeats go.

        Every round measures all cases, so that a busy moment of the machine touches one sample of many cases, not all of one.
        """
        repeats = {}
        for request, *words in cases:
            for worker in self.workers:
                worker.ask(request, 1, *words)  # compiles, fills caches
                (once,) = worker.ask(request, 1, *words)
                repeats[(request, *words), worker] = min(max(round(LONG_ENOUGH / once), 1), 20_000)
        samples = {case: [[] for _ in self.workers] for case in cases}
        for number in range(self.count):
            self.others.look()
            for case in cases:
                request, *words = case
                for i in self.order(number):
                    worker = self.workers[i]
                    samples[case][i].append(worker.ask(request, repeats[case, worker], *words)[0])
            note(f"round {number + 1} of {self.count}")
        return samples

    def order(self, number):
        """Each round begins with another worker."""
        order = list(range(len(self.workers)))
        begin = number % len(order)
        return order[begin:] + order[:begin]


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
