"""What does each denoising step see? §3.2, Eq. 2, Figure 3 and Figure 8 (a) and (b) of the paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from immiscible_diffusion.analysis import wording
from immiscible_diffusion.analysis.denoising_pictures import plot_film, plot_steps
from immiscible_diffusion.analysis.finding import Finding
from immiscible_diffusion.analysis.progress import progress
from immiscible_diffusion.analysis.tangling import neighbour_turnover, shared_goals
from immiscible_diffusion.analysis.trained_runs import Group, TrainedRuns
from immiscible_diffusion.analysis.trajectories import as_points, plot_map, predicted_images, shared_map
from immiscible_diffusion.comparison import Estimate, mean_over_seeds
from immiscible_diffusion.comparison.formatting import number
from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation import FeatureNetwork, Reference, distances, prepare_reference
from immiscible_diffusion.randomness import derived_seed, generator_for
from immiscible_diffusion.runs.trained_model import TrainedModel
from immiscible_diffusion.scoring import evaluation_labels

MOST_ON_MAP = 10  # steps of a trajectory that t-SNE lays out
FILM_ROWS = 3


@dataclass(frozen=True, eq=False)
class Walk:
    """One network's way from noise to images."""

    times: tuple[float, ...]  # of each step, in the objective's unit, noisiest first
    frechet: tuple[float, ...]  # distance of the predicted images of each step to real ones
    images: Tensor  # uint8 [S, T, C, H, W], the trajectories
    shared_goals: float
    turnover: tuple[float, ...]  # at each step
    warning: str


def denoising(
    runs: TrainedRuns,
    features: FeatureNetwork,
    *,
    evaluations: int = 20,
    count: int = 1000,
    real: int = 10_000,
    trajectories: int = 128,
    seed: int = 0,
) -> Finding:
    """Follow x_pred,0 over the steps of the sampler, for every run from the same noise.

    evaluations: sampler steps S. count: images for each distance, real: real images at most; distances of
    other counts do not compare. trajectories: ways that the map and the tangling scores look at.
    seed: of the map and of the choice of real images. Raises ValueError for numbers out of range.
    """
    if evaluations < 3:
        raise ValueError(f"evaluations must be 3 or more to make a way, got {evaluations}; 20 is usual")
    if not 8 <= trajectories <= count:
        raise ValueError(f"trajectories must be from 8 to count ({count}), got {trajectories}; 128 is usual")
    reference = prepare_reference(_chosen(runs.data, real, seed), features)
    models = [model for group in runs.groups for model in group.models]
    walks = iter(
        [
            _walk(model, runs.data, reference, evaluations, count, trajectories)
            for model in progress(models, len(models), "denoising")
        ]
    )
    found = {group.name: [next(walks) for _ in group.models] for group in runs.groups}
    first = found[runs.groups[0].name][0]
    values = {group.name: _values(group, found[group.name]) for group in runs.groups}
    _compare(runs.groups, values, found)
    measured = f"{features.distance_name} ({features.name} features)"
    shortage = {walk.warning for each in found.values() for walk in each if walk.warning}
    return Finding(
        question="denoising",
        title=f"What each denoising step sees: {runs.title}, {runs.steps}",
        sentence=_sentence(runs, found, measured),
        values={"times": list(first.times), "groups": values},
        settings={
            "runs": list(runs.described),
            "features": features.name,
            "distance": features.distance_name,
            "evaluations": evaluations,
            "count": count,
            "real": real,
            "trajectories": trajectories,
            "seed": seed,
        },
        pictures={
            "": plot_steps(
                runs.groups,
                {name: [walk.frechet for walk in each] for name, each in found.items()},
                {name: [walk.turnover for walk in each] for name, each in found.items()},
                measured,
                f"{runs.title}, {runs.steps}, {count:,} images a step from the same noise",
            ),
            "film": plot_film(
                {name: each[0].images[:, :FILM_ROWS] for name, each in found.items()},
                f"Predicted image x_pred,0 along the way, {runs.title}, seed {runs.groups[0].seeds[0]}",
            ),
            "trajectories": _map(runs.groups, found, seed),
        },
        warnings=runs.warnings + tuple(sorted(shortage)),
    )


def _chosen(data: ImageData, real: int, seed: int) -> Tensor:
    if real < 2:
        raise ValueError(f"real must be 2 images or more, got {real}; 10000 is usual")
    if real >= len(data.pixels):
        return data.pixels
    order = torch.randperm(len(data.pixels), generator=generator_for(seed, "evaluation", step=3))
    return data.pixels[order[:real]]


