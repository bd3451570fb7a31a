"""Nearest's peak memory does not grow with k; Algorithm 1's does."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.pairing.algorithm_1 import nearest_of_k
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from immiscible_diffusion.pairing import Nearest

CLEAN = torch.randn(4, 3, 128, 128)
BYTES = CLEAN.numel() * 4


class LiveBytes(TorchDispatchMode):
    """Adds up the storages that operations make, for as long as any tensor on them lives."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[int, int] = {}  # tensors alive on each storage, by address
        self.live = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = {id(leaf) for leaf in tree_flatten((args, kwargs or {}))[0]}
        for leaf in tree_flatten(out)[0]:
            if isinstance(leaf, Tensor) and id(leaf) not in known:
                self._count(leaf, args)
        return out

    def _count(self, tensor: Tensor, args: Any) -> None:
        address, size = tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()
        given = {a.untyped_storage().data_ptr() for a in tree_flatten(args)[0] if isinstance(a, Tensor)}
        if address not in self.users and address in given:
            return  # a view of what the caller holds
        if address not in self.users:
            self.users[address] = 0
            self.live += size
            self.peak = max(self.peak, self.live)
        self.users[address] += 1
        weakref.finalize(tensor, self._release, address, size)

    def _release(self, address: int, size: int) -> None:
        self.users[address] -= 1
        if not self.users[address]:
            del self.users[address]
            self.live -= size


def peak_bytes(call: Callable[[], object]) -> int:
    with LiveBytes() as meter:
        call()
    return meter.peak


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
