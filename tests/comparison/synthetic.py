"""Made-up comparisons for tests: power-law curves with seed noise, whose answers are known."""

import math

import numpy as np
import torch
from torch import Tensor

from immiscible_diffusion.comparison.curves import Comparison, Curve, Point, Score

STEPS = (25, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 1000)
EVALUATIONS = (5, 20, 50)


def curve(
    pairing: str, seed: int, values: list[float], steps: list[int], evaluations: tuple[int, ...] = (20,)
) -> Curve:
    """A run with these Fréchet distances at these steps, a tenth of a second a step."""
    points = tuple(
        Point(step, step / 10, {n: Score(value, value / 100) for n in evaluations})
        for step, value in zip(steps, values, strict=True)
    )
    return Curve(pairing, seed, points, pairing_share=0.0, seconds_per_step=0.1)


def comparison(
    *curves: Curve,
    baseline: str = "independent",
    evaluations: tuple[int, ...] = (20,),
    experiment: str = "digits",
) -> Comparison:
    """Wrap curves into a comparison with plain surroundings."""
    return Comparison(
        experiment=experiment,
        baseline=baseline,
        curves=curves,
        evaluations=evaluations,
        judged_at=20 if 20 in evaluations else evaluations[-1],
        feature_network="random convolutions",
        distance_name="Fréchet distance",
        real_count=1797,
        generated_count=1797,
        settings={"data": "digits", "batch_size": 256, "optimiser": {"name": "AdamW", "betas": [0.9, 0.99]}},
        environment={"torch": "2.13.0", "hardware": "2 CPU cores"},
    )


def realistic(
    seeds: tuple[int, ...] = (0, 1, 2), experiment: str = "digits, flow matching", random_seed: int = 0
) -> Comparison:
    """Three pairings: one about twice as fast, one that starts better and ends worse, against independent."""
    random = np.random.default_rng(random_seed)
    floors = {5: 2.0, 20: 0.9, 50: 0.7}
    # pairing: speed, added floor by evaluations, share of a step, seconds a step
    kinds = {
        "independent": (1.0, {5: 0.0, 20: 0.0, 50: 0.0}, 0.002, 0.021),
        "nearest:4": (2.2, {5: -0.8, 20: -0.1, 50: 0.0}, 0.03, 0.0217),
        "assigned": (1.9, {5: -0.6, 20: 0.9, 50: 1.2}, 0.18, 0.026),
    }
    curves = []
    for name, (speed, added, share, pace) in kinds.items():
        for seed in seeds:
            noise = np.random.default_rng(random_seed + seed).normal(size=3) * 0.04
            points = []
            for step in STEPS:
                scores = {}
                for index, n in enumerate(EVALUATIONS):
                    trained = floors[n] + added[n] + 220 * (1 + 2 / n) * math.pow(speed * step + 10, -0.85)
                    value = trained * math.exp(noise[index] + random.normal() * 0.02)
                    scores[n] = Score(value, value / 900 - 0.0004)
                points.append(Point(step, step * pace * (1 + 0.02 * seed), scores))
            curves.append(Curve(name, seed, tuple(points), share, pace))
    return comparison(*curves, evaluations=EVALUATIONS, experiment=experiment)


def blobs(pairings: tuple[str, ...], count: int = 36, channels: int = 1, size: int = 16) -> dict[str, Tensor]:
    """Smooth coloured spots, uint8 [N, C, H, W], moved a little from pairing to pairing."""
    across = torch.linspace(-1, 1, size)
    images = {}
    for index, name in enumerate(pairings):
        generator = torch.Generator().manual_seed(7)
        centre = torch.rand(count, channels, 1, 1, 2, generator=generator) - 0.5 + 0.1 * index
        square = (across[:, None] - centre[..., 0]) ** 2 + (across[None, :] - centre[..., 1]) ** 2
        images[name] = (255 * torch.exp(-6 * square)).to(torch.uint8)  # [N, C, H, W]
    return images
