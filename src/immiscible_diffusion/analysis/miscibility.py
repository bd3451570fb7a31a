"""How mixed are the noises of different images? §3.2, §5 and Fig. 10 of the paper, and a measure of our own.

Ours, of a noisy point at time t: the entropy in nats of the posterior over the data set, for a reader that
knows the images and the pairing's law. ln N is full miscibility (any image may have been it), 0 none;
e^entropy is how many images are still in play. Where nothing of the image is left in the point, at r =
signal/spread = 0, it falls short of ln N by the information that the noise carries of its image. Choosing one
of k noises spends ln k − (k − 1)/k nats on every image's noise; what is not information is distortion:
KL(paired noise ‖ N(0, I)), which sampling from N(0, I) does not know of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.clusters import Clusters, distances_between, looks_at_batch, noise_clusters
from immiscible_diffusion.analysis.distance import image_lengths
from immiscible_diffusion.analysis.finding import Finding
from immiscible_diffusion.analysis.laws import Floats
from immiscible_diffusion.analysis.miscibility_pictures import cluster_picture, entropy_picture, tsne_picture
from immiscible_diffusion.analysis.posterior import NO_LAW, Posterior, has_law, posterior, survival_error
from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.pairing import Nearest, Pairing, canonical_name, pairing_from_name
from immiscible_diffusion.randomness import generator_for

PAIRINGS = ("independent", "nearest:8:uncentred", "nearest:8", "nearest:8:dot", "assigned")


@dataclass(frozen=True)
class Effort:
    """How much is drawn.

    points: noises in each image's cluster. clusters: images that have one. batch: of pairings that look at
    it.
    samples: noisy points at each time for the posterior. times: of these. shown: images in the t-SNE, with
    `shown_points` noises each.
    """

    points: int = 10_000
    clusters: int = 16
    batch: int = 256
    samples: int = 128
    times: int = 16
    shown: int = 4
    shown_points: int = 300


def miscibility(
    images: CleanImages, pairings: Sequence[str] = PAIRINGS, effort: Effort = Effort(), *, seed: int = 0
) -> Finding:
    """Measure both ways, for every pairing on the same images and from the same noise where they share it.

    pairings: short names. Raises ValueError for unknown names and for more clusters than the data has images.
    """
    names = tuple(dict.fromkeys(canonical_name(name) for name in pairings))
    _check(images, effort)
    centre = images.mean()
    made = {name: pairing_from_name(name, centre) for name in names}
    rows = torch.randperm(len(images), generator=generator_for(seed, "evaluation"))[: effort.clusters]
    clusters = {
        name: noise_clusters(
            images,
            rows,
            pairing,
            effort.points,
            batch=min(effort.batch, len(images)),
            keep=effort.shown_points,
            seed=seed,
        )
        for name, pairing in made.items()
    }
    ratios = signal_ratios(images, effort.times)
    known = {name: pairing for name, pairing in made.items() if has_law(pairing)}
    curves = {
        name: posterior(
            images,
            pairing,
            ratios,
            effort.samples,
            generator_for(seed, "noise"),
            generator_for(seed, "samples"),
        )
        for name, pairing in known.items()
    }
    projected, purity = _tsne(clusters, effort, seed)
    found = {
        name: _values(pairing, clusters[name], curves.get(name), purity[name])
        for name, pairing in made.items()
    }
    errors = {name: _density_error(images, pairing) for name, pairing in known.items()}
    vanilla = (2 * images.dimension / effort.points) ** 0.5
    return Finding(
        question="miscibility",
        title=f"How mixed the noises of different images are: {images.describe()}",
        sentence=_sentence(found, vanilla, len(images)),
        values={
            "pairings": found,
            "cluster_distance_expected_of_independent": vanilla,
            "most_entropy": float(np.log(len(images))),
            "error_of_log_density": errors,
        },
        settings=images.settings()
        | {"seed": seed, "cluster_images": rows.tolist(), "paper": "assigned 4.11, KNN 2.17, vanilla 0.92"}
        | {name: getattr(effort, name) for name in effort.__dataclass_fields__},
        pictures={
            "": entropy_picture(images, seed, curves, diffusion_ratios()),
            "clusters": cluster_picture(
                images,
                seed,
                {name: distances_between(cluster)[0].numpy() for name, cluster in clusters.items()},
                vanilla,
            ),
            "tsne": tsne_picture(images, seed, projected, purity),
        },
    )


def signal_ratios(images: CleanImages, count: int) -> tuple[float, ...]:
    """Ratios signal/spread over which the posterior goes from knowing nothing to knowing the image: 0 first.

    From a tenth to 15 noise widths between two images that are as far apart as images are on average.
    """
    centre = images.mean()
    lengths = image_lengths(images, centre)[0]
    apart = float(np.sqrt(2 * np.mean(lengths**2)))
    return (0.0, *(np.geomspace(0.1, 15, count - 1) / apart).tolist())


def diffusion_ratios() -> Floats:
    """Signal/spread of the DDPM linear schedule at t = 0, 1, …, 999."""
    kept: Floats = Diffusion().scheduler().alphas_cumprod.double().numpy()
    return np.sqrt(kept / (1 - kept))


def _density_error(images: CleanImages, pairing: Pairing) -> float:
    """By how many nats at most the log-density of an image's noise is off."""
    if not isinstance(pairing, Nearest) or pairing.rule == "dot" or isinstance(pairing.centre, str):
        return 0.0
    return survival_error(pairing.k, image_lengths(images, pairing.centre)[0], images.dimension)


