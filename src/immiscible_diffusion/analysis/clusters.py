"""How far apart are the noises of different images? The paper's §3.2: distances between noise clusters.

Our definition, as the paper prints none: an image's cluster is the `points` noises it is paired with, and the
distance of two clusters is the L2 distance of their means. Of a mean of N noises the sampling alone gives
√(2D/N), vanilla's expectation; `apart` is what remains without it, estimated without bias from two halves.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.progress import progress
from immiscible_diffusion.pairing import Assigned, Nearest, Pairing
from immiscible_diffusion.randomness import generator_for

DRAWN = 512  # noises of one image drawn at once


@dataclass(frozen=True, eq=False)
class Clusters:
    """The noise clusters of a few images.

    means: [F, D] and halves: [2, F, D], their means over all noises and over each half. first: the first
    noises of each image, [F, n, D].
    """

    means: Tensor
    halves: Tensor
    first: Tensor


def noise_clusters(
    images: CleanImages, rows: Tensor, pairing: Pairing, points: int, *, batch: int, keep: int, seed: int
) -> Clusters:
    """Draw `points` noises for each of the images `rows` (int64 [F]), and keep the first `keep` of each.

    A pairing that looks at the whole batch is given batches of `batch`: the F images, and random others of
    the data set, which are others in every batch. points: even, at least 2.
    Raises ValueError where a batch does not hold the F images and as many others.
    """
    if points < 2 or points % 2:
        raise ValueError(f"points must be an even number of 2 or more, got {points}")
    sums = torch.zeros((2, len(rows), images.dimension), dtype=torch.float64)
    first = torch.zeros((len(rows), min(keep, points), images.dimension))
    if looks_at_batch(pairing):
        _from_batches(images, rows, pairing, points, batch, seed, sums, first)
    else:
        _one_by_one(images, rows, pairing, points, seed, sums, first)
    halves = (sums / (points / 2)).float()
    return Clusters(halves.mean(dim=0), halves, first)


def looks_at_batch(pairing: Pairing) -> bool:
    """Whether an image's noise depends on which others share its batch."""
    return isinstance(pairing, Assigned) or (isinstance(pairing, Nearest) and pairing.centre == "batch")


def distances_between(clusters: Clusters) -> tuple[Tensor, Tensor]:
    """Of every pair of clusters: the distance of their means, and its square without sampling, [pairs]
    each."""
    upper = torch.triu_indices(len(clusters.means), len(clusters.means), offset=1)
    measured = (clusters.means[upper[0]] - clusters.means[upper[1]]).norm(dim=1)
    one, other = (half[upper[0]] - half[upper[1]] for half in clusters.halves)
    return measured, (one * other).sum(dim=1)


def _one_by_one(
    images: CleanImages, rows: Tensor, pairing: Pairing, points: int, seed: int, sums: Tensor, first: Tensor
) -> None:
    clean = images.rows(rows)
    half = points // 2
    starts = [(side, start) for side in (0, 1) for start in range(0, half, DRAWN)]
    for step, (side, start) in enumerate(progress(starts, len(starts), "noise clusters")):
        count = min(DRAWN, half - start)
        for number, image in enumerate(clean):
            generator = generator_for(seed, "noise", step, number)
            noise = pairing(image.expand(count, *image.shape), generator=generator).flatten(1)
            sums[side, number] += noise.sum(dim=0, dtype=torch.float64)
            _keep(first[number], side * half + start, noise)


def _from_batches(
    images: CleanImages,
    rows: Tensor,
    pairing: Pairing,
    points: int,
    batch: int,
    seed: int,
    sums: Tensor,
    first: Tensor,
) -> None:
    others = torch.ones(len(images), dtype=torch.bool)
    others[rows] = False
    pool = others.nonzero()[:, 0]
    wanted = batch - len(rows)
    if not len(rows) <= wanted <= len(pool):
        raise ValueError(
            f"batch must hold the {len(rows)} images and at least as many others, of which there are "
            f"{len(pool)}, got batch {batch}"
        )
    clean = images.rows(rows)
    for step in progress(range(points), points, f"noise clusters, {type(pairing).__name__.lower()}"):
        drawn = torch.randperm(len(pool), generator=generator_for(seed, "order", step))[:wanted]
        together = torch.cat([clean, images.rows(pool[drawn])])
        noise = pairing(together, generator=generator_for(seed, "noise", step))[: len(rows)].flatten(1)
        sums[2 * step // points] += noise
        if step < first.shape[1]:
            first[:, step] = noise


def _keep(first: Tensor, start: int, noise: Tensor) -> None:
    space = max(0, min(len(first) - start, len(noise)))
    first[start : start + space] = noise[:space]
