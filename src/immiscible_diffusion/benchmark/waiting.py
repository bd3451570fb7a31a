"""How long a training step waits for its noise when pairing runs one batch ahead."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from immiscible_diffusion.pairing import Pairing
from immiscible_diffusion.pairing.background import paired


@dataclass(frozen=True)
class Waiting:
    """How one run went.

    ahead: batches paired in advance. step: seconds a step, waiting for noise included. waited: seconds of
    these that it waited. share: the same as a fraction. first: seconds before the first step.
    """

    ahead: int
    step: float
    waited: float
    share: float
    first: float


def bench_waiting(
    pairing: Pairing,
    step: Callable[[Tensor, Tensor], object],
    clean: Tensor,
    *,
    steps: int = 10,
    seed: int = 0,
) -> tuple[Waiting, Waiting]:
    """Run `step(clean, noise)` `steps` times, paired in the foreground and then one batch ahead.

    The first batch has no step to hide behind and is reported apart.
    """
    return _run(pairing, step, clean, steps, seed, ahead=0), _run(pairing, step, clean, steps, seed, ahead=1)


def _run(
    pairing: Pairing,
    step: Callable[[Tensor, Tensor], object],
    clean: Tensor,
    steps: int,
    seed: int,
    ahead: int,
) -> Waiting:
    generator = torch.Generator(clean.device).manual_seed(seed)
    batches: Iterator[Tensor] = (clean for _ in range(steps + 1))
    pairs = paired(batches, pairing, generator=generator, ahead=ahead)
    start = time.perf_counter()
    images, noise = next(pairs)
    first = time.perf_counter() - start
    step(images, noise)
    waited = 0.0
    begun = time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        images, noise = next(pairs)
        waited += time.perf_counter() - asked
        step(images, noise)
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
    whole = time.perf_counter() - begun
    return Waiting(ahead, whole / steps, waited / steps, waited / whole, first)
