"""safetensors: its own library reads what tapegrad saved, and tapegrad reads what that library wrote.

Next file: pictures.py.
"""

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from checks import FILES, NETS, check, evaluate, evaluated, labels, our_logits


def layer(name, *shape):
    """A convolution or a linear layer."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def norm(name, *shape):
    """The notebook's batch norm."""
    return {f"{name}.{part}": shape for part in ["gamma", "beta", "moving_mean", "moving_var"]}


# Names and shapes of the notebook's nets (cells 42 and 39) as PyTorch has them, in the order of their layers.
EXPECTED = {
    "lenet": layer("conv.0", 6, 1, 5, 5)
    | layer("conv.3", 16, 6, 5, 5)
    | layer("fc.0", 120, 256)
    | layer("fc.2", 84, 120)
    | layer("fc.4", 10, 84),
    "batch-norm": layer("0", 6, 1, 5, 5)
    | norm("1", 1, 6, 1, 1)
    | layer("4", 16, 6, 5, 5)
    | norm("5", 1, 16, 1, 1)
    | layer("9", 120, 256)
    | norm("10", 1, 120)
    | layer("12", 84, 120)
    | norm("13", 1, 84)
    | layer("15", 10, 84),
}


def fnv_1a(data):
    hash = 0xCBF29CE484222325
    for byte in data:
        hash = (hash ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{hash:016x}"


def read(net):
    """What the library finds in our file."""
    path = FILES / f"{net}.safetensors"
    expected = EXPECTED[net]
    with safe_open(path, "numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}
        metadata = file.metadata()
    other = sorted(set(expected.items()) ^ {(name, tensor.shape) for name, tensor in found.items()})
    figure = f"{len(found)} tensors, with other names or shapes than PyTorch's: {other or 'none'}"
    check(f"safetensors, {net}", figure, not other)

    # The hash that training printed goes over all bytes: one wrong number, and it is another.
    hash = fnv_1a(b"".join(found[name].astype("<f4").tobytes() for name in expected))
    check(f"safetensors, {net}, values", f"hash {hash}, {metadata['parameter_hash']} by the metadata", hash == metadata["parameter_hash"])

    correct = int((our_logits(net).argmax(1) == labels("t10k")).sum())
    said = evaluated((FILES / f"{net}.eval").read_text())
    figure = f"{correct} of 10000 images right by the logits, {said} by lenet eval, {metadata['accuracy']} by the metadata"
    check(f"accuracy, {net}", figure, correct == said and float(metadata["accuracy"]) == correct / 10000)

    name = {"lenet": "LeNet", "batch-norm": "LeNet with batch norm"}[net]
    facts = {"net": name, "seed": "0", "epochs": "1"}
    figure = ", ".join(f"{key} {metadata.get(key)}" for key in facts)
    check(f"metadata, {net}", figure, all(metadata.get(key) == value for key, value in facts.items()))


def written(net):
    """The library writes our tensors anew, backwards and without metadata; lenet eval reads them."""
    tensors = load_file(FILES / f"{net}.safetensors")
    path = FILES / f"{net}.numpy.safetensors"
    save_file(dict(reversed(tensors.items())), path)
    again = FILES / f"{net}.again"
    evaluate(path, "--logits", again)
    other = int((load_file(again)["logits"].view("<u4") != our_logits(net).view("<u4")).sum())
    check(f"tapegrad reads safetensors' file, {net}", f"{other} logits with other bits than before", other == 0)


if __name__ == "__main__":
    for net in NETS:
        read(net)
        written(net)
