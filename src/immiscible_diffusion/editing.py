"""Painting a hole: the sampler of any objective, with the known part held by re-noising it at every step.

RePaint (Lugmayr et al. 2022): what is known is diffused afresh to each time and put in place; stepping back
up and down again ("resampling") lets the painted part agree with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from immiscible_diffusion.data.images import to_clean, to_pixels
from immiscible_diffusion.masks import coarser_hole
from immiscible_diffusion.objectives import Network, Objective, mixing_scales
from immiscible_diffusion.sampling import SamplingStep


@torch.no_grad()
def inpainting_steps(
    objective: Objective,
    network: Network,
    clean: Tensor,
    hole: Tensor,
    steps: int,
    *,
    generator: torch.Generator,
    resampling: int = 1,
    churn: float = 1.0,
    condition: Tensor | None = None,
) -> Iterator[SamplingStep]:
    """Paint the hole of images, yielding after every step from pure noise to clean.

    clean: [B, ...] at training scale; what it holds inside the hole is never looked at. hole: bool, its shape
        broadcasts to that of `clean`; True where pixels are missing.
    steps: times of the sampler; the network is evaluated (steps − 1) · resampling + 1 times.
    generator: on the device of `clean`; every noise is independent N(0, I) from it, however the network was
        trained.
    resampling: times that each step but the last is walked (RePaint's U, Algorithm 1, jumps of one step); 1
        only replaces the known part.
    churn: share of fresh noise in a step: 1 is ancestral (DDPM, as RePaint), 0 is DDIM or Euler.
    condition: [B] labels, embeddings or None.
    Yields `steps` items; the last one's `noisy` equals `clean` outside the hole, exactly.
    Raises ValueError for a hole that does not fit or is not bool, resampling under 1, or churn out of [0, 1].
    """
    if hole.dtype != torch.bool:
        raise ValueError(f"hole must be bool (True where pixels are missing), got {hole.dtype}")
    sizes = zip(reversed(hole.shape), reversed(clean.shape), strict=False)
    if hole.ndim > clean.ndim or any(given not in (1, wanted) for given, wanted in sizes):
        raise ValueError(f"hole has shape {tuple(hole.shape)}, which does not fit clean {tuple(clean.shape)}")
    if resampling < 1:
        raise ValueError(f"resampling must be 1 or more, got {resampling}; 10 is RePaint's")
    if not 0 <= churn <= 1:
        raise ValueError(f"churn must be from 0 to 1, got {churn}")
    # Zeros, so that not even a NaN in the hole gets any further.
    return _walk(
        objective,
        network,
        clean.masked_fill(hole, 0.0),
        hole,
        steps,
        generator,
        resampling,
        churn,
        condition,
    )


@torch.no_grad()
def _walk(
    objective: Objective,
    network: Network,
    known: Tensor,
    hole: Tensor,
    steps: int,
    generator: torch.Generator,
    resampling: int,
    churn: float,
    condition: Tensor | None,
) -> Iterator[SamplingStep]:
    def gaussian() -> Tensor:
        return torch.randn(known.shape, dtype=known.dtype, device=known.device, generator=generator)

    times = objective.times(steps).to(known.device)
    noisy = torch.where(hole, objective.start(gaussian()), objective.diffuse(known, gaussian(), times[0]))
    for index in range(steps):
        time, following = times[index], times[index + 1]
        last = index == steps - 1
        signal, spread = mixing_scales(objective, time, known)
        signal_after, spread_after = mixing_scales(objective, following, known)
        # One step up, from `following` to `time`: noisy ← ratio · noisy + √added · noise.
        ratio = signal / signal_after
        added = (spread**2 - (ratio * spread_after) ** 2).clamp(min=0)
        # Variance of the step down given the clean image (DDPM's β̃), of which `churn` is drawn afresh.
        fresh = churn * spread_after * (added / spread**2).sqrt()
        kept = (spread_after**2 - fresh**2).clamp(min=0).sqrt()
        for round_ in range(1 if last else resampling):
            if round_:
                noisy = ratio * noisy + added.sqrt() * gaussian()
            estimate = objective.estimate(network, noisy, time, condition)
            painted = signal_after * estimate.clean + kept * estimate.noise
            if not last:
                painted = painted + fresh * gaussian()
            noisy = torch.where(hole, painted, objective.diffuse(known, gaussian(), following))
        yield SamplingStep(float(time), noisy, estimate.clean)


def inpaint(
    objective: Objective,
    network: Network,
    clean: Tensor,
    hole: Tensor,
    steps: int,
    *,
    generator: torch.Generator,
    resampling: int = 1,
    churn: float = 1.0,
    condition: Tensor | None = None,
    batch_size: int = 256,
) -> Tensor:
    """Paint one hole, bool [...], in images [N, ...]; other arguments as in `inpainting_steps`."""
    painted = []
    for start in range(0, len(clean), batch_size):
        rows = slice(start, start + batch_size)
        arrived = clean[rows]
        for step in inpainting_steps(
            objective,
            network,
            clean[rows],
            hole,
            steps,
            generator=generator,
            resampling=resampling,
            churn=churn,
            condition=None if condition is None else condition[rows],
        ):
            arrived = step.noisy
        painted.append(arrived)
    return torch.cat(painted) if painted else clean.clone()


@dataclass(frozen=True)
class Space:
    """Where a network paints: pixels at training scale, or an autoencoder's latents."""

    encode: Callable[[Tensor], Tensor]  # uint8 [B, C, H, W] on the CPU -> clean [B, c, h, w]
    decode: Callable[[Tensor], Tensor]  # clean -> uint8 on the CPU
    factor: int = 1  # pixels that one place stands for, along each side


def pixel_space(image_std: float) -> Space:
    """The space of models of pixels, trained at that std."""
    return Space(lambda pixels: to_clean(pixels, image_std), lambda clean: to_pixels(clean.cpu(), image_std))


def repaint(
    objective: Objective,
    network: nn.Module,
    space: Space,
    pixels: Tensor,
    hole: Tensor,
    steps: int,
    *,
    generator: torch.Generator,
    condition: Tensor | None = None,
    resampling: int = 1,
    churn: float = 1.0,
    batch_size: int = 256,
) -> Tensor:
    """Paint the hole of images, uint8 [N, C, H, W]; every byte outside it comes back as it was.

    hole: bool [H, W], True where pixels are missing; a latent is painted where any of its pixels is. What the
    hole holds is never looked at: an autoencoder sees the known pixels' mean there.
    condition: [N, ...] or None. Other arguments as in `inpainting_steps`. Equal generator states give equal
    noise, whatever the training. Raises ValueError where a hole leaves no whole latent known.
    """
    device = next(network.parameters()).device
    coarse = coarser_hole(hole, space.factor).to(device)
    filled = without_hole(pixels, hole)
    edited = []
    for start in range(0, len(pixels), batch_size):
        rows = slice(start, start + batch_size)
        painted = inpaint(
            objective,
            network,
            space.encode(filled[rows]).to(device),
            coarse,
            steps,
            generator=generator,
            resampling=resampling,
            churn=churn,
            condition=None if condition is None else condition[rows].to(device),
            batch_size=batch_size,
        )
        edited.append(torch.where(hole, space.decode(painted), pixels[rows]))
    return torch.cat(edited) if edited else pixels.clone()


def without_hole(pixels: Tensor, hole: Tensor) -> Tensor:
    """Fill a hole, bool [H, W], with the mean of what is known of each image, uint8 [N, C, H, W]."""
    if bool(hole.all()):
        return torch.full_like(pixels, 128)
    known = pixels.float()[:, :, ~hole].mean(2).round().to(torch.uint8)  # [N, C]
    return torch.where(hole, known[:, :, None, None], pixels)
