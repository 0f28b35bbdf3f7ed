"""printing.txt: what `print` of a tensor gives, to the letter.

A case is a tensor line, then the text, each line of it after a `|`:

    edges [2,3] 1 0 0 1 1 0
    |tensor([[1., 0., 0.],
    |        [1., 1., 0.]])

All tensors are float32, since the crate knows no other: the notebook's integer tensors are here
as floats.

This is the last file; go on with tests/oracle/golden.rs, which reads what these wrote.
"""

import torch

from data import Golden, count, number, written_shape

NAN, INF = float("nan"), float("inf")


class Printed(Golden):
    def show(self, name, numbers, shape=None):
        """Numbers in full, rounded to float32."""
        tensor = torch.tensor(numbers, dtype=torch.float32)
        tensor = tensor if shape is None else tensor.reshape(shape)
        self.given(name, tensor)
        self.text(tensor)

    def count_up(self, name, shape, scale=1, offset=0):
        """0, 1, 2 … times scale, plus offset."""
        call = "arange()" + (f" * {number(scale)}" if scale != 1 else "") + (f" + {number(offset)}" if offset != 0 else "")
        self.lines.append(f"{name} {written_shape(shape)} = {call}")
        tensor = torch.arange(count(shape), dtype=torch.float64) * scale + offset
        assert torch.equal(tensor.float().double(), tensor), f"{name} does not fit float32"
        self.text(tensor.float().reshape(shape))

    def random(self, name, shape, **how):
        self.text(self.values(name, shape, **how).float())

    def text(self, tensor):
        self.lines += ["|" + line for line in str(tensor).split("\n")]


def notebook(golden):
    golden.comment("the notebook's cells; integer tensors as floats.")
    golden.show("cell_4", [[19, 25], [37, 43]])
    edges = [[1, 1, 0, 0, 0, 0, 1, 1]] * 6
    golden.show("cell_6", edges)
    golden.show("cell_7", [[1, -1]])
    golden.show("cell_9", [[0, 1, 0, 0, 0, -1, 0]] * 6)
    golden.show("cell_11_weight", [[0.87362, -0.85618]])
    golden.show("cell_11_bias", [-0.00984])
    golden.show("cell_17", [[56, 72], [104, 120]])
    golden.show("cell_21", [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]])
    golden.show("cell_25", [[4, 5], [7, 8]])
    golden.show("cell_26", [[2, 3], [5, 6]])
    golden.count_up("cell_27", (1, 1, 4, 4))
    golden.show("cell_28", [[[[10]]]])
    golden.show("cell_29", [[[[5, 7], [13, 15]]]])
    golden.show("cell_30", list(range(16)) + list(range(1, 17)), (1, 2, 4, 4))
    golden.show("cell_31", [[[[5, 7], [13, 15]], [[6, 8], [14, 16]]]])


