"""The first kernel of the notebook's cell 10, which the notebook does not print.

The loss of cell 10 is quadratic in (w0, w1, b), so a step is a linear map of the error
(w0, w1, b) - (1, -1, 0), and it can be undone. Cell 11 prints where 20 steps ended. Of the
error's three parts two come back from there; the third has shrunk to 5e-13 of itself, but
the loss of step 5 still knows it. Numbers with three decimals are enough: this searches for
those from which all seven printed numbers follow, the four losses and the three parameters,
and of them prints the one that stays farthest from any rounding edge. Seven numbers from
three: that they all fit says that the notebook's run is understood.

notebook.rs starts from what this prints. Needs numpy. Next file: printing.py.
"""

import numpy as np

TRUE = np.array([1.0, -1.0, 0.0])
LEARNED = np.array([0.8736, -0.8562, -0.0098])  # cell 11
LOSSES = {5: 15.816, 10: 3.951, 15: 1.050, 20: 0.287}  # cell 10
STEPS, LR = 20, 0.01

# Every row of the image gives the same seven equations (x0, x1, 1) . (w0, w1, b) = y.
row = np.array([1, 1, 0, 0, 0, 0, 1, 1.0])
x = np.stack([row[:-1], row[1:], np.ones(7)], axis=1)
curvature = 2 * 6 * x.T @ x
step = np.eye(3) - LR * curvature


def slack(first):
    """How far the printed numbers are from changing: 1 dead on, below 0 wrong."""
    error, worst = first - TRUE, 1.0
    for i in range(1, STEPS + 1):
        if i in LOSSES:
            loss = 0.5 * error @ curvature @ error
            worst = min(worst, 1 - abs(loss - LOSSES[i]) / 0.0005)
        error = step @ error
    return min(worst, 1 - np.abs(error + TRUE - LEARNED).max() / 0.00005)


values, axes = np.linalg.eigh(step)
order = np.argsort(-np.abs(values))
values, axes = values[order], axes[:, order]
parts = axes.T @ (LEARNED - TRUE) / values**STEPS
best = (-1.0, None)
# The two parts that come back, within what the rounding of cell 11 leaves open; and the third, unknown.
for a in np.linspace(-1, 1, 11) * 0.00007 / values[0] ** STEPS:
    for b in np.linspace(-1, 1, 11) * 0.00007 / values[1] ** STEPS:
        for c in np.linspace(-2, 2, 401):
            first = np.round(axes @ [parts[0] + a, parts[1] + b, c] + TRUE, 3)
            best = max(best, (slack(first), tuple(first.tolist())))
print(f"weight {best[1][:2]}, bias {best[1][2]}, slack {best[0]:.2f}")
