"""Noise to image: one generator over any objective, which yields every step on the way."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from immiscible_diffusion.objectives import Estimate, Network, Objective, PathObjective
from immiscible_diffusion.pairing.suggestions import unknown

Generators = torch.Generator | list[torch.Generator]
ADAPTIVE = "dopri5"  # chooses its own steps
TOLERANCE = 1e-5


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
    steps: int | None,
    *,
    sampler: str | None = None,
    condition: Tensor | None = None,
    clip: float | None = None,
    tolerance: float | None = None,
    generator: Generators | None = None,
) -> Iterator[SamplingStep]:
    """Walk from noise to images: estimate clean and noise, diffuse the estimate to the next time, yield.

    noise: [B, ...], N(0, I). steps: the network is evaluated once a step, for "heun" twice but for the last;
        None for "dopri5", which chooses its own.
    sampler: "ddim" (diffusion) and "euler" (flow matching, EDM) are this first-order step; "heun" averages
        the slopes at both of its ends. "multistep" (consistency) diffuses with fresh noise (Song et al. 2023,
        Algorithm 1). "dopri5" (flow matching, EDM) is torchdiffeq's, and yields once, at its end. None takes
        the objective's first.
    condition: [B] labels or None. clip: clean estimates are clamped to [−clip, clip]; None leaves them.
    tolerance: relative and absolute error that "dopri5" keeps each of its steps within, as a root mean square
        over the batch; 1e-5 by default. generator: of "multistep"'s fresh noise, one or one for each row.
    The last item's `noisy` is the image. Raises ValueError for a sampler that the objective does not have,
    and for steps or a tolerance that the sampler has no use for.
    """
    sampler = chosen_sampler(objective, sampler, steps, tolerance)
    if sampler == ADAPTIVE:
        return _integrate(objective, network, noise, tolerance or TOLERANCE, condition, clip)
    assert steps is not None
    return _walk(objective, network, noise, steps, sampler, condition, clip, generator)


def chosen_sampler(
    objective: Objective, sampler: str | None, steps: int | None, tolerance: float | None
) -> str:
    """Name the sampler to use. Raises ValueError where it does not fit the objective or the other options."""
    sampler = sampler or objective.samplers[0]
    if sampler not in objective.samplers:
        raise ValueError(unknown(f"sampler for {type(objective).__name__}", sampler, objective.samplers))
    if sampler == ADAPTIVE:
        if steps is not None:
            raise ValueError(
                f"steps (--evaluations) must be left out for the {ADAPTIVE} sampler, got {steps}: it chooses "
                "its own; their accuracy is set by the tolerance"
            )
        if tolerance is not None and not 0 < tolerance < 1:
            raise ValueError(f"tolerance must be between 0 and 1, got {tolerance}; {TOLERANCE:g} is usual")
    elif tolerance is not None:
        raise ValueError(
            f"tolerance must be left out for the {sampler} sampler, got {tolerance}: "
            f"only {ADAPTIVE} has one; give a number of evaluations instead"
        )
    elif steps is None:
        raise ValueError(
            f"steps (--evaluations) must be given for the {sampler} sampler; only {ADAPTIVE} takes none"
        )
    return sampler


@torch.no_grad()
def _walk(
    objective: Objective,
    network: Network,
    noise: Tensor,
    steps: int,
    sampler: str,
    condition: Tensor | None,
    clip: float | None,
    generator: Generators | None,
) -> Iterator[SamplingStep]:
    times = objective.times(steps).to(noise.device)
    noisy = objective.start(noise)
    for index in range(steps):
        time, following = times[index], times[index + 1]
        estimate = _clipped(objective.estimate(network, noisy, time, condition), clip)
        last = index == steps - 1
        if sampler == "multistep" and not last:
            fresh = randn_tensor(noise.shape, generator=generator, device=noise.device, dtype=noise.dtype)
            estimate = Estimate(estimate.clean, fresh)
        arrived = objective.diffuse(estimate.clean, estimate.noise, following)
        # The end has no slope of its own: the last step is first order, as in EDM and diffusers.
        if sampler == "heun" and not last:
            assert isinstance(objective, PathObjective)
            ahead = _clipped(objective.estimate(network, arrived, following, condition), clip)
            slope = (objective.slope(estimate, time) + objective.slope(ahead, time)) / 2
            estimate = _clipped(objective.split(noisy, time, slope), clip)
            arrived = objective.diffuse(estimate.clean, estimate.noise, following)
        noisy = arrived
        yield SamplingStep(float(time), noisy, estimate.clean)


@torch.no_grad()
def _integrate(
    objective: Objective,
    network: Network,
    noise: Tensor,
    tolerance: float,
    condition: Tensor | None,
    clip: float | None,
) -> Iterator[SamplingStep]:
    """Follow the path's slope by Dormand and Prince's method of order 5, its steps as long as they may be."""
    from torchdiffeq import odeint  # only this sampler needs it

    assert isinstance(objective, PathObjective)
    times = objective.times(1).to(noise.device, torch.promote_types(noise.dtype, torch.float32))

    def slope(time: Tensor, noisy: Tensor) -> Tensor:
        return objective.slope(_clipped(objective.estimate(network, noisy, time, condition), clip), time)

    try:
        path = odeint(slope, objective.start(noise), times, rtol=tolerance, atol=tolerance, method=ADAPTIVE)
    except AssertionError as error:  # its way to say that a step became too short, or the slope not finite
        raise ValueError(
            f"{ADAPTIVE} cannot keep within tolerance {tolerance:g} here ({error}); give a larger one"
        ) from error
    yield SamplingStep(float(times[0]), path[-1], path[-1])


def sample(
    objective: Objective,
    network: Network,
    noise: Tensor,
    steps: int | None,
    *,
    sampler: str | None = None,
    condition: Tensor | None = None,
    clip: float | None = None,
    tolerance: float | None = None,
    generator: Generators | None = None,
    batch_size: int = 256,
) -> Tensor:
    """Turn noise [N, ...] into images [N, ...], `batch_size` at a time; arguments as in `sampling_steps`."""
    images = []
    for start in range(0, len(noise), batch_size):
        rows = slice(start, start + batch_size)
        arrived = noise[rows]
        for step in sampling_steps(
            objective,
            network,
            arrived,
            steps,
            sampler=sampler,
            condition=None if condition is None else condition[rows],
            clip=clip,
            tolerance=tolerance,
            generator=generator[rows] if isinstance(generator, list) else generator,
        ):
            arrived = step.noisy
        images.append(arrived)
    return torch.cat(images) if images else noise.clone()


def _clipped(estimate: Estimate, clip: float | None) -> Estimate:
    # The noise stays the network's, as diffusers' DDIM does by default.
    return estimate if clip is None else Estimate(estimate.clean.clamp(-clip, clip), estimate.noise)
