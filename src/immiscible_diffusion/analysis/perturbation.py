"""How far an image moves when its noise does: Eq. 1 of the paper, measured on one trained network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from immiscible_diffusion.analysis.trained_runs import images_from
from immiscible_diffusion.evaluation import Classifier, FeatureNetwork, image_features, predicted_classes
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.runs.trained_model import TrainedModel
from immiscible_diffusion.scoring import evaluation_labels

Floats = NDArray[np.float64]
KEPT = 0.95  # share of images that must keep their class


@dataclass(frozen=True, eq=False)
class Noises:
    """Origins, the perturbations of each, and the weights that they are added with; equal for every run."""

    origin: Tensor  # [O, C, H, W], N(0, I)
    perturbation: Tensor  # [O, P, C, H, W], N(0, I)
    strengths: tuple[float, ...]  # W of Eq. 1, rising, from above 0
    renormalised: bool


@dataclass(frozen=True, eq=False)
class Movement:
    """What one network's images did; the first axis runs over the strengths, the second over origins.

    pixels: root mean square difference to the origin's image, in levels of 255. features: distance of the
    features. changed: share of perturbations under which the class is another; None without a classifier.
    unrelated: the same three between the images of two different origins, means.
    """

    pixels: Floats  # [W, O]
    features: Floats  # [W, O]
    changed: Floats | None  # [W, O]
    unrelated: tuple[float, float, float | None]
    images: Tensor  # uint8 [W + 1, P, C, H, W], of the first origin; the first row repeats its image
    image_changed: Tensor | None  # bool [W + 1, P]


def draw_noises(
    shape: tuple[int, int, int],
    strengths: Sequence[float],
    origins: int,
    perturbations: int,
    seed: int,
    renormalised: bool = False,
) -> Noises:
    """Draw the noises of a stability analysis. Raises ValueError for counts or strengths out of range."""
    if origins < 2:
        raise ValueError(f"origins must be 2 or more, got {origins}; 16 is usual")
    if perturbations < 1:
        raise ValueError(f"perturbations must be 1 or more, got {perturbations}; the paper's is 10")
    chosen = tuple(sorted(set(strengths)))
    if not chosen or not 0 < chosen[0] <= chosen[-1] < float("inf"):
        raise ValueError(
            f"strengths must be above 0, got {' '.join(map(str, strengths)) or 'none'}; 0.1 adds 10 %"
        )
    generator = generator_for(seed, "samples", step=1)
    origin = torch.randn(origins, *shape, generator=generator)
    perturbation = torch.randn(origins, perturbations, *shape, generator=generator)
    return Noises(origin, perturbation, chosen, renormalised)


def perturbed(noises: Noises, strength: float) -> Tensor:
    """Add the perturbations, [O, P, C, H, W].

    As in the paper nothing is scaled back, so the sum's std is √(1 + W²); with `renormalised` it is 1.
    """
    total = noises.origin[:, None] + strength * noises.perturbation  # Eq. 1
    return total / (1 + strength**2) ** 0.5 if noises.renormalised else total


def neighbours(
    model: TrainedModel, noises: Noises, strength: float, evaluations: int, labels: Tensor | None = None
) -> tuple[Tensor, float]:
    """Sample the image of each origin and of its perturbations by `strength` (Fig. 2).

    labels: int64 [O], for class-conditional networks. Returns uint8 [O, 1 + P, C, H, W], the origin's image
    first, and the root mean square difference of the others to it, in levels of 255.
    """
    origins, perturbations = noises.perturbation.shape[:2]
    every = torch.cat([noises.origin[:, None], perturbed(noises, strength)], dim=1).flatten(0, 1)
    repeated = None if labels is None else labels.repeat_interleave(1 + perturbations)
    images = images_from(model, every, evaluations, repeated).unflatten(0, (origins, 1 + perturbations))
    return images, float(_root_mean_square(images[:, 1:], images[:, :1]).mean())


def measure_movement(
    model: TrainedModel,
    noises: Noises,
    features: FeatureNetwork,
    classifier: Classifier | None,
    evaluations: int,
    data_labels: Tensor | None,
) -> Movement:
    """Sample the images of all noises, and measure how far they are from the image of their origin."""
    origins, perturbations = noises.perturbation.shape[:2]
    labels = evaluation_labels(model.experiment, data_labels, origins)
    repeated = None if labels is None else labels.repeat_interleave(perturbations)
    start = images_from(model, noises.origin, evaluations, labels)
    start_features = image_features(features, start)
    start_classes = predicted_classes(classifier, start) if classifier else None
    pixels, moved, changed = [], [], []
    rows, marks = (
        [start[:1].expand(perturbations, -1, -1, -1)],
        [torch.zeros(perturbations, dtype=torch.bool)],
    )
    for strength in noises.strengths:
        images = images_from(model, perturbed(noises, strength).flatten(0, 1), evaluations, repeated)
        by_origin = images.unflatten(0, (origins, perturbations))
        pixels.append(_root_mean_square(by_origin, start[:, None]).mean(dim=1))
        found = image_features(features, images).unflatten(0, (origins, perturbations))
        moved.append((found - start_features[:, None]).norm(dim=2).mean(dim=1))
        rows.append(by_origin[0])
        if classifier and start_classes is not None:
            classes = predicted_classes(classifier, images).unflatten(0, (origins, perturbations))
            other = classes != start_classes[:, None]
            changed.append(other.float().mean(dim=1))
            marks.append(other[0])
    return Movement(
        pixels=torch.stack(pixels).double().numpy(),
        features=torch.stack(moved).double().numpy(),
        changed=torch.stack(changed).double().numpy() if changed else None,
        unrelated=_between_origins(start, start_features, start_classes),
        images=torch.stack(rows),
        image_changed=torch.stack(marks) if changed else None,
    )


def largest_kept(strengths: Sequence[float], changed: Floats) -> Floats:
    """The largest strength up to which 95 % keep their class, read linearly between strengths.

    changed: shares [W] or [W, R], as at `strengths`; at strength 0 nothing changes. Returns [R] (or one
    number); infinite where at least 95 % keep it at every strength.
    """
    shares = np.concatenate([np.zeros((1, *changed.shape[1:])), changed]).reshape(len(strengths) + 1, -1)
    places = np.array([0.0, *strengths])
    found = np.full(shares.shape[1], np.inf)
    for column in range(shares.shape[1]):
        over = np.flatnonzero(shares[:, column] > 1 - KEPT)
        if len(over):
            after = over[0]
            low, high = shares[after - 1, column], shares[after, column]
            part = (1 - KEPT - low) / (high - low)
            found[column] = places[after - 1] + part * (places[after] - places[after - 1])
    return found.reshape(changed.shape[1:])


def interval_over_origins(
    strengths: Sequence[float], changed: Sequence[Floats], seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """Both ends of a 95 % bootstrap interval of the mean `largest_kept` of runs, origins drawn again.

    changed: [W, O] a run, all of the same origins. Ends may be infinite.
    """
    generator = np.random.default_rng(seed)
    origins = changed[0].shape[1]
    drawn = generator.integers(origins, size=(resamples, origins))
    found = np.mean([largest_kept(strengths, run[:, drawn].mean(axis=2)) for run in changed], axis=0)
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def _root_mean_square(images: Tensor, others: Tensor) -> Tensor:
    return (images.float() - others.float()).square().mean(dim=(-3, -2, -1)).sqrt()


def _between_origins(
    images: Tensor, features: Tensor, classes: Tensor | None
) -> tuple[float, float, float | None]:
    first, second = torch.triu_indices(len(images), len(images), offset=1)
    return (
        float(_root_mean_square(images[first], images[second]).mean()),
        float((features[first] - features[second]).norm(dim=1).mean()),
        None if classes is None else float((classes[first] != classes[second]).float().mean()),
    )
