"""`Nearest` in two passes over the images, in Triton: the noise is drawn inside, twice, and written once.

The first pass draws z and reduces ⟨z, x⟩, ‖z‖² and ‖x‖²; the winner of k is then found for the row
(`winner.py`); the second draws the same z again (Philox answers a counter, so nothing need be kept) and
writes n = s z + m x. On request it writes the noisy images and the target instead: n never leaves the chip.
Philox from the same seed gives the same numbers on every device and for every launch.

Status: tested under Triton's CPU interpreter (TRITON_INTERPRET=1). On a GPU: not run.
"""

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

COUNTERS = 1024  # a counter of Philox gives four normals
PART = 4 * COUNTERS  # elements of a row that one program works on
Move = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

logger = logging.getLogger(__name__)


@triton.jit
def _quarter(first: Any, second: Any, third: Any, fourth: Any, quarter: tl.constexpr) -> Any:
    drawn = first
    if quarter == 1:
        drawn = second
    if quarter == 2:
        drawn = third
    if quarter == 3:
        drawn = fourth
    return drawn


@triton.jit
def _reduce(
    seed_at: Any,
    clean_at: Any,
    centre_at: Any,
    sums_at: Any,
    length: Any,
    centred: tl.constexpr,
    counters: tl.constexpr,
) -> None:
    """⟨z, x⟩, ‖z‖², ‖x‖² of one part of one row."""
    row, part, parts = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64), tl.num_programs(1)
    lane = tl.arange(0, counters)
    first, second, third, fourth = tl.randn4x(tl.load(seed_at), (row * parts + part) * counters + lane)
    products = tl.zeros((counters,), tl.float32)
    noise_squares = tl.zeros((counters,), tl.float32)
    clean_squares = tl.zeros((counters,), tl.float32)
    for quarter in tl.static_range(4):
        place = (part * 4 + quarter) * counters + lane
        inside = place < length
        clean = tl.load(clean_at + row * length + place, mask=inside, other=0.0).to(tl.float32)
        if centred:
            clean -= tl.load(centre_at + place, mask=inside, other=0.0)
        noise = tl.where(inside, _quarter(first, second, third, fourth, quarter), 0.0)
        products += noise * clean
        noise_squares += noise * noise
        clean_squares += clean * clean
    sums_at += (row * parts + part) * 3
    tl.store(sums_at, tl.sum(products))
    tl.store(sums_at + 1, tl.sum(noise_squares))
    tl.store(sums_at + 2, tl.sum(clean_squares))


@triton.jit
def _write(
    seed_at: Any,
    clean_at: Any,
    centre_at: Any,
    moves_at: Any,
    noise_at: Any,
    noisy_at: Any,
    target_at: Any,
    length: Any,
    centred: tl.constexpr,
    training: tl.constexpr,
    counters: tl.constexpr,
) -> None:
    """n = s z + m (x − centre), or in training the noisy images and the target made of n and x."""
    row, part, parts = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64), tl.num_programs(1)
    lane = tl.arange(0, counters)
    first, second, third, fourth = tl.randn4x(tl.load(seed_at), (row * parts + part) * counters + lane)
    moves_at += row * 6
    stretch, along = tl.load(moves_at), tl.load(moves_at + 1)
    for quarter in tl.static_range(4):
        place = (part * 4 + quarter) * counters + lane
        inside = place < length
        at = row * length + place
        clean = tl.load(clean_at + at, mask=inside, other=0.0).to(tl.float32)
        towards = clean
        if centred:
            towards = clean - tl.load(centre_at + place, mask=inside, other=0.0)
        noise = stretch * _quarter(first, second, third, fourth, quarter) + along * towards
        if training:
            noisy = tl.load(moves_at + 2) * clean + tl.load(moves_at + 3) * noise
            target = tl.load(moves_at + 4) * clean + tl.load(moves_at + 5) * noise
            tl.store(noisy_at + at, noisy.to(noisy_at.dtype.element_ty), mask=inside)
            tl.store(target_at + at, target.to(target_at.dtype.element_ty), mask=inside)
        else:
            tl.store(noise_at + at, noise.to(noise_at.dtype.element_ty), mask=inside)


