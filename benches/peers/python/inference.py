"""The trained LeNet in ONNX Runtime or PyTorch: `inference.py onnxruntime|frozen|compiled FOLDER`, with the files of make_model.py.

`check BATCH`: the logits of the first test images; `run REPEATS BATCH`: seconds of one run.
"""

import os
import pathlib
import sys

import numpy

import fashion_mnist
from protocol import seconds, serve


def onnx_runtime(folder):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    return lambda images: lambda: session.run(None, {"images": images})[0]


def pytorch(folder, compiled):
    import torch
    from torch._inductor import config

    import pytorch_lenet

    config.freezing = True
    net = pytorch_lenet.lenet(batch_norm=False).eval()
    net.load_state_dict(torch.load(folder / "model.pt"))
    cases = {}

    def prepare(images):
        tensor = torch.from_numpy(images)
        if len(images) not in cases:
            with torch.inference_mode():
                if compiled:
                    case = torch.compile(net, dynamic=False)
                else:
                    case = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, tensor)))
                for _ in range(3):
                    case(tensor)  # both compile at the first runs
            cases[len(images)] = case
        case = cases[len(images)]

        def run():
            with torch.inference_mode():
                return case(tensor).numpy()

        return run

    return prepare


def main(engine, folder):
    folder = pathlib.Path(folder)
    prepare = onnx_runtime(folder) if engine == "onnxruntime" else pytorch(folder, engine == "compiled")
    pixels, _ = fashion_mnist.load("t10k")
    images = pixels[:, None].astype(numpy.float32) / numpy.float32(255)

    def answer(request, numbers):
        run = prepare(images[: numbers[-1]])
        return run().ravel().tolist() if request == "check" else [seconds(numbers[0], run)]

    serve(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
