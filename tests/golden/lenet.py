"""lenet.txt and lenet_batch_norm.txt: three Adam steps of the notebook's two networks.

    weight.NAME               the first value of every parameter, by PyTorch's name
    batch.S.images, .labels   32 images in [0, 1) and their labels, for steps 1, 2, 3
    logits.S                  the output for the batch of step S before its update (first 2 rows)
    loss.S                    the cross-entropy of that batch
    grad.NAME                 step 1's gradient of every parameter
    param.S.NAME              every parameter after step S
    moving.S.NAME             batch norm's moving statistics after steps 1 and 3
    inference                 after step 3: the output for batch 1 in inference (first 2 rows)

Large tensors are sampled (`/37`: elements 0, 37, 74 …; 7, 37 and 149 have no factor in common
with any row length, so every column has its turn). So that nothing can hide between the samples,
`.sum.f64` and `.norm.f64` of the whole tensor stand beside them.

Two traps, both shut here:

- Max pooling picks a winner. Where the two largest of a window are equal to the last bit
  or nearly so, two correct float32 engines pick differently and their gradients part.
  The seeds are chosen so that the two largest are never nearer than MIN_GAP.
- A bias right before a batch norm has a gradient of exactly zero, for the norm takes
  the mean out again. In float32 it is rounding noise, and Adam, which divides a gradient by
  its own size, turns noise into steps of lr with an arbitrary sign. These four biases
  (UNTRAINED) are left out of the optimiser; a test must leave them out as well, or
  put them back after each step, which changes no other number.

Next file: printing.py.
"""

import math

import torch
import torch.nn.functional as F

from data import Golden
from notebook import LeNet, lenet_batch_norm

STEPS = 3
BATCH = 32
MIN_GAP = 8e-7
UNTRAINED = ("0.bias", "4.bias", "9.bias", "12.bias")


def every(name, tensor):
    """How densely a tensor is sampled: gradients more than the parameters that follow from them."""
    size = tensor.numel()
    if name.startswith("grad"):
        return 1 if size <= 500 else 37 if size <= 5000 else 149
    return 1 if size <= 50 else 7 if size <= 500 else 37 if size <= 5000 else 149


def weights(golden, net):
    """Fills the net with given numbers in about the range of PyTorch's default init."""
    state = {}
    scale = 1
    for index, (name, parameter) in enumerate(net.named_parameters()):
        how = {}
        if name.endswith("gamma"):
            how = {"scale": 0.25, "offset": 1}
        elif name.endswith("beta"):
            how = {"scale": 0.25}
        else:
            if name.endswith("weight"):
                # The default is U(-1/sqrt(fan_in), 1/sqrt(fan_in)): take the nearest power of two.
                # The bias, which follows its weight, has the same range.
                fan_in = parameter[0].numel()
                scale = 2.0 ** round(math.log2(fan_in**-0.5))
            how = {"scale": scale}
        state[name] = golden.values(f"weight.{name}", parameter.shape, seed=100 + index, **how)
    return state


def batches(golden, seed):
    made = []
    for step in range(1, STEPS + 1):
        images = golden.values(f"batch.{step}.images", (BATCH, 1, 28, 28), seed=seed + step, absolute=True)
        labels = golden.labels(f"batch.{step}.labels", (BATCH,), 10, seed=seed + step)
        made.append((images, labels))
    return made


def watch_pools(net, gaps):
    """Notes, at every max pooling, how near the second largest of a window comes to the largest."""

    def hook(_, inputs):
        windows = inputs[0].detach().unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
        top = windows.topk(2).values
        gaps.append((top[..., 0] - top[..., 1]).min().item())

    for module in net.modules():
        if isinstance(module, torch.nn.MaxPool2d):
            module.register_forward_pre_hook(hook)


def train(make_net, state, made, dtype):
    """One run of all steps. Returns name -> tensor, in the order of the golden file, and the smallest gap."""
    net = make_net().to(dtype)
    net.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()}, strict=False)
    gaps = []
    watch_pools(net, gaps)
    trained = [p for name, p in net.named_parameters() if name not in UNTRAINED]
    optimizer = torch.optim.Adam(trained, lr=0.001)
    results = {}
    for step, (images, labels) in enumerate(made, 1):
        logits = net(images.to(dtype))
        loss = F.cross_entropy(logits, labels)
        net.zero_grad()
        loss.backward()
        results[f"logits.{step}"] = logits.detach()[:2]
        results[f"loss.{step}"] = loss.detach()
        if step == 1:
            results |= {f"grad.{name}": p.grad.clone() for name, p in net.named_parameters()}
        optimizer.step()
        for name, p in net.named_parameters():
            if name not in UNTRAINED:
                results[f"param.{step}.{name}"] = p.detach().clone()
        for name, buffer in net.named_buffers():
            if step in (1, STEPS):
                results[f"moving.{step}.{name}"] = buffer.clone()
    # Inference comes after the smallest gap is taken: without a gradient a near tie does no harm.
    gap = min(gaps)
    net.eval()
    with torch.no_grad():
        results["inference"] = net(made[0][0].to(dtype))[:2]
    return results, gap


def find_seed(make_net, tries=range(1, 200)):
    """The base seed whose batches keep the largest gap. It was run once to choose the seeds in `make`."""

    unwritten = Golden(None, "")
    state = weights(unwritten, make_net())
    seeds = [1000 * t for t in tries]
    return max((train(make_net, state, batches(unwritten, seed), torch.float64)[1], seed) for seed in seeds)


def make(folder):
    for file, make_net, seed in [
        ("lenet.txt", LeNet, 131_000),
        ("lenet_batch_norm.txt", lenet_batch_norm, 33_000),
    ]:
        golden = Golden(folder / file, "Three Adam steps of the notebook's network. What the names mean is in lenet.py.")
        golden.comment("given")
        state = weights(golden, make_net())
        made = batches(golden, seed)
        single, _ = train(make_net, state, made, torch.float32)
        double, gap = train(make_net, state, made, torch.float64)
        assert gap > MIN_GAP, f"{file}: two pool candidates are only {gap} apart"
        golden.comment("expected")
        for name, truth in double.items():
            golden.expected(name, single[name], truth, every(name, truth))
            if every(name, truth) > 1:
                golden.truth(f"{name}.sum", truth.sum())
                golden.truth(f"{name}.norm", truth.norm())
        golden.write()
