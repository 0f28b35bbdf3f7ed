"""Pictures: Pillow reads the PNG files that are written here, and `lenet predict` those of Pillow, grey and in colour.

Next file: torch_nets.py.
"""

import os
import subprocess

import numpy as np
from PIL import Image

from checks import FILES, check, images

# A picture whose pixels are all different: 16 x 16, white in the lower right corner.
grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
Image.fromarray(grey).save(FILES / "grey.png")
command = [os.environ["EDGE_KERNEL"], "--image", FILES / "grey.png", "--out", FILES / "edges.png"]
done = subprocess.run(command, capture_output=True, text=True)
check("edge_kernel reads Pillow's PNG", done.stderr.strip(), done.returncode == 0)
with Image.open(FILES / "edges.png") as edges:
    edges.load()
    shape = f"{edges.mode}, {edges.width} x {edges.height}"
    # A kernel of one row and two columns leaves 15 columns of 16; each pixel is a square.
    check("Pillow reads the PNG of edge_kernel", shape, edges.mode == "L" and edges.width * 16 == edges.height * 15)


def predict(*paths):
    """The line for each picture, without its name."""
    command = [os.environ["LENET"], "predict", "--load", FILES / "lenet.safetensors", *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    check(f"lenet predict, {len(paths)} pictures", done.stderr.strip() or "read", done.returncode == 0)
    return [line.split(": ", 1)[1] for line in done.stdout.splitlines()]


def certain(lines):
    """The probability of the likeliest class of each."""
    return np.array([float(line.split(", ")[0].rsplit(" ", 1)[1]) for line in lines])


# Test images as they are, in colour, and eight times as large.
shown = (images("t10k")[:50, 0] * 255).round().astype(np.uint8)
names = []
for i, pixels in enumerate(shown):
    picture = Image.fromarray(pixels)
    for kind, made in {"grey": picture, "colour": picture.convert("RGB"), "large": picture.resize((224, 224), Image.NEAREST)}.items():
        made.save(FILES / f"{kind}-{i}.png")
        names.append((kind, i))
lines = dict(zip(names, predict(*[FILES / f"{kind}-{i}.png" for kind, i in names])))
other = sum(lines["grey", i] != lines["colour", i] for i in range(50))
check("grey pictures in colour", f"{other} of 50 with another answer", other == 0)
apart = np.abs(certain([lines["grey", i] for i in range(50)]) - certain([lines["large", i] for i in range(50)])).max()
check("pictures eight times as large", f"probabilities within {apart:.3f} (allowed 0.05)", apart <= 0.05)
