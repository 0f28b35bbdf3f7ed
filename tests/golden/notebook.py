"""The notebook's two networks, for lenet.py and ops.py.

The batch norm is cell 37's: variance divided by n, moving statistics that start at
zero and keep 0.9 of themselves a step. torch.nn.BatchNorm2d differs in all of it
(its running variance is divided by n - 1, starts at one, and its momentum is the
share of the new value), so it can't stand in.

Next file: lenet.py.
"""

import torch
from torch import nn


class BatchNorm(nn.Module):
    """Cells 37 and 38, for inputs [n, c] and [n, c, h, w]."""

    def __init__(self, channels, dims, eps=1e-5, momentum=0.9):
        super().__init__()
        shape = (1, channels) if dims == 2 else (1, channels, 1, 1)
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        # Buffers follow .double(); they are no parameters.
        self.register_buffer("moving_mean", torch.zeros(shape))
        self.register_buffer("moving_var", torch.zeros(shape))
        self.axes = (0,) if dims == 2 else (0, 2, 3)
        self.eps, self.momentum = eps, momentum

    def forward(self, x):
        if self.training:
            mean = x.mean(self.axes, keepdim=True)
            var = ((x - mean) ** 2).mean(self.axes, keepdim=True)
            # Detached: or each step's statistics would hold the graphs of all steps before it.
            self.moving_mean = self.momentum * self.moving_mean + (1 - self.momentum) * mean.detach()
            self.moving_var = self.momentum * self.moving_var + (1 - self.momentum) * var.detach()
        else:
            mean, var = self.moving_mean, self.moving_var
        return self.gamma * (x - mean) / torch.sqrt(var + self.eps) + self.beta


class LeNet(nn.Module):
    """Cell 42."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.Sigmoid(), nn.MaxPool2d(2, 2),
            nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.MaxPool2d(2, 2),
        )
        self.fc = nn.Sequential(
            nn.Linear(16 * 4 * 4, 120), nn.Sigmoid(),
            nn.Linear(120, 84), nn.Sigmoid(),
            nn.Linear(84, 10),
        )

    def forward(self, images):
        return self.fc(self.conv(images).flatten(1))


def lenet_batch_norm():
    """Cell 39."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), BatchNorm(6, 4), nn.Sigmoid(), nn.MaxPool2d(2, 2),
        nn.Conv2d(6, 16, 5), BatchNorm(16, 4), nn.Sigmoid(), nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 120), BatchNorm(120, 2), nn.Sigmoid(),
        nn.Linear(120, 84), BatchNorm(84, 2), nn.Sigmoid(),
        nn.Linear(84, 10),
    )
