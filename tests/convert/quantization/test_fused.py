"""A network of fused operators: the integers that stand for its ranges."""

import pytest

pytest.importorskip("tflite")

from edge_unlock_convert.quantization.fused import activation_quantization, cell_scale
from edge_unlock_convert.quantization.statistics import Span


@pytest.mark.parametrize("span", [Span(-1, 1), Span(0, 3), Span(-3, 0), Span(-0.2, 5)])
def test_an_integer_is_zero_and_the_ends_are_held(span):
    scale, zero_point = activation_quantization(span)
    assert -128 <= zero_point <= 127
    assert scale * (-128 - zero_point) <= span.low + scale / 2
    assert scale * (127 - zero_point) >= span.high - scale / 2


def test_activations_that_are_always_zero_have_a_scale():
    assert activation_quantization(Span()).scale > 0


@pytest.mark.parametrize(
    ("reach", "scale"),
    [(0, 2**-15), (0.3, 2**-15), (0.999, 2**-15), (1.5, 2**-14), (9, 2**-11), (1e4, 2**-9)],
)
def test_cell_scale_is_a_power_of_two_that_the_kernel_knows(reach, scale):
    assert cell_scale(reach) == scale
