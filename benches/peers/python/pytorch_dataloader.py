"""PyTorch as the notebook's reader runs it: `pytorch_dataloader.py lenet|lenet-batch-norm WORKERS`.

The notebook's `load_data_fashion_mnist` wraps torchvision's data set in a DataLoader: each image becomes a PIL image, then a tensor, by
itself. The data set below does what torchvision's `FashionMNIST` does with the transform `ToTensor`, without the package.
"""

import sys

import numpy
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

import fashion_mnist
from protocol import serve_trainer
from pytorch_lenet import BATCH, lenet, train_batch


class Pictures(Dataset):
    """torchvision's data set: bytes in a tensor, an image made of them at every access."""

    def __init__(self, part):
        pixels, labels = fashion_mnist.load(part)
        self.data, self.targets = torch.from_numpy(pixels), torch.from_numpy(labels).long()

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return to_tensor(Image.fromarray(self.data[i].numpy())), int(self.targets[i])


def to_tensor(image):
    """torchvision's `to_tensor`, for a grey image."""
    array = torch.from_numpy(numpy.array(image, numpy.uint8, copy=True))
    array = array.view(image.size[1], image.size[0], 1).permute(2, 0, 1).contiguous()
    return array.to(dtype=torch.float32).div(255)


def main(net_name, workers):
    torch.manual_seed(0)
    net = lenet(batch_norm=net_name == "lenet-batch-norm")
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    loss_function = nn.CrossEntropyLoss()
    train_loader = DataLoader(Pictures("train"), BATCH, shuffle=True, num_workers=int(workers))
    test_loader = DataLoader(Pictures("t10k"), BATCH, shuffle=False, num_workers=int(workers))

    def train(steps):
        net.train()
        loss_sum = correct = 0
        for step, (images, labels) in enumerate(train_loader, start=1):
            loss, right = train_batch(net, loss_function, optimizer, images, labels)
            loss_sum += loss
            correct += right
            if step == steps:
                break
        return loss_sum / steps

    def evaluate():
        net.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in test_loader:
                correct += (net(images).argmax(dim=1) == labels).sum().item()
        return correct / len(test_loader.dataset)

    serve_trainer(train, evaluate)


if __name__ == "__main__":
    main(*sys.argv[1:])
