"""Nearest's peak memory does not grow with k; Algorithm 1's does."""

from collections.abc import Callable

import pytest
import torch
from tests.pairing.algorithm_1 import nearest_of_k
from torch import Tensor

from immiscible_diffusion.benchmark.measurement import peak_bytes as measured_peak_bytes
from immiscible_diffusion.pairing import Nearest

CLEAN = torch.randn(4, 3, 128, 128)
BYTES = CLEAN.numel() * 4


def peak_bytes(call: Callable[[], Tensor]) -> int:
    return measured_peak_bytes(call, torch.device("cpu"))[0]


def test_the_meter_sees_what_algorithm_1_holds() -> None:
    peak = peak_bytes(lambda: nearest_of_k(CLEAN, 32))
    assert 2 * 32 * BYTES <= peak < 3.2 * 32 * BYTES  # the candidates and their differences
    assert peak_bytes(lambda: CLEAN.view(4, -1)) == 0


@pytest.mark.parametrize("rule", ["l2", "dot"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_peak_memory_does_not_depend_on_k(rule: str, dtype: torch.dtype) -> None:
    clean = CLEAN.to(dtype)
    peaks = [peak_bytes(lambda k=k: Nearest(k=k, rule=rule)(clean)) for k in (2, 64, 4096, 1_000_000)]
    # A hundred or so (a, c) a row is all that k adds; drawing 4,096 noises would take 4,096 times BYTES.
    assert max(peaks) - min(peaks) < 0.1 * BYTES
    assert max(peaks) < 4.1 * BYTES


def test_peak_memory_with_everything_asked_for() -> None:
    mask = torch.ones(4, 3, dtype=torch.bool)
    pairing = Nearest(k=4096, centre=torch.zeros(3, 1, 1))
    assert peak_bytes(lambda: pairing(CLEAN, mask=mask)) < 6 * BYTES