def _walk(
    model: TrainedModel,
    data: ImageData,
    reference: Reference,
    evaluations: int,
    count: int,
    trajectories: int,
) -> Walk:
    """Walk from the noise that `score_network` measures with, so that the last step agrees with it."""
    experiment = model.experiment
    noise = torch.randn(count, *data.shape, generator=generator_for(experiment.seed, "evaluation"))
    labels = evaluation_labels(experiment, data.labels, count)
    times, images = predicted_images(model, noise, evaluations, labels)
    drawn = derived_seed(experiment.seed, "evaluation", 2) % 2**31
    scores = [distances(reference, step, seed=drawn) for step in images]
    shown = images[:, :trajectories].clone()
    points = as_points(shown)
    return Walk(
        tuple(times),
        tuple(score.frechet for score in scores),
        shown,
        shared_goals(points),
        tuple(neighbour_turnover(points).tolist()),
        scores[0].warning,
    )


def _values(group: Group, walks: Sequence[Walk]) -> dict[str, Any]:
    return {
        "seeds": list(group.seeds),
        "frechet": np.mean([walk.frechet for walk in walks], axis=0).tolist(),
        "frechet_per_seed": [list(walk.frechet) for walk in walks],
        "shared_goals": [walk.shared_goals for walk in walks],
        "neighbour_turnover": np.mean([walk.turnover for walk in walks], axis=0).tolist(),
        "neighbour_turnover_per_seed": [list(walk.turnover) for walk in walks],
    }


def _compare(
    groups: Sequence[Group], values: dict[str, dict[str, Any]], found: dict[str, list[Walk]]
) -> None:
    """Add to every group the paired difference of its distances from the first group's, step by step."""
    for group in groups[1:]:
        estimates = [
            difference(groups[0], group, found, lambda walk, step=step: walk.frechet[step])  # type: ignore[misc]
            for step in range(len(found[group.name][0].times))
        ]
        values[group.name]["frechet_difference"] = {
            "from": groups[0].name,
            "mean": [one.value if one else None for one in estimates],
            "low": [one.interval.low if one and one.interval else None for one in estimates],
            "high": [one.interval.high if one and one.interval else None for one in estimates],
        }


def difference(
    first: Group, group: Group, found: dict[str, list[Walk]], value: Callable[[Walk], float]
) -> Estimate | None:
    """Mean over the seeds that both groups share of value(walk) less the first group's; None without any."""
    base = dict(zip(first.seeds, found[first.name], strict=True))
    own = zip(group.seeds, found[group.name], strict=True)
    pairs = [value(walk) - value(base[seed]) for seed, walk in own if seed in base]
    return mean_over_seeds(pairs) if pairs else None


def _sentence(runs: TrainedRuns, found: dict[str, list[Walk]], measured: str) -> str:
    middle = len(next(iter(found.values()))[0].times) // 2
    parts = []
    for words, step in (("at pure noise", 0), ("half-way", middle), ("at the end", -1)):
        told = _told(runs.groups, found, lambda walk, step=step: walk.frechet[step], number)  # type: ignore[misc]
        parts.append(f"{words} {told}")
    shared = _told(runs.groups, found, lambda walk: walk.shared_goals, wording.number)
    turned = _told(runs.groups, found, lambda walk: walk.turnover[0], wording.number)
    aside = " (in brackets: against the first, 95 % interval over seeds)" if len(runs.groups) > 1 else ""
    return (
        f"{measured} of the predicted images, lower is better{aside}: {'; '.join(parts)}. Ways that end far "
        f"apart but once met: {shared}. Nearest ways at pure noise that are others at the end: {turned}."
    )


def _told(
    groups: Sequence[Group],
    found: dict[str, list[Walk]],
    value: Callable[[Walk], float],
    words: Callable[[float], str],
) -> str:
    """Every group's mean, and its difference from the first group's with an interval."""
    parts = []
    for group in groups:
        part = f"{group.name} {words(float(np.mean([value(walk) for walk in found[group.name]])))}"
        apart = None if group is groups[0] else difference(groups[0], group, found, value)
        if apart and apart.interval:
            low, high = words(apart.interval.low), words(apart.interval.high)
            part += f" ({'+' if apart.value > 0 else ''}{words(apart.value)}, {low} to {high})"
        parts.append(part)
    return ", ".join(parts)


def _map(groups: Sequence[Group], found: dict[str, list[Walk]], seed: int) -> bytes:
    """The first seed's ways of every group, on one map."""
    steps = len(found[groups[0].name][0].times)
    kept = np.unique(np.linspace(0, steps - 1, min(MOST_ON_MAP, steps)).round().astype(int))
    walks = {group.name: found[group.name][0] for group in groups}
    places = shared_map([as_points(walk.images[kept]) for walk in walks.values()], seed)
    count = next(iter(walks.values())).images.shape[1]
    return plot_map(
        dict(zip(walks, places, strict=True)),
        {
            name: f"shared goals {walk.shared_goals:.2f}, turnover {walk.turnover[0]:.2f}"
            for name, walk in walks.items()
        },
        f"t-SNE of {count} ways, one map for all panels, after PCA; seed {groups[0].seeds[0]}",
    )
