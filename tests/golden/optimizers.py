"""optimizers.txt: ten steps of each optimiser, with gradients given from outside.

A case `adam.plain` has its options (`adam.plain.lr` …), the first value
`adam.plain.param.0`, the gradients `adam.plain.grad.1` to `.10`, and the parameter
after each step, `adam.plain.param.1` to `.10`. The gradients don't come from a
function, so an error in one step can't hide behind a pull back to the minimum.

Next file: notebook.py.
"""

import torch
from torch.optim import SGD, Adam, AdamW

from data import Golden

STEPS = 10
SHAPE = (2, 3)

CASES = [
    # name, optimiser, options
    ("sgd.plain", SGD, {"lr": 0.1}),
    ("sgd.weight_decay", SGD, {"lr": 0.1, "weight_decay": 0.05}),
    ("sgd.momentum", SGD, {"lr": 0.1, "momentum": 0.9}),
    ("sgd.momentum_weight_decay", SGD, {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.05}),
    ("sgd.nesterov", SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("sgd.nesterov_weight_decay", SGD, {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
    ("adam.plain", Adam, {"lr": 0.001}),
    ("adam.options", Adam, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3}),
    ("adam.weight_decay", Adam, {"lr": 0.001, "weight_decay": 0.1}),
    # Gradients of zero: 0 / (sqrt(0) + eps) must be 0. Then the first one that isn't.
    ("adam.late_gradient", Adam, {"lr": 0.001}),
    ("adamw.plain", AdamW, {"lr": 0.001}),
    ("adamw.weight_decay", AdamW, {"lr": 0.01, "weight_decay": 0.2}),
]


def make(folder):
    golden = Golden(folder / "optimizers.txt", "Ten steps of each optimiser. What the names mean is in optimizers.py.")
    for name, optimizer_class, options in CASES:
        golden.comment(f"torch.optim.{optimizer_class.__name__}({options})")
        for option, value in options.items():
            golden.given(f"{name}.{option}", value)
        if optimizer_class is AdamW and "weight_decay" not in options:
            golden.given(f"{name}.weight_decay", 0.01)  # AdamW's default isn't zero.
        start = golden.values(f"{name}.param.0", SHAPE)
        grads = []
        for step in range(1, STEPS + 1):
            if name == "adam.late_gradient" and step <= 3:
                grads.append(golden.given(f"{name}.grad.{step}", torch.zeros(SHAPE)))
            else:
                grads.append(golden.values(f"{name}.grad.{step}", SHAPE))
        runs = []
        for dtype in (torch.float32, torch.float64):
            param = torch.nn.Parameter(start.to(dtype))
            optimizer = optimizer_class([param], **options)
            history = []
            for grad in grads:
                param.grad = grad.to(dtype)
                optimizer.step()
                history.append(param.detach().clone())
            runs.append(history)
        for step, (single, double) in enumerate(zip(*runs), 1):
            golden.expected(f"{name}.param.{step}", single, double)
    golden.write()
