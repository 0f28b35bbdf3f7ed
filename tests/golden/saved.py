"""Files that `safetensors.torch` wrote, read by tests/safetensors.rs.

saved_net.safetensors   the parameters of a small net under PyTorch's names
saved.safetensors       x, an input, and logits, what PyTorch's net makes of it
kinds.safetensors       the same seven numbers in every kind of floating-point number that is
                        read, and whole numbers, which are not
"""

import torch
from safetensors.torch import save_file
from torch import nn

# One, a half, minus two, zero, infinity, the smallest normal and the smallest subnormal number of half precision.
NUMBERS = [1.0, 0.5, -2.0, 0.0, float("inf"), 2.0**-14, 2.0**-24]


def make(folder):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * 3 * 3, 5, bias=False), nn.Tanh(), nn.Linear(5, 4)
    )
    x = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        logits = net(x)
    save_file(net.state_dict(), folder / "saved_net.safetensors", metadata={"made by": 'PyTorch, "2.15"'})
    save_file({"x": x, "logits": logits}, folder / "saved.safetensors")
    kinds = {str(kind).removeprefix("torch."): torch.tensor(NUMBERS).to(kind) for kind in
             [torch.float32, torch.float64, torch.float16, torch.bfloat16]}
    kinds["int64"] = torch.tensor([1, 2, 3])
    kinds["empty"] = torch.zeros(0, 3)
    kinds["scalar"] = torch.tensor(7.0)
    save_file(kinds, folder / "kinds.safetensors")
