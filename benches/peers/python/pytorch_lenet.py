"""PyTorch trains LeNet: `pytorch_lenet.py lenet|lenet-batch-norm eager|best|compiled`.

The data is in memory as a tensor, and a batch is picked from it by index, which is faster than any DataLoader (see
pytorch_dataloader.py). The loop is the notebook's, with what it computes in every step: the loss and the number of right answers.
"""

import sys

import torch
from torch import nn

import fashion_mnist
from protocol import serve_trainer

BATCH = 256


def lenet(batch_norm):
    """The notebook's two nets."""

    def activation(norm):
        return [norm, nn.Sigmoid()] if batch_norm else [nn.Sigmoid()]

    return nn.Sequential(
        nn.Conv2d(1, 6, 5), *activation(nn.BatchNorm2d(6)), nn.MaxPool2d(2, 2),
        nn.Conv2d(6, 16, 5), *activation(nn.BatchNorm2d(16)), nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(256, 120), *activation(nn.BatchNorm1d(120)),
        nn.Linear(120, 84), *activation(nn.BatchNorm1d(84)),
        nn.Linear(84, 10),
    )  # fmt: skip


def train_batch(net, loss_function, optimizer, images, labels):
    """One step of the notebook's loop: the loss, and how many of the images were right."""
    logits = net(images)
    loss = loss_function(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item(), (logits.argmax(dim=1) == labels).sum().item()


def resident(part):
    """All images and labels, as tensors."""
    pixels, labels = fashion_mnist.load(part)
    return torch.from_numpy(pixels).float().div_(255).unsqueeze(1), torch.from_numpy(labels).long()


def main(net_name, configuration):
    torch.manual_seed(0)
    net = lenet(batch_norm=net_name == "lenet-batch-norm")
    if configuration == "best":
        net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=configuration == "best" or None)
    if configuration == "compiled":
        net = torch.compile(net, dynamic=False)
    loss_function = nn.CrossEntropyLoss()
    images, labels = resident("train")
    test_images, test_labels = resident("t10k")

    def train(steps):
        net.train()
        loss_sum = correct = 0
        for chosen in fashion_mnist.some(torch.randperm(len(images)).split(BATCH), steps):
            loss, right = train_batch(net, loss_function, optimizer, images[chosen], labels[chosen])
            loss_sum += loss
            correct += right
        return loss_sum / steps

    def evaluate():
        net.eval()
        correct = 0
        with torch.no_grad():
            for batch, answers in zip(test_images.split(BATCH), test_labels.split(BATCH)):
                correct += (net(batch).argmax(dim=1) == answers).sum().item()
        return correct / len(test_images)

    serve_trainer(train, evaluate)


if __name__ == "__main__":
    main(*sys.argv[1:])