def numbers(golden):
    golden.comment("one number, and none.")
    for name, value in [
        ("integer", 3), ("negative_integer", -3), ("zero", 0), ("negative_zero", -0.0), ("fraction", 3.14159265),
        ("small", 1e-10), ("least", 1e-45), ("large", 1e8), ("large_integer", 123456792), ("largest", 3.4028235e38),
        ("large_fraction", 12345.678), ("nan", NAN), ("inf", INF), ("minus_inf", -INF), ("tenth", 0.1),
        ("just_under_one", 0.99999994), ("half_way", 0.00005), ("rounds_up", 9.99995),
    ]:
        golden.show(f"scalar_{name}", value)
    for shape in [(0,), (0, 3), (2, 0), (1, 0, 2)]:
        golden.show("empty_" + "_".join(map(str, shape)), [], shape)

    golden.comment("how wide, how many digits, and when the exponent form.")
    for name, row in [
        ("integers", [1, -2, 30]),
        ("fractions", [0.5, -0.25, 0.125]),
        ("four_digits", [0.12345, 1.98765, -2.00005]),
        ("widths", [1.5, -22.25, 333.125]),
        ("integers_at_scale_limit", [100000000, 200000]),
        ("integers_above_scale_limit", [100000008, 200000]),
        ("integers_at_ratio_limit", [1, 1000]),
        ("integers_above_ratio_limit", [1, 1001]),
        ("integers_large", [1e9, 2e9]),
        ("integers_mixed_far", [1, 1e10]),
        ("ratio_below_limit", [1.5, 1499]),
        ("ratio_at_limit", [1.5, 1500]),
        ("ratio_above_limit", [1.5, 1501.25]),
        ("ratio_far", [0.001, 100.5]),
        ("small", [0.0001, 0.0002]),
        ("just_below_small", [0.00009, 0.00008]),
        ("small_and_zero", [0, 0.00005]),
        ("tiny", [1e-20, -3.5e-21]),
        ("denormal", [1e-40, 1e-41]),
        ("large_fractions", [100000.5, 99999.5]),
        ("fraction_hidden_by_rounding", [100000.0078125, 100000]),
        ("exponent_of_three_digits", [1e38, 1.5e-38]),
        ("zeros", [0, 0, 0]),
        ("signs_of_zero", [0.0, -0.0]),
        ("negative_only", [-1, -22, -333]),
        ("negative_small", [-1e-5, 1e-5]),
        ("nan_among_integers", [1, NAN, 3]),
        ("nan_among_fractions", [1.5, NAN, -3.25]),
        ("inf_among_integers", [1, INF, -INF]),
        ("inf_among_fractions", [0.5, INF, -INF]),
        ("inf_among_exponents", [1e-10, INF, 1e10]),
        ("only_nan", [NAN, NAN]),
        ("only_inf", [INF, -INF, NAN]),
        ("all_zero_but_nan", [0, NAN]),
    ]:
        golden.show(f"row_{name}", row)


def layouts(golden):
    golden.comment("brackets and blank lines; lines that wrap at 80 columns.")
    golden.random("random_2_3", (2, 3))
    golden.random("random_3_3_wide", (3, 3), scale=1024)
    golden.random("random_2_2_3", (2, 2, 3))
    golden.random("random_2_1_2_2", (2, 1, 2, 2), absolute=True)
    golden.random("random_1_1_1_1_2", (1, 1, 1, 1, 2))
    golden.random("row_of_30", (30,))
    golden.count_up("count_30", (30,))
    golden.count_up("count_100_halves", (100,), 0.5)
    golden.random("rows_of_12", (2, 12))
    golden.random("rows_of_25_positive", (3, 25), absolute=True)
    golden.count_up("rows_of_40", (2, 40))
    golden.count_up("blocks_of_22", (2, 2, 22), 0.25, -1)
    golden.random("exponents_of_9", (9,), scale=2.0**-20)
    golden.random("fits_exactly", (9,), absolute=True)
    golden.random("one_too_many", (10,), absolute=True)

    golden.comment("more than 1000 elements are summarised, three at each end of an axis.")
    golden.count_up("count_1000", (1000,))
    golden.count_up("count_1001", (1001,))
    golden.random("random_2000", (2000,))
    # The summary decides the number format by what it shows: the 0.5 in the middle does not count.
    golden.show("hidden_fractions", [1.0] * 500 + [0.5] + [2.0] * 500)
    golden.random("random_40_40", (40, 40))
    golden.random("random_5_300", (5, 300))
    golden.random("random_300_5", (300, 5), absolute=True)
    golden.random("random_6_200", (6, 200))
    golden.random("random_7_200", (7, 200))
    golden.random("random_1_1100", (1, 1100))
    golden.count_up("count_600_2", (600, 2), 1, -600)
    golden.random("random_10_11_12", (10, 11, 12))
    golden.random("random_2_3_200", (2, 3, 200))
    golden.random("random_8_1_2_100", (8, 1, 2, 100))
    golden.random("random_7_7_1_90", (7, 7, 1, 90), scale=64)
    golden.random("batch_2_1_28_28", (2, 1, 28, 28), absolute=True)


def make(folder):
    golden = Printed(folder / "printing.txt", "Tensors as torch prints them. The format is in printing.py.")
    notebook(golden)
    numbers(golden)
    layouts(golden)
    golden.write()
