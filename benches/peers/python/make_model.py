"""Trains a LeNet for one epoch and writes it for all peers: `make_model.py FOLDER` makes weights.f32, model.pt and model.onnx there.

One set of weights, because the time of PyTorch's pooling depends on the numbers. weights.f32 holds all parameters one after the other in
the order of the layers, weight before bias, as little-endian floats.
"""

import pathlib
import sys

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pytorch_lenet import BATCH, lenet, resident, train_batch


def trained():
    torch.manual_seed(0)
    net = lenet(batch_norm=False)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    images, labels = resident("train")
    for chosen in torch.randperm(len(images)).split(BATCH):
        train_batch(net, nn.CrossEntropyLoss(), optimizer, images[chosen], labels[chosen])
    return net.eval()


def onnx_model(net):
    """The net as an ONNX graph, with a batch of any size."""
    nodes, weights, last = [], [], "images"
    for name, layer in net.named_children():
        names = [f"{name}.{part}" for part, _ in layer.named_parameters()]
        weights += [
            numpy_helper.from_array(value.detach().numpy(), full_name)
            for full_name, value in zip(names, layer.parameters())
        ]
        operator, attributes = {
            nn.Conv2d: ("Conv", {}),
            nn.Sigmoid: ("Sigmoid", {}),
            nn.MaxPool2d: ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            nn.Flatten: ("Flatten", {}),
            nn.Linear: ("Gemm", {"transB": 1}),
        }[type(layer)]
        nodes.append(helper.make_node(operator, [last, *names], [f"{name}.output"], **attributes))
        last = f"{name}.output"
    graph = helper.make_graph(
        nodes,
        "lenet",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", 10])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    return model


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    net = trained()
    values = torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
    (folder / "weights.f32").write_bytes(values.numpy().astype("<f4").tobytes())
    torch.save(net.state_dict(), folder / "model.pt")
    onnx.save(onnx_model(net), folder / "model.onnx")


if __name__ == "__main__":
    main(*sys.argv[1:])
