"""Noise to image: one generator over any objective, which yields every step on the way."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from immiscible_diffusion.objectives import Estimate, Network, Objective
from immiscible_diffusion.pairing.suggestions import unknown


class SamplingStep(NamedTuple):
    """One step of a sampler."""

    time: float  # where the step began, in the objective's unit
    noisy: Tensor  # [B, ...] where it arrived
    clean: Tensor  # [B, ...] what the network took the image to be (Eq. 2, x_pred,0)


@torch.no_grad()
def sampling_steps(
    objective: Objective,
    network: Network,
    noise: Tensor,
    steps: int,
    *,
    sampler: str | None = None,
    condition: Tensor | None = None,
    clip: float | None = None,
) -> Iterator[SamplingStep]:
    """Walk from noise to images: estimate clean and noise, diffuse the estimate to the next time, yield.

    noise: [B, ...], N(0, I). steps: the network is evaluated once a step, for "heun" twice but for the last.
    sampler: "ddim" (diffusion) and "euler" (flow matching) are this first-order step; "heun" averages the
        slopes at both of its ends. None takes the objective's own first-order one.
    condition: [B] labels or None. clip: clean estimates are clamped to [−clip, clip]; None leaves them.
    Yields `steps` items; the last one's `noisy` is the image. Raises ValueError for a sampler that the
    objective does not have.
    """
    sampler = sampler or objective.samplers[0]
    if sampler not in objective.samplers:
        raise ValueError(unknown(f"sampler for {type(objective).__name__}", sampler, objective.samplers))
    return _walk(objective, network, noise, steps, sampler == "heun", condition, clip)


@torch.no_grad()
def _walk(
    objective: Objective,
    network: Network,
    noise: Tensor,
    steps: int,
    second_order: bool,
    condition: Tensor | None,
    clip: float | None,
) -> Iterator[SamplingStep]:
    times = objective.times(steps).to(noise.device)
    noisy = noise
    for index in range(steps):
        time, following = times[index], times[index + 1]
        estimate = _clipped(objective.estimate(network, noisy, time, condition), clip)
        arrived = objective.diffuse(estimate.clean, estimate.noise, following)
        # The end has no slope of its own: the last step is first order, as in EDM and diffusers.
        if second_order and index < steps - 1:
            ahead = _clipped(objective.estimate(network, arrived, following, condition), clip)
            estimate = _clipped(objective.average(noisy, time, estimate, ahead), clip)
            arrived = objective.diffuse(estimate.clean, estimate.noise, following)
        noisy = arrived
        yield SamplingStep(float(time), noisy, estimate.clean)


def sample(
    objective: Objective,
    network: Network,
    noise: Tensor,
    steps: int,
    *,
    sampler: str | None = None,
    condition: Tensor | None = None,
    clip: float | None = None,
    batch_size: int = 256,
) -> Tensor:
    """Turn noise [N, ...] into images [N, ...], `batch_size` at a time; arguments as in `sampling_steps`."""
    images = []
    for start in range(0, len(noise), batch_size):
        rows = slice(start, start + batch_size)
        chosen = None if condition is None else condition[rows]
        arrived = noise[rows]
        for step in sampling_steps(
            objective, network, arrived, steps, sampler=sampler, condition=chosen, clip=clip
        ):
            arrived = step.noisy
        images.append(arrived)
    return torch.cat(images) if images else noise.clone()


def _clipped(estimate: Estimate, clip: float | None) -> Estimate:
    # The noise stays the network's, as diffusers' DDIM does by default.
    return estimate if clip is None else Estimate(estimate.clean.clamp(-clip, clip), estimate.noise)
