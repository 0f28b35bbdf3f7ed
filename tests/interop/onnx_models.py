"""ONNX: the checker takes every model, and ONNX Runtime computes from it what tapegrad computes.

Models are the two trained nets, on all test images, and the zoo of tests/onnx_zoo.rs: all layers with all options.

Next file: tensors.py.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from safetensors.numpy import load_file

from checks import FILES, NETS, check, images, our_logits, same_logits


def shapes(values):
    """The sizes of values by name, numbers and names of axes."""
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values
    }


def accepted(path):
    """The model, if ONNX's checker takes it and infers the shapes that stand in it."""
    model = onnx.load(path)
    written = shapes(model.graph.value_info) | shapes(model.graph.output)
    try:
        onnx.checker.check_model(model, full_check=True)
        bare = onnx.ModelProto.FromString(model.SerializeToString())
        del bare.graph.value_info[:]
        bare.graph.output[0].type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True).graph
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        check(f"onnx.checker, {path.stem}", str(error).splitlines()[0], False)
    inferred = shapes(inferred.value_info) | shapes(inferred.output)
    wrong = [name for name, shape in written.items() if inferred.get(name) != shape]
    return model, f"{len(written)} shapes, {len(wrong)} other than inferred", not wrong


def runtime(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: session.run(["output"], {"input": x})[0]


def trained(net):
    path = FILES / f"{net}.onnx"
    model, figure, holds = accepted(path)
    check(f"onnx.checker, {net}", f"accepted; {figure}", holds)

    saved = load_file(FILES / f"{net}.safetensors")
    exported = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    other = [
        name
        for name in exported.keys() | saved.keys()
        if name not in exported or not np.array_equal(exported[name].ravel(), saved.get(name, np.empty(0)).ravel())
    ]
    check(f"parameters in the ONNX model, {net}", f"{len(exported)}, {len(other)} other than saved", not other)

    run, test = runtime(path), images("t10k")
    same_logits(f"ONNX Runtime, {net}", run(test), our_logits(net))
    # The batch may have any size.
    some = np.concatenate([run(test[:1]), run(test[1:8]), run(test[8:300])])
    same_logits(f"ONNX Runtime, {net}, batches of 1, 7 and 292", some, our_logits(net)[:300])


def zoo():
    paths = sorted((FILES / "zoo").glob("*.onnx"))
    check("the zoo", f"{len(paths)} models (at least 30)", len(paths) >= 30)
    furthest = (0.0, "")
    for path in paths:
        model, figure, holds = accepted(path)
        if not holds:
            check(f"onnx.checker, {path.stem}", figure, False)
        _, *sizes = shapes(model.graph.input)["input"]
        x = np.fromfile(path.with_suffix(".input.f32"), "<f4").reshape(-1, *sizes)
        y = runtime(path)(x)
        expected = np.fromfile(path.with_suffix(".output.f32"), "<f4")
        if y.size != expected.size:
            check(f"ONNX Runtime, {path.stem}", f"{y.size} numbers, not {expected.size}", False)
        distance = np.abs(y.ravel() - expected).max()
        # Not `>`, which holds for no NaN.
        if not distance <= 1e-5:
            check(f"ONNX Runtime, {path.stem}", f"off by {distance:.1e} (allowed 1e-05)", False)
        furthest = max(furthest, (distance, path.stem))
    check("onnx.checker, the zoo", f"{len(paths)} models accepted, shapes as inferred", True)
    check("ONNX Runtime, the zoo", f"within {furthest[0]:.1e}, the furthest {furthest[1]} (allowed 1e-05)", True)


if __name__ == "__main__":
    for net in NETS:
        trained(net)
    zoo()
