"""ops.txt: every op's output and gradients, on small tensors.

A case is called `op.variant`. Its lines are

    op.variant.x            the inputs, by the names in the crate's op files
    op.variant.stride       the options, as small tensors (true is 1)
    op.variant.dy           the gradient that comes from above
    op.variant.y            the output
    op.variant.dx           the gradient of sum(y * dy) with respect to x

With dy at random, an error in any element of y's adjoint shows in dx; with
dy = 1 many would cancel.

Next file: optimizers.py.
"""

import torch
import torch.nn.functional as F

from data import Golden
from notebook import BatchNorm

DTYPES = (torch.float32, torch.float64)


def case(golden, name, compute, inputs, options=None, gradients=True):
    """Runs `compute(**inputs)` and its backward in both precisions and writes the results."""
    for option, value in (options or {}).items():
        golden.given(f"{name}.{option}", value)
    shape = compute(**inputs).shape
    dy = golden.values(f"{name}.dy", shape) if gradients else None
    runs = []
    for dtype in DTYPES:
        leaves = {
            key: tensor.to(dtype).requires_grad_(gradients) if tensor.is_floating_point() else tensor
            for key, tensor in inputs.items()
        }
        y = compute(**leaves)
        results = {"y": y}
        if gradients:
            (y * dy.to(dtype)).sum().backward()
            results |= {"d" + key: leaf.grad for key, leaf in leaves.items() if leaf.is_floating_point()}
        runs.append(results)
    single, double = runs
    for key in single:
        golden.expected(f"{name}.{key}", single[key], double[key])