def _tsne(
    clusters: dict[str, Clusters], effort: Effort, seed: int
) -> tuple[dict[str, Floats], dict[str, float]]:
    """Noises in the plane [F, n, 2], and how often the nearest one in the plane has the same image."""
    projected, purity = {}, {}
    for name, cluster in clusters.items():
        chosen = cluster.first[: effort.shown]
        flat = chosen.flatten(0, 1).numpy()
        reduced = PCA(min(50, *flat.shape), random_state=seed).fit_transform(flat)
        plane = TSNE(random_state=seed, init="pca", perplexity=min(30.0, len(flat) / 4)).fit_transform(
            reduced
        )
        between = torch.cdist(torch.from_numpy(plane), torch.from_numpy(plane)).fill_diagonal_(torch.inf)
        image = torch.arange(len(chosen)).repeat_interleave(chosen.shape[1])
        purity[name] = float((image[between.argmin(dim=1)] == image).double().mean())
        projected[name] = plane.reshape(len(chosen), -1, 2)
    return projected, purity


def _values(pairing: Pairing, cluster: Clusters, curve: Posterior | None, purity: float) -> dict[str, Any]:
    measured, apart = distances_between(cluster)
    values: dict[str, Any] = {
        "cluster_distance": float(measured.mean()),
        "cluster_distance_spread": float(measured.std()),
        "cluster_distance_without_sampling": float(apart.mean().clamp(min=0).sqrt()),
        "cluster_sampling": "batches of the images and random others"
        if looks_at_batch(pairing)
        else "each image alone, which its noise depends on",
        "tsne_nearest_of_same_image": purity,
    }
    if curve is None:
        return values | {"posterior": None, "posterior_left_out": NO_LAW}
    errors = curve.entropies.std(axis=1, ddof=1) / curve.entropies.shape[1] ** 0.5
    means = curve.entropies.mean(axis=1)
    return values | {
        "information": curve.information,
        "distortion": curve.distortion,
        "standard_error": curve.standard_error,
        "half_known_at_flow_time": half_known(curve),
        "posterior": [
            {
                "ratio": ratio,
                "flow_time": 1 / (1 + ratio),
                "entropy": float(mean),
                "standard_error": float(error),
                "images_in_play": float(np.exp(mean)),
            }
            for ratio, mean, error in zip(curve.ratios, means, errors, strict=True)
        ],
    }


def half_known(curve: Posterior) -> float | None:
    """The flow-matching time at which the mean entropy is half of ln N; None where it never is."""
    means = curve.entropies.mean(axis=1)
    half = np.log(curve.count) / 2
    below = np.flatnonzero(means < half)
    if not len(below) or below[0] == 0:
        return None
    after = below[0]
    share = (means[after - 1] - half) / (means[after - 1] - means[after])
    ratio = curve.ratios[after - 1] + share * (curve.ratios[after] - curve.ratios[after - 1])
    return float(1 / (1 + ratio))


def _sentence(found: dict[str, dict[str, Any]], vanilla: float, count: int) -> str:
    apart = ", ".join(
        f"{values['cluster_distance']:.2f} ± {values['cluster_distance_spread']:.2f} ({name})"
        for name, values in found.items()
    )
    told = ", ".join(
        f"{values['information']:.3f} ± {values['standard_error']:.3f} of "
        f"{values['information'] + values['distortion']:.3f} nats spent ({name})"
        for name, values in found.items()
        if values["posterior"] is not None and values["information"] + values["distortion"] > 0
    )
    told = f" What the noise alone tells of which of {count:,} images it belongs to: {told}." if told else ""
    return f"Noise clusters of two images are apart by {apart}; sampling alone gives {vanilla:.2f}.{told}"


def _check(images: CleanImages, effort: Effort) -> None:
    for name, least in (("clusters", 2), ("samples", 2), ("times", 3), ("shown", 2), ("shown_points", 10)):
        if getattr(effort, name) < least:
            raise ValueError(f"{name} must be {least} or more, got {getattr(effort, name)}")
    if effort.clusters > len(images) // 2:
        raise ValueError(
            f"clusters must be at most half of the images, {len(images) // 2}, got {effort.clusters}"
        )
    if effort.shown > effort.clusters or effort.shown_points > effort.points:
        raise ValueError(
            f"shown must be at most clusters and shown_points at most points, got {effort.shown} of "
            f"{effort.clusters} and {effort.shown_points} of {effort.points}"
        )
