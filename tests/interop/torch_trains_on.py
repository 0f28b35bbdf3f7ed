"""PyTorch trains on where tapegrad stopped: one epoch with DistributedDataParallel on two processes gains accuracy.

The processes talk over gloo, and meet by a file, so that no port is needed. Each sees every second image of a shuffled epoch, in batches of
128: together the notebook's 256. Batch norm's moving statistics stay each process's own; those of the first are evaluated.
"""


import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from safetensors.torch import load_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from checks import FILES, check, images, labels
from torch_nets import MAKE, logits

PROCESSES = 2
BATCH = 256


def correct(net, test):
    pixels, truth = test
    return int((logits(net, pixels).argmax(1) == truth).sum())


def epoch(rank, name):
    """One epoch as process `rank`. The first writes how many images were right before and after."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{FILES}/{name}.meet", rank=rank, world_size=PROCESSES)
    net = MAKE[name]()
    net.load_state_dict(load_file(FILES / f"{name}.safetensors"))
    test = images("t10k"), labels("t10k")
    before = correct(net, test) if rank == 0 else None

    pixels, truth = torch.from_numpy(images("train")), torch.from_numpy(labels("train"))
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    model = DistributedDataParallel(net.train(), forward_sync_buffers=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    for chosen in order[rank::PROCESSES].split(BATCH // PROCESSES):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(pixels[chosen]), truth[chosen]).backward()
        optimizer.step()

    if rank == 0:
        (FILES / f"{name}.trained_on").write_text(f"{before} {correct(net, test)}")
    dist.destroy_process_group()


if __name__ == "__main__":
    for name in MAKE:
        processes.spawn(epoch, (name,), nprocs=PROCESSES)
        before, after = map(int, (FILES / f"{name}.trained_on").read_text().split())
        figure = f"{before} of 10000 test images right before the epoch, {after} after"
        check(f"DistributedDataParallel on {PROCESSES} gloo processes, {name}", figure, after > before)
