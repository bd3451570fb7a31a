"""Time, peak memory and distance of every method on one batch, taken in turns."""

import gc
import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from immiscible_diffusion.benchmark.methods import Method


@dataclass(frozen=True)
class Row:
    """One method on one batch size of one kind of data.

    milliseconds: median. ratio: to `randn_like`, taken in the same turns. extra_batches: peak memory beside
    the result, in batches of noise. distance_change: of the mean image-noise distance, in per cent of that of
    `randn_like`. not_run: why there are no numbers, or "". runs: how many the median is of.
    """

    method: str
    size: str
    batch: int
    milliseconds: float | None = None
    ratio: float | None = None
    extra_batches: float | None = None
    distance_change: float | None = None
    runs: int = 0
    not_run: str = ""


def measure(
    methods: Sequence[Method],
    clean: Tensor,
    size: str,
    *,
    repeats: int,
    seconds: float,
    memory: float,
    seed: int = 0,
) -> list[Row]:
    """Time every method on `clean` [B, ...], the first of which is the yardstick.

    Methods take turns, so that what else the machine does hits all alike. repeats: the most turns. seconds:
    what one method may take in all; it then has had its last turn. memory: bytes that a method may hold.
    """
    generator = torch.Generator(clean.device).manual_seed(seed)
    reasons = {method.name: method.unavailable or _too_large(method, clean, memory) for method in methods}
    able = [method for method in methods if not reasons[method.name]]
    extra: dict[str, float] = {}
    distances: dict[str, float] = {}
    times: dict[str, list[float]] = {method.name: [] for method in able}
    for method in able:  # also warms up
        peak, noise = peak_bytes(lambda method=method: method.draw(clean, generator), clean.device)  # type: ignore
        extra[method.name] = peak / (clean.numel() * clean.element_size()) - 1
        distances[method.name] = float((clean - noise).flatten(1).float().norm(dim=1).mean())
        del noise
    for _ in range(repeats):
        for method in able:
            if sum(times[method.name]) < seconds:
                times[method.name].append(_timed(method, clean, generator))
    yardstick = statistics.median(times[able[0].name]) if able else 0.0
    rows = []
    for method in methods:
        if reasons[method.name]:
            rows.append(Row(method.name, size, len(clean), not_run=reasons[method.name]))
            continue
        median = statistics.median(times[method.name])
        rows.append(
            Row(
                method.name,
                size,
                len(clean),
                milliseconds=1e3 * median,
                ratio=median / yardstick,
                extra_batches=max(0.0, extra[method.name]),
                distance_change=100 * (distances[method.name] / distances[able[0].name] - 1),
                runs=len(times[method.name]),
            )
        )
    return rows


def _too_large(method: Method, clean: Tensor, memory: float) -> str:
    element = clean.element_size()
    needed = method.copies * clean.numel() * element + (8 * len(clean) ** 2 if method.square else 0)
    return f"would hold {needed / 2**30:.0f} GiB" if needed > memory else ""


def _timed(method: Method, clean: Tensor, generator: torch.Generator) -> float:
    _synchronise(clean.device)
    start = time.perf_counter()
    method.draw(clean, generator)
    _synchronise(clean.device)
    return time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(call: Callable[[], Tensor], device: torch.device) -> tuple[int, Tensor]:
    """The most bytes of tensors that a call held at once, its result among them, and the result.

    On a CPU what NumPy and scipy hold beside torch's tensors is not seen.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = call()
        return torch.cuda.max_memory_allocated(device) - before, result
    with _LiveBytes() as meter:
        result = call()
    return meter.peak, result


class _LiveBytes(TorchDispatchMode):
    """Adds up the storages that operations make, for as long as any tensor on them lives."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[int, int] = {}  # tensors alive on each storage, by address
        self.live = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_flatten((args, kwargs or {}))[0] if isinstance(leaf, Tensor)]
        known = {id(leaf) for leaf in given}
        addresses = {leaf.untyped_storage().data_ptr() for leaf in given}
        for leaf in tree_flatten(result)[0]:
            if isinstance(leaf, Tensor) and id(leaf) not in known:
                self._count(leaf, addresses)
        return result

    def _count(self, tensor: Tensor, given: set[int]) -> None:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if address not in self.users:
            if address in given:
                return  # a view of what the caller holds
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
