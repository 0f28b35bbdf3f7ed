"""PyTorch: its nets with our weights give our logits, and tapegrad with its weights gives its logits.

Next file: torch_trains_on.py.
"""

import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file

from checks import FILES, check, evaluate, images, our_logits, same_logits
from notebook import LeNet, lenet_batch_norm

MAKE = {"lenet": LeNet, "batch-norm": lenet_batch_norm}


def logits(net, pixels):
    with torch.inference_mode():
        return torch.cat([net.eval()(part) for part in torch.from_numpy(pixels).split(1000)]).numpy()


def with_our_weights(net, pixels):
    model = MAKE[net]()
    # Strict: every name must be there, and no other.
    model.load_state_dict(load_file(FILES / f"{net}.safetensors"))
    same_logits(f"PyTorch with our weights, {net}", logits(model, pixels), our_logits(net))


def with_its_weights(net, pixels):
    torch.manual_seed(1)
    model = MAKE[net]()
    model.train()(torch.rand(256, 1, 28, 28))  # moves batch norm's statistics away from zero
    path, ours = FILES / f"{net}.torch.safetensors", FILES / f"{net}.torch.logits"
    save_file(model.state_dict(), path)
    evaluate(path, "--logits", ours)
    same_logits(f"tapegrad with PyTorch's weights, {net}", load_arrays(ours)["logits"], logits(model, pixels))


if __name__ == "__main__":
    check("PyTorch", torch.__version__, True)
    test = images("t10k")
    for net in MAKE:
        with_our_weights(net, test)
        with_its_weights(net, test)
