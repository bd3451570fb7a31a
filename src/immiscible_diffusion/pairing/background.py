"""Noise for the next batch while this one trains, and for several micro-batches at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from immiscible_diffusion.pairing.above import Above
from immiscible_diffusion.pairing.protocol import Pairing

Batch = TypeVar("Batch")


def paired(
    batches: Iterable[Batch],
    pairing: Pairing,
    *,
    generator: torch.Generator | None,
    ahead: int = 1,
    window: int = 1,
    clean_of: Callable[[Batch], Tensor] | None = None,
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield every batch with its noise, which was drawn in a thread while the step before it ran.

    batches: tensors, tuples that start with the images, or objects with `clean` (and perhaps `condition`
        and `mask`, which the pairing is then given, and `levels`, the noise levels σ [B] that `Above` asks
        for); `clean_of` finds the images in anything else.
    generator: the thread's alone while this runs; None only with ahead=0.
    ahead: batches (or windows) that are paired in advance. 0 pairs in the foreground, without a thread: the
        noises are the same, bit for bit, for the same generator state.
    window: successive batches paired as one pool, which an assignment makes more of than of each alone
        (gradient accumulation); those of equal shape and dtype form a pool of their own.
    An error of the pairing surfaces at the next batch asked for. Leaving the loop ends the thread.
    Raises ValueError for a negative ahead, a window under 1, or a thread without a generator.
    """
    if ahead < 0 or window < 1:
        raise ValueError(f"ahead must be 0 or more and window 1 or more, got ahead={ahead}, window={window}")
    if ahead and generator is None:
        raise ValueError(
            "generator must be given where pairing runs in the background: the default generator is drawn "
            "from by the training step meanwhile; pass torch.Generator(device), or ahead=0"
        )
    fields = _fields if clean_of is None else lambda batch: {"clean": clean_of(batch)}
    return _paired(in_windows(batches, window), pairing, generator, ahead, fields)


def _paired(
    windows: Iterator[list[Batch]],
    pairing: Pairing,
    generator: torch.Generator | None,
    ahead: int,
    fields: Callable[[Batch], dict[str, Any]],
) -> Iterator[tuple[Batch, Tensor]]:
    def pair(inputs: list[dict[str, Any]]) -> list[Tensor]:
        return pair_window(pairing, inputs, generator)

    if not ahead:
        for window in windows:
            yield from zip(window, pair([fields(batch) for batch in window]), strict=True)
        return
    # One worker: the generator is drawn from in the order of the batches.
    with ThreadPoolExecutor(1, thread_name_prefix="pairing") as worker:
        waiting: deque[tuple[list[Batch], Future[list[Tensor]]]] = deque()
        try:
            for window in windows:
                waiting.append((window, worker.submit(pair, [fields(batch) for batch in window])))
                if len(waiting) > ahead:
                    ready, noises = waiting.popleft()
                    yield from zip(ready, noises.result(), strict=True)
            while waiting:
                ready, noises = waiting.popleft()
                yield from zip(ready, noises.result(), strict=True)
        finally:
            for _, noises in waiting:
                noises.cancel()


def pair_window(
    pairing: Pairing, inputs: Sequence[dict[str, Any]], generator: torch.Generator | None
) -> list[Tensor]:
    """Pair several batches as one pool for each shape, dtype and device; noises in the order of the batches.

    inputs: the keyword arguments of a pairing's call, `clean` among them, and `levels` for `Above.at`.
        Batches with a mask or a condition are pooled among themselves. Raises TypeError for conditions that
        are not tensors.
    """
    if len(inputs) == 1:
        return [_called(pairing, inputs[0], generator)]
    pools: dict[Any, list[int]] = {}
    for index, given in enumerate(inputs):
        clean, mask = given["clean"], given.get("mask")
        kind = clean.shape[1:], clean.dtype, clean.device, None if mask is None else mask.shape[1:]
        pools.setdefault((*kind, given.get("condition") is None), []).append(index)
    noises: list[Tensor] = [torch.empty(0)] * len(inputs)
    for members in pools.values():
        given = {name: _joined(name, [inputs[index] for index in members]) for name in inputs[members[0]]}
        parts = _called(pairing, given, generator).split([len(inputs[index]["clean"]) for index in members])
        for index, part in zip(members, parts, strict=True):
            noises[index] = part
    return noises


def _called(pairing: Pairing, given: dict[str, Any], generator: torch.Generator | None) -> Tensor:
    """The pairing's noise, of these levels where it is told any and asks for them."""
    levels = given.get("levels")
    if levels is not None and isinstance(pairing, Above):
        pairing = pairing.at(levels)
    return pairing(**{name: v for name, v in given.items() if name != "levels"}, generator=generator)


def _joined(name: str, inputs: Sequence[dict[str, Any]]) -> Tensor | None:
    """One argument of several batches as one tensor."""
    values = [given.get(name) for given in inputs]
    if all(value is None for value in values):
        return None
    if not all(isinstance(value, Tensor) for value in values):
        raise TypeError(
            f"{name} must be a tensor in every batch of a window, got {type(values[0]).__name__}; "
            "use window=1"
        )
    rows = [len(given["clean"]) for given in inputs]
    # A mask may have one row for all of a batch's.
    return torch.cat([v.expand(n, *v.shape[1:]) for v, n in zip(values, rows, strict=True)])  # type: ignore


def in_windows(batches: Iterable[Batch], window: int) -> Iterator[list[Batch]]:
    """Cut into successive groups of so many, the last perhaps of fewer."""
    together: list[Batch] = []
    for batch in batches:
        together.append(batch)
        if len(together) == window:
            yield together
            together = []
    if together:
        yield together


def _fields(batch: Any) -> dict[str, Any]:
    """The arguments that a batch has for a pairing."""
    if isinstance(batch, Tensor):
        return {"clean": batch}
    if hasattr(batch, "clean"):
        names = ("clean", "condition", "mask", "levels")
        return {name: getattr(batch, name) for name in names if getattr(batch, name, None) is not None}
    if isinstance(batch, (tuple, list)) and batch and isinstance(batch[0], Tensor):
        return {"clean": batch[0]}
    raise TypeError(
        f"cannot find the images in a batch of type {type(batch).__name__}; pass clean_of, "
        "e.g. clean_of=lambda batch: batch['pixel_values']"
    )