def conv2d(golden):
    golden.comment("conv2d: x [n,c,h,w], w [oc,c/groups,kh,kw], b [oc]; options by axis (rows, columns).")
    cases = [
        # variant, x, w, stride, padding, dilation, groups
        ("plain", (2, 1, 5, 4), (2, 1, 3, 3), (1, 1), (0, 0), (1, 1), 1),
        ("channels", (2, 3, 4, 5), (2, 3, 3, 2), (1, 1), (0, 0), (1, 1), 1),
        ("one_by_one", (1, 3, 3, 3), (2, 3, 1, 1), (1, 1), (0, 0), (1, 1), 1),
        ("padding", (1, 1, 6, 8), (1, 1, 5, 3), (1, 1), (2, 1), (1, 1), 1),
        ("stride", (1, 1, 6, 8), (2, 1, 3, 5), (3, 4), (0, 1), (1, 1), 1),
        ("asymmetric", (1, 2, 7, 5), (3, 2, 2, 3), (2, 1), (1, 2), (1, 1), 1),
        ("dilation", (1, 2, 7, 8), (2, 2, 3, 2), (1, 1), (1, 0), (2, 3), 1),
        ("groups", (1, 4, 4, 4), (6, 2, 3, 2), (1, 1), (1, 0), (1, 1), 2),
        ("depthwise", (1, 3, 5, 4), (6, 1, 3, 3), (2, 2), (1, 1), (1, 1), 3),
        ("everything", (2, 4, 7, 5), (4, 2, 3, 2), (2, 3), (3, 1), (2, 1), 2),
        ("size_one", (1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ]
    for variant, x, w, stride, padding, dilation, groups in cases:
        name = f"conv2d.{variant}"
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        inputs = {
            "x": golden.values(f"{name}.x", x),
            "w": golden.values(f"{name}.w", w),
            "b": golden.values(f"{name}.b", w[:1]),
        }
        case(golden, name, lambda x, w, b: F.conv2d(x, w, b, **options), inputs, options)


def max_pool2d(golden):
    golden.comment("max_pool2d: x [n,c,h,w]; of equal maxima the first takes the gradient; NaN wins.")
    nan, inf = float("nan"), float("inf")
    cases = [
        # variant, x, kernel, stride, padding, dilation, ceil_mode
        ("plain", (2, 3, 6, 4), (2, 2), (2, 2), (0, 0), (1, 1), False),
        ("notebook", (1, 2, 4, 4), (3, 3), (2, 2), (1, 1), (1, 1), False),
        ("overlapping", (1, 2, 5, 6), (3, 2), (1, 1), (0, 0), (1, 1), False),
        ("asymmetric", (2, 1, 7, 8), (3, 4), (2, 3), (1, 2), (1, 1), False),
        ("dilation", (1, 2, 8, 7), (3, 2), (2, 1), (1, 1), (2, 3), False),
        ("ceil", (1, 2, 6, 7), (3, 3), (2, 2), (0, 0), (1, 1), True),
        ("ceil_last_window_left_out", (1, 1, 5, 5), (2, 2), (3, 3), (1, 1), (1, 1), True),
        ("ceil_dilation", (1, 1, 7, 9), (2, 3), (3, 2), (1, 1), (2, 2), True),
        ("ties", (1, 2, 6, 6), (3, 3), (2, 2), (1, 1), (1, 1), False),
        ("nan", (1, 1, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ]
    for variant, x, kernel, stride, padding, dilation, ceil_mode in cases:
        name = f"max_pool2d.{variant}"
        options = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        options["ceil_mode"] = float(ceil_mode)
        if variant == "ties":
            tensor = golden.labels(f"{name}.x", x, 3).double()
        elif variant == "nan":
            tensor = [[1, nan, 2, 3], [nan, 4, 5, 5], [-inf, -inf, 0, -0.0], [-inf, -inf, -1, nan]]
            tensor = golden.given(f"{name}.x", [[tensor]])
        else:
            tensor = golden.values(f"{name}.x", x)

        def compute(x):
            return F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)

        case(golden, name, compute, {"x": tensor}, options)


def avg_pool2d(golden):
    golden.comment("avg_pool2d: x [n,c,h,w].")
    cases = [
        # variant, x, kernel, stride, padding, ceil_mode, count_include_pad
        ("plain", (2, 2, 4, 4), (2, 2), (2, 2), (0, 0), False, True),
        ("asymmetric", (1, 2, 7, 6), (3, 2), (2, 1), (1, 0), False, True),
        ("count_real", (1, 2, 5, 6), (3, 3), (2, 2), (1, 1), False, False),
        ("ceil", (1, 1, 6, 7), (3, 2), (2, 2), (1, 1), True, True),
        ("ceil_count_real", (1, 1, 6, 7), (3, 2), (2, 2), (1, 1), True, False),
        ("ceil_last_window_left_out", (1, 1, 5, 5), (2, 2), (3, 3), (1, 1), True, True),
    ]
    for variant, x, kernel, stride, padding, ceil_mode, count_include_pad in cases:
        name = f"avg_pool2d.{variant}"
        options = {"kernel": kernel, "stride": stride, "padding": padding}
        options |= {"ceil_mode": float(ceil_mode), "count_include_pad": float(count_include_pad)}

        def compute(x):
            return F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad)

        case(golden, name, compute, {"x": golden.values(f"{name}.x", x)}, options)


def batch_norm(golden):
    """Three training steps from moving statistics of zero, then inference."""
    golden.comment("batch_norm: the notebook's, eps 1e-5, momentum 0.9, biased variance; steps 1 to 3, then inference.")
    for variant, shape in [("two_d", (7, 3)), ("four_d", (2, 2, 3, 4)), ("four_d_pixel", (5, 3, 1, 1))]:
        name = f"batch_norm.{variant}"
        channels = shape[1]
        gamma = golden.values(f"{name}.gamma", (channels,), scale=0.5, offset=1)
        beta = golden.values(f"{name}.beta", (channels,), scale=0.5)
        layers = [BatchNorm(channels, len(shape)).to(dtype) for dtype in DTYPES]
        for layer, dtype in zip(layers, DTYPES):
            layer.gamma.data = gamma.to(dtype).reshape(layer.gamma.shape)
            layer.beta.data = beta.to(dtype).reshape(layer.beta.shape)
        for step in ("step1", "step2", "step3", "inference"):
            x = golden.values(f"{name}.{step}.x", shape, scale=2, offset=0.5)
            dy = golden.values(f"{name}.{step}.dy", shape)
            runs = []
            for layer, dtype in zip(layers, DTYPES):
                layer.train(step != "inference")
                layer.zero_grad()
                leaf = x.to(dtype).requires_grad_()
                y = layer(leaf)
                (y * dy.to(dtype)).sum().backward()
                runs.append({
                    "y": y,
                    "dx": leaf.grad,
                    "dgamma": layer.gamma.grad.reshape(-1).clone(),
                    "dbeta": layer.beta.grad.reshape(-1).clone(),
                    "moving_mean": layer.moving_mean.reshape(-1),
                    "moving_var": layer.moving_var.reshape(-1),
                })
            for key in runs[0]:
                # Of steps 2 and 3 only the moving statistics are news.
                if step in ("step1", "inference") or key.startswith("moving"):
                    golden.expected(f"{name}.{step}.{key}", runs[0][key], runs[1][key])


def losses(golden):
    golden.comment("cross_entropy: x [n,classes], labels [n]; mse_loss: x, target; both the mean.")
    for variant, shape, scale in [("plain", (5, 4), 1), ("far_apart", (4, 10), 128), ("one_row", (1, 3), 4)]:
        name = f"cross_entropy.{variant}"
        inputs = {
            "x": golden.values(f"{name}.x", shape, scale=scale),
            "labels": golden.labels(f"{name}.labels", shape[:1], shape[1]),
        }
        case(golden, name, lambda x, labels: F.cross_entropy(x, labels), inputs)
    name = "mse_loss.plain"
    inputs = {key: golden.values(f"{name}.{key}", (3, 4)) for key in ("x", "target")}
    case(golden, name, lambda x, target: F.mse_loss(x, target), inputs)

    golden.comment("softmax and log_softmax over the axis `dim`.")
    for op in (F.softmax, F.log_softmax):
        for variant, shape, dim, scale in [
            ("last", (3, 5), 1, 1),
            ("first", (4, 3), 0, 4),
            ("middle", (2, 3, 4), 1, 1),
            ("far_apart", (2, 6), 1, 128),
        ]:
            name = f"{op.__name__}.{variant}"
            x = golden.values(f"{name}.x", shape, scale=scale)
            case(golden, name, lambda x: op(x, dim), {"x": x}, {"dim": dim})


def element_wise(golden):
    golden.comment("element-wise functions of one tensor.")
    signed = {"scale": 8}
    positive = {"absolute": True, "scale": 4, "offset": 0.015625}
    for op, how in [
        (torch.sigmoid, signed),
        (torch.tanh, signed),
        (torch.relu, signed),
        (torch.exp, signed),
        (torch.square, signed),
        (torch.log, positive),
        (torch.sqrt, positive),
    ]:
        name = ("ln" if op is torch.log else op.__name__) + ".plain"
        case(golden, name, op, {"x": golden.values(f"{name}.x", (3, 7), **how)})
    for variant, exponent, how in [
        ("two", 2, signed),
        ("three", 3, signed),
        ("half", 0.5, positive),
        ("negative", -1.5, positive),
        ("zero", 0, signed),
    ]:
        name = f"pow.{variant}"
        x = golden.values(f"{name}.x", (2, 5), **how)
        case(golden, name, lambda x: x.pow(exponent), {"x": x}, {"exponent": exponent})

    # Here the float32 run is what to hold an engine against: exp(90) is a number in float64.
    golden.comment("values where careless formulas overflow or lose everything; forward only; compare with the float32 run.")
    inf = float("inf")
    extreme = [-inf, -200, -90, -30, -1e-4, -0.0, 0, 1e-4, 30, 90, 200, inf, float("nan")]
    for op in (torch.sigmoid, torch.tanh, torch.relu, torch.exp):
        name = f"{op.__name__}.extreme"
        # 1e-4 is no exact float32: round once, so that both runs see the same number.
        x = torch.tensor(extreme, dtype=torch.float32).double()
        case(golden, name, op, {"x": golden.given(f"{name}.x", x)}, gradients=False)


def arithmetic(golden):
    golden.comment("arithmetic with broadcasting: y = a op b.")
    for op in (torch.add, torch.sub, torch.mul, torch.div):
        # A divisor keeps away from zero.
        how = {"absolute": True, "offset": 0.5} if op is torch.div else {}
        for variant, a, b in [
            ("same", (2, 3), (2, 3)),
            ("row", (2, 3), (3,)),
            ("outer", (3, 1), (1, 4)),
            ("both", (2, 1, 4), (3, 1)),
            ("scalar", (), (2, 2)),
        ]:
            name = f"{op.__name__}.{variant}"
            inputs = {"a": golden.values(f"{name}.a", a), "b": golden.values(f"{name}.b", b, **how)}
            case(golden, name, lambda a, b: op(a, b), inputs)


def reductions(golden):
    golden.comment("reductions of x over the axes `dim` (all when there is no such line).")
    shape = (2, 3, 4)
    for variant, dim, keepdim in [
        ("all", None, False),
        ("first", (0,), False),
        ("middle", (1,), False),
        ("last_kept", (2,), True),
        ("outer", (0, 2), False),
    ]:
        options = {"keepdim": float(keepdim)} | ({"dim": dim} if dim else {})
        axes = dim or (0, 1, 2)
        for op, compute in [
            ("sum", lambda x: x.sum(axes, keepdim)),
            ("mean", lambda x: x.mean(axes, keepdim)),
            ("max", lambda x: x.amax(axes, keepdim)),
            ("norm", lambda x: torch.linalg.vector_norm(x, 2, axes, keepdim)),
        ]:
            name = f"{op}.{variant}"
            case(golden, name, compute, {"x": golden.values(f"{name}.x", shape)}, options)
        if dim is None or len(dim) == 1:
            name = f"argmax.{variant}"
            x = golden.values(f"{name}.x", shape)
            axis = dim[0] if dim else None
            case(golden, name, lambda x: x.argmax(axis, keepdim), {"x": x}, options, gradients=False)
    name = "argmax.ties"
    x = golden.labels(f"{name}.x", (6, 8), 3).double()
    case(golden, name, lambda x: x.argmax(1), {"x": x}, {"dim": (1,)}, gradients=False)


def products(golden):
    golden.comment("matmul: y = a b over the last two axes, the others broadcast.")
    for variant, a, b in [
        ("plain", (3, 4), (4, 5)),
        ("batched", (2, 3, 4), (2, 4, 2)),
        ("left_shared", (3, 4), (2, 4, 2)),
        ("right_shared", (2, 2, 3), (3, 4)),
        ("broadcast", (2, 1, 2, 3), (3, 3, 2)),
        ("size_one", (1, 1), (1, 1)),
    ]:
        name = f"matmul.{variant}"
        inputs = {"a": golden.values(f"{name}.a", a), "b": golden.values(f"{name}.b", b)}
        case(golden, name, lambda a, b: a @ b, inputs)
    golden.comment("linear: y = x w^T + b, w [out,in].")
    name = "linear.plain"
    inputs = {
        "x": golden.values(f"{name}.x", (3, 5)),
        "w": golden.values(f"{name}.w", (4, 5)),
        "b": golden.values(f"{name}.b", (4,)),
    }
    case(golden, name, lambda x, w, b: F.linear(x, w, b), inputs)


def make(folder):
    golden = Golden(folder / "ops.txt", "Outputs and gradients of every op. What the names mean is in ops.py.")
    for part in (
        conv2d, max_pool2d, avg_pool2d, batch_norm, losses, element_wise, arithmetic, reductions, products,
    ):
        part(golden)
    golden.write()
