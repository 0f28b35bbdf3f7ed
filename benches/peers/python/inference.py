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

    def prepare(images):
        # Bound once, so that a run is nothing but the run.
        output = onnxruntime.OrtValue.ortvalue_from_numpy(numpy.empty((len(images), 10), numpy.float32))
        binding = session.io_binding()
        binding.bind_ortvalue_input("images", onnxruntime.OrtValue.ortvalue_from_numpy(images))
        binding.bind_ortvalue_output(session.get_outputs()[0].name, output)

        def run():
            session.run_with_iobinding(binding)
            return output

        return run

    return prepare


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
                    case = torch.jit.freeze(torch.jit.trace(net, tensor))
                for _ in range(3):
                    case(tensor)  # both compile at the first runs
            cases[len(images)] = case
        case = cases[len(images)]

        def run():
            with torch.inference_mode():
                return case(tensor)

        return run

    return prepare


def main(engine, folder):
    folder = pathlib.Path(folder)
    prepare = onnx_runtime(folder) if engine == "onnxruntime" else pytorch(folder, engine == "compiled")
    pixels, _ = fashion_mnist.load("t10k")
    images = pixels[:, None].astype(numpy.float32) / numpy.float32(255)

    def answer(request, numbers):
        run = prepare(images[: numbers[-1]])
        return run().numpy().ravel().tolist() if request == "check" else [seconds(numbers[0], run)]

    serve(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