def fused_noise(
    clean: Tensor, move: Move, generator: torch.Generator | None, centre: Tensor | None
) -> Tensor:
    """Draw the noise of `clean` [B, ...] in two passes.

    move: given ‖x‖, ⟨z, x⟩, ‖z‖² and D, float64 [B], answers s and m, [B], as `winner.winning_move` does.
    centre: [D], float32, subtracted from the images before choosing, or None.
    Raises ValueError for images that are neither on a GPU nor under the interpreter, or not finite.
    """
    seed, clean, moves = _first_pass(clean, move, generator, centre)
    noise = torch.empty_like(clean)
    _second_pass(seed, clean, centre, moves, (noise, noise, noise), training=False)
    return noise


def fused_training_pair(
    clean: Tensor,
    move: Move,
    generator: torch.Generator | None,
    centre: Tensor | None,
    noisy: tuple[Tensor, Tensor],
    target: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Form what a training step needs of the noise, without writing the noise.

    noisy, target: the weights of image and noise in each, [B] and [B]. Flow matching has noisy = (1 − t, t)
    and target = (−1, 1); DDPM has noisy = (√ᾱ, √(1 − ᾱ)) and target = (0, 1). The rest as in `fused_noise`.
    Returns the noisy images and the targets, shaped and typed like `clean`.
    """
    seed, clean, moves = _first_pass(clean, move, generator, centre)
    for column, weight in enumerate((*noisy, *target), start=2):
        moves[:, column] = weight.to(moves)
    outputs = torch.empty_like(clean), torch.empty_like(clean)
    _second_pass(seed, clean, centre, moves, (outputs[0], *outputs), training=True)
    return outputs


def _first_pass(
    clean: Tensor, move: Move, generator: torch.Generator | None, centre: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Seed, contiguous images and the rows' six weights: s, m, and four that the caller may fill."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if not clean.is_cuda and not interpreted:
        raise ValueError(
            f"fused=True needs images on an NVIDIA GPU, got {clean.device}; use Nearest(fused=False) there"
        )
    _announce(interpreted)
    clean = clean.detach().contiguous()
    rows, length = len(clean), clean[0].numel()
    grid = (rows, triton.cdiv(length, PART))
    # On the device, so that nothing waits for it.
    seed = torch.randint(2**62, (1,), device=clean.device, generator=generator)
    sums = torch.empty((*grid, 3), device=clean.device)
    subtracted = clean if centre is None else centre
    _reduce[grid](seed, clean, subtracted, sums, length, centred=centre is not None, counters=COUNTERS)
    product, noise_squares, clean_squares = sums.double().sum(dim=1).unbind(dim=1)
    if not torch.compiler.is_compiling() and not bool(torch.isfinite(clean_squares).all()):
        row = int((~torch.isfinite(clean_squares)).nonzero()[0])
        raise ValueError(
            f"clean has a NaN, infinite or far too large value in row {row}; remove or repair it"
        )
    dimension = torch.full_like(product, length)
    stretch, along = move(clean_squares.sqrt(), product, noise_squares, dimension)
    moves = torch.zeros((rows, 6), device=clean.device)
    moves[:, 0], moves[:, 1] = stretch, along
    return seed, clean, moves


def _second_pass(
    seed: Tensor,
    clean: Tensor,
    centre: Tensor | None,
    moves: Tensor,
    outputs: tuple[Tensor, Tensor, Tensor],
    training: bool,
) -> None:
    length = clean[0].numel()
    grid = (len(clean), triton.cdiv(length, PART))
    subtracted = clean if centre is None else centre
    flags = {"centred": centre is not None, "training": training, "counters": COUNTERS}
    _write[grid](seed, clean, subtracted, moves, *outputs, length, **flags)


@cache
def _announce(interpreted: bool) -> None:
    logger.info(
        "nearest noise is drawn by a Triton kernel%s", " under the interpreter" if interpreted else ""
    )
