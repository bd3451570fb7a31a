"""How well does a noisy point tell its image? The posterior over the data set, exact under the pairing's law.

A noisy point is signal · image + spread · noise. Divided by its spread it is noise + r · image, with
r = signal/spread, so the posterior depends on the time through r alone, in diffusion and in flow matching.
For an image x the noise has the density φ(n) under independent noise, φ(n) k sf(‖y − n‖²)^(k−1) under the
distance rule (y: x less the centre; sf: one minus the noncentral χ² distribution function with D degrees of
freedom and noncentrality ‖y‖²), and φ(n) k Φ(⟨n, y/‖y‖⟩)^(k−1) under the inner-product rule; all images are
equally likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.laws import Floats, choice_information
from immiscible_diffusion.analysis.progress import progress
from immiscible_diffusion.pairing import Independent, Nearest, Pairing

CHUNK = 4096  # images at training scale at once
MOST_WEIGHTS = 40_000_000  # posterior probabilities in memory at once
NO_LAW = (
    "its noise depends on the whole batch or is chosen on a view of the image, and the density of the noise "
    "of one image has no closed form; the distance between noise clusters is measured instead"
)


@dataclass(frozen=True, eq=False)
class Posterior:
    """p(image | noisy point) at a few noisy points for each ratio r, the first of which is 0.

    entropies: nats, float64 [ratios, points]. true_probabilities: of the image that it was, as many. choice:
    what choosing spends, ln k − (k − 1)/k nats. count: images in the data set.
    """

    ratios: tuple[float, ...]
    entropies: Floats
    true_probabilities: Floats
    choice: float
    count: int

    @property
    def information(self) -> float:
        """What noise alone tells of its image: ln N less the mean entropy at r = 0, nats."""
        return float(np.log(self.count) - self.entropies[0].mean())

    @property
    def distortion(self) -> float:
        """KL(paired noise ‖ N(0, I)): the rest of what choosing spends, nats; as uncertain as
        `information`."""
        return self.choice - self.information

    @property
    def standard_error(self) -> float:
        """Of `information`, nats."""
        return float(self.entropies[0].std(ddof=1) / self.entropies.shape[1] ** 0.5)


def has_law(pairing: Pairing) -> bool:
    """Whether the density of an image's noise is known in closed form."""
    return isinstance(pairing, Independent) or (
        isinstance(pairing, Nearest) and pairing.chooses_on_images and not isinstance(pairing.centre, str)
    )


