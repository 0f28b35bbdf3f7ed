"""How busy others keep the machine, seen while all workers sleep.

A library whose threads wait for each other in a loop, as OpenMP's do, becomes several times slower when one of them has to share its
core. So every table says how much of the machine others took; where it is more than a few per cent, measure again.
"""

import pathlib
import statistics
import time

LOOK = 0.5  # seconds


class Others:
    """Look between the rounds; the text goes below the table."""

    def __init__(self):
        self.shares = []

    def look(self):
        idle, total = counters()
        time.sleep(LOOK)
        later_idle, later_total = counters()
        self.shares.append(1 - (later_idle - idle) / max(later_total - total, 1))

    def text(self):
        middle, most = statistics.median(self.shares), max(self.shares)
        return f"Others took {middle:.0%} of the machine (median of {len(self.shares)} looks; at most {most:.0%})."


def counters():
    """Ticks of all cores so far: idle, and all."""
    ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