def posterior(
    images: CleanImages,
    pairing: Pairing,
    ratios: Sequence[float],
    points: int,
    pairing_generator: torch.Generator,
    row_generator: torch.Generator,
) -> Posterior:
    """Draw noisy points and find how sure a reader of the pairing's law and the data set is of their images.

    pairing: `Independent`, or `Nearest` with a fixed centre. ratios: r = signal/spread; the first must be 0.
    points: noisy points at each ratio, of random images; the same images and noises at every ratio.
    Raises ValueError for a pairing without a law.
    """
    if not has_law(pairing):
        raise ValueError(f"{pairing!r} has no posterior: {NO_LAW}")
    if ratios[0] != 0:
        raise ValueError(f"ratios must begin with 0, where noise is alone, got {list(ratios)}")
    rows = torch.randint(len(images), (points,), generator=row_generator)
    clean = images.rows(rows)
    noise = pairing(clean, generator=pairing_generator).flatten(1)  # [M, D]
    at_once = max(1, MOST_WEIGHTS // (points * len(images)))
    parts = []
    for start in range(0, len(ratios), at_once):
        few = ratios[start : start + at_once]
        noisy = torch.cat([noise + ratio * clean.flatten(1) for ratio in few])  # [R M, D], over its spread
        weights = _weights(images, pairing, noisy, np.repeat(np.array(few), points)[:, None])
        entropy = -(np.exp(weights) * weights).sum(axis=1)
        true = np.exp(weights[np.arange(len(weights)), np.tile(rows.numpy(), len(few))])
        parts.append(np.stack([entropy, true]).reshape(2, len(few), points))
    entropies, true_probabilities = np.concatenate(parts, axis=1)
    spent = choice_information(pairing.k) if isinstance(pairing, Nearest) else 0.0
    return Posterior(tuple(ratios), entropies, true_probabilities, spent, len(images))


def _weights(images: CleanImages, pairing: Pairing, noisy: Tensor, ratio: Floats) -> Floats:
    """ln p(image | point) of every image in the data set, float64 [Q, N]."""
    weights = np.empty((len(noisy), len(images)))
    start = 0
    for chunk in progress(images.chunks(CHUNK), -(-len(images) // CHUNK), "posterior"):
        weights[:, start : start + len(chunk)] = log_densities(pairing, noisy, ratio, chunk.flatten(1))
        start += len(chunk)
    weights -= scipy.special.logsumexp(weights, axis=1, keepdims=True)
    return weights


def log_densities(pairing: Pairing, noisy: Tensor, ratio: Floats, clean: Tensor) -> Floats:
    """ln p(noisy point | image) under a pairing's law, up to what is the same for all images; float64 [Q, n].

    noisy: points over their spread, [Q, D]. ratio: r of each, [Q, 1]. clean: images, [n, D].
    """
    products = (noisy @ clean.T).double().numpy()  # [Q, n]
    energy = clean.double().square().sum(dim=1).numpy()
    points = noisy.double().square().sum(dim=1)[:, None].numpy()
    noise_energy = points - 2 * ratio * products + ratio**2 * energy  # ‖n‖² were the point of this image
    density: Floats = -noise_energy / 2
    if not isinstance(pairing, Nearest) or pairing.k == 1:
        return density
    centre = torch.zeros(clean.shape[1]) if pairing.centre is None else _flat(pairing.centre, clean)
    less = clean - centre  # y
    length = less.double().norm(dim=1).numpy()
    # ⟨n, y⟩ = ⟨point, y⟩ − r⟨x, y⟩
    along = products - (noisy @ centre).double().numpy()[:, None]
    along -= ratio * (clean * less).double().sum(dim=1).numpy()
    if pairing.rule == "dot":
        # An image without a direction leaves the noise alone.
        a = np.divide(along, length, out=np.full_like(along, np.inf), where=length > 1e-12)
        density += (pairing.k - 1) * scipy.special.log_ndtr(a)
        return density
    squared = length**2 + noise_energy - 2 * along  # ‖y − n‖²
    return density + (pairing.k - 1) * log_survival(squared, length**2, clean.shape[1])


def log_survival(squared: Floats, noncentrality: Floats, dimension: int) -> Floats:
    """ln P(S > `squared`) of the noncentral χ² law, by Sankaran's normal approximation (1963).

    `survival_error` says how far off it is; scipy's exact one takes minutes for what this does in a second.
    """
    mean = dimension + noncentrality
    h = 1 - 2 * mean * (dimension + 3 * noncentrality) / (3 * (dimension + 2 * noncentrality) ** 2)
    p = (dimension + 2 * noncentrality) / mean**2
    m = (h - 1) * (1 - 3 * h)
    root = np.exp(h * np.log(np.maximum(squared, 1e-300) / mean))
    middle = 1 + h * p * (h - 1 - (1 - h / 2) * m * p)
    found: Floats = scipy.special.log_ndtr((middle - root) / (h * np.sqrt(2 * p) * (1 + m * p / 2)))
    return found


def survival_error(k: float, lengths: Floats, dimension: int) -> float:
    """The largest error of (k − 1) ln P(S > s) in nats, where all but 10⁻⁴ of the winners of k lie."""
    worst = 0.0
    for length in np.quantile(lengths, [0, 0.25, 0.5, 0.75, 1]):
        law = scipy.stats.ncx2(dimension, length**2)
        tail = np.array([1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 0.99, 0.999, 1 - 1e-4])
        squared = law.isf(np.exp(np.log(tail) / k))  # quantiles of the least of k
        error = log_survival(squared, np.float64(length**2), dimension) - law.logsf(squared)  # type: ignore
        worst = max(worst, float(np.abs((k - 1) * error).max()))
    return worst


def _flat(centre: Any, clean: Tensor) -> Tensor:
    """A fixed centre as a row [D]; one that broadcasts has been expanded by its maker."""
    flat: Tensor = centre.flatten()
    if flat.numel() != clean.shape[1]:
        raise ValueError(
            f"centre has {flat.numel()} numbers, an image {clean.shape[1]}; expand it to one image"
        )
    return flat
