"""Is paired noise still Gaussian? §3.3.2 of the paper: KL to N(0, I), with what few samples alone make of it.

Sampling starts from N(0, I), so training noise that is not N(0, I) is noise that sampling never meets, and
the other way round. Two shifts say how far off it is, in standard deviations of what one draw varies by: the
length of the mean noise (a draw's component along it varies by 1), and the shift of the mean norm (a norm
varies by about √½ in any dimension). `WARN_FROM` is set where one draw tells the two laws apart in over 69 %
of bets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
import torch
from torch import Tensor

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.distance import image_lengths
from immiscible_diffusion.analysis.finding import Finding
from immiscible_diffusion.analysis.gaussianity_pictures import shift_picture, spectrum_picture
from immiscible_diffusion.analysis.laws import expected_norm, winner_moments
from immiscible_diffusion.analysis.progress import progress
from immiscible_diffusion.analysis.wording import number
from immiscible_diffusion.pairing import Pairing, canonical_name, pairing_from_name
from immiscible_diffusion.pairing.nearest import Rule
from immiscible_diffusion.randomness import generator_for

PAIRINGS = ("independent", "nearest:8:uncentred", "nearest:8", "nearest:8:dot", "assigned")
KS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
WARN_FROM = 1.0  # standard deviations: Φ(1/2) = 0.69
BATCH = 256
LARGEST = 8192  # dimensions whose covariance is worth its memory
PAPER = {"independent": 48.25, "nearest:8:uncentred": 48.60}  # at D = 3,072, 50,000 noises


@dataclass(frozen=True, eq=False)
class NoiseMoments:
    """Of one noise an image: their count, mean [D], covariance over N [D, D] or None, and mean norm;
    float64."""

    count: int
    mean: Tensor
    covariance: Tensor | None
    norm: float
    energy: float


def gaussianity(
    images: CleanImages,
    pairings: Sequence[str] = PAIRINGS,
    ks: Sequence[int] = KS,
    *,
    batch: int = BATCH,
    seed: int = 0,
) -> Finding:
    """Fit a Gaussian to one noise an image under each pairing, and predict the shifts of nearest noise for
    every k.

    pairings: short names, measured. ks: predicted, for both rules, centred or not, from the law of the
    winner.
    batch: of assigned; images are in random order. Warns of pairings that shift noise by `WARN_FROM` or more.
    Raises ValueError for unknown names and a batch that the data does not fill.
    """
    if not 2 <= batch <= len(images):
        raise ValueError(f"batch must be from 2 to the number of images, {len(images)}, got {batch}")
    names = tuple(dict.fromkeys(canonical_name(name) for name in pairings))
    centre = images.mean()
    order = torch.randperm(len(images), generator=generator_for(seed, "order"))
    fits = {}
    for name in names:
        pairing = pairing_from_name(name, centre)
        fits[name] = noise_moments(
            images, pairing, batch, lambda step: generator_for(seed, "noise", step), order, name
        )
    found = {name: _values(images, fit) for name, fit in fits.items()}
    rules: tuple[Rule, ...] = ("l2", "dot")
    chosen = [(k, rule) for rule in rules for k in ks]
    shifted = {
        centring: dict(zip(chosen, predicted_shifts(images, chosen, against), strict=True))
        for centring, against in (("uncentred", None), ("centred", centre))
    }
    predicted = [
        {"k": k, "rule": rule, "centring": centring} | by_choice[k, rule]
        for rule in rules
        for centring, by_choice in shifted.items()
        for k in ks
    ]
    return Finding(
        question="gaussianity",
        title=f"How Gaussian paired noise stays: {images.describe()}",
        sentence=_sentence(found),
        values={
            "pairings": found,
            "divergence_expected": expected_divergence(len(images), images.dimension),
            "marchenko_pastur_edges": marchenko_pastur(len(images), images.dimension),
            "predicted": predicted,
            "paper_divergence": PAPER if images.dimension == 3072 else {},
        },
        settings=images.settings() | {"seed": seed, "batch": batch, "warn_from": WARN_FROM},
        pictures={
            "": shift_picture(images, seed, predicted, found, WARN_FROM),
            "spectrum": spectrum_picture(
                images,
                seed,
                {name: found[name].pop("eigenvalues") for name in names},
                marchenko_pastur(len(images), images.dimension),
            ),
        },
        warnings=tuple(warning for name in names for warning in _warnings(name, found[name])),
    )


def noise_moments(
    images: CleanImages,
    pairing: Pairing,
    batch: int,
    generator_of: Callable[[int], torch.Generator],
    order: Tensor | None = None,
    label: str = "noise",
) -> NoiseMoments:
    """Draw one noise for every image and add up its moments; batch i draws from `generator_of(i)`.

    The covariance is left out (None) beyond `LARGEST` dimensions and where there are no more noises than
    dimensions.
    """
    dimension = images.dimension
    total = torch.zeros(dimension, dtype=torch.float64)
    fits = len(images) > dimension <= LARGEST
    products = torch.zeros(dimension, dimension, dtype=torch.float64) if fits else None
    norm = energy = 0.0
    for step, clean in enumerate(progress(images.chunks(batch, order), -(-len(images) // batch), label)):
        rows = pairing(clean, generator=generator_of(step)).flatten(1).double()
        total += rows.sum(dim=0)
        squares = rows.square().sum(dim=1)
        norm += float(squares.sqrt().sum())
        energy += float(squares.sum())
        if products is not None:
            products.addmm_(rows.T, rows)
    mean = total / len(images)
    covariance = None if products is None else products / len(images) - torch.outer(mean, mean)
    return NoiseMoments(len(images), mean, covariance, norm / len(images), energy / len(images))


def divergence(fit: NoiseMoments) -> float:
    """KL(N(mean, covariance) ‖ N(0, I)) in nats. Raises ValueError without a covariance."""
    if fit.covariance is None:
        raise ValueError("no covariance: it takes more noises than dimensions")
    log_determinant = 2 * torch.linalg.cholesky(fit.covariance).diagonal().log().sum()
    trace = fit.covariance.trace() + fit.mean.square().sum()
    return float((trace - len(fit.mean) - log_determinant) / 2)


def expected_divergence(count: int, dimension: int) -> dict[str, float] | None:
    """What `divergence` is for `count` draws of N(0, I) itself: its mean and standard deviation, nats.

    The covariance is a Wishart matrix over N with N − 1 degrees of freedom, whose log-determinant is a sum of
    ln χ². None where there are no more draws than dimensions.
    """
    if count <= dimension:
        return None
    half = (count - 1 - np.arange(dimension)) / 2
    log_determinant = float((scipy.special.digamma(half) + np.log(2 / count)).sum())
    # The trace has the mean D, and the covariance 2D/N with the log-determinant; so does it vary itself.
    variance = float(scipy.special.polygamma(1, half).sum()) - 2 * dimension / count
    return {"mean": -log_determinant / 2, "standard_deviation": max(variance, 0.0) ** 0.5 / 2}


def marchenko_pastur(count: int, dimension: int) -> tuple[float, float] | None:
    """Between which eigenvalues the covariance of `count` draws of N(0, I) lies; None for too few draws."""
    if count <= dimension:
        return None
    root = (dimension / count) ** 0.5
    return (1 - root) ** 2, (1 + root) ** 2


def shifts(mean_length: float, norm: float, dimension: int) -> dict[str, float]:
    """The shifts of mean and norm in standard deviations of a single draw of N(0, I), and both together."""
    usual = float(np.sqrt(2) * scipy.special.poch(dimension / 2, 0.5))  # E‖N(0, I)‖
    spread = (dimension - usual**2) ** 0.5
    norm_shift = (norm - usual) / spread
    return {
        "mean_shift": mean_length,
        "norm_shift": norm_shift,
        "shift": float(np.hypot(mean_length, norm_shift)),
    }


def predicted_shifts(
    images: CleanImages, chosen: Sequence[tuple[float, Rule]], centre: Tensor | None
) -> list[dict[str, float]]:
    """`shifts` of nearest noise over a whole data set, without drawing any, for every (k, rule) of `chosen`.

    The noise of an image has the mean E[a] y/‖y‖; the data set's is the mean of these.
    """
    lengths = image_lengths(images, centre)[0]
    moments = [winner_moments(k, rule, lengths, images.dimension) for k, rule in chosen]
    directed = np.stack([moment.projection for moment in moments]) / np.maximum(lengths, 1e-12)
    scales = torch.from_numpy(directed).float()  # [K, N]
    against = torch.zeros(images.dimension) if centre is None else centre.flatten()
    totals = torch.zeros(len(moments), images.dimension, dtype=torch.float64)
    start = 0
    for chunk in images.chunks(2048):
        rows = chunk.flatten(1) - against
        totals += (scales[:, start : start + len(rows)] @ rows).double()
        start += len(rows)
    return [
        shifts(float((total / len(images)).norm()), float(expected_norm(moment).mean()), images.dimension)
        for total, moment in zip(totals, moments, strict=True)
    ]


def _values(images: CleanImages, fit: NoiseMoments) -> dict[str, Any]:
    # The mean of N draws of N(0, I) has a length of its own, √(D/N); without it, as its square is additive:
    length = max(0.0, float(fit.mean.square().sum()) - images.dimension / fit.count) ** 0.5
    values: dict[str, Any] = {
        "mean_norm": fit.norm,
        "mean_squared": fit.energy / images.dimension,
        "brightness": float(fit.mean.mean()),
        "brightness_standard_error": (images.dimension * fit.count) ** -0.5,
        **shifts(length, fit.norm, images.dimension),
        "divergence": None,
        "eigenvalues": None,
    }
    if len(images.shape) == 3:
        values["brightness_per_channel"] = fit.mean.reshape(images.shape[0], -1).mean(dim=1).tolist()
    expected = expected_divergence(fit.count, images.dimension)
    if fit.covariance is None or expected is None:
        return values | {
            "divergence_left_out": "it takes more images than dimensions, of which at most 8,192"
        }
    eigenvalues = torch.linalg.eigvalsh(fit.covariance)
    measured = divergence(fit)
    return values | {
        "divergence": measured,
        "divergence_excess": measured - expected["mean"],
        "divergence_excess_in_deviations": (measured - expected["mean"]) / expected["standard_deviation"],
        "smallest_eigenvalue": float(eigenvalues[0]),
        "largest_eigenvalue": float(eigenvalues[-1]),
        "eigenvalues": eigenvalues.numpy(),
    }


def _warnings(name: str, values: dict[str, Any]) -> list[str]:
    if values["shift"] < WARN_FROM:
        return []
    both, mean, norm = (number(values[which]) for which in ("shift", "mean_shift", "norm_shift"))
    return [
        f"{name} shifts noise by {both} standard deviations of a draw of N(0, I) (its mean by "
        f"{mean}, its norm by {norm}), which sampling will not: take a smaller k, centre, or choose by dot"
    ]


def _sentence(found: dict[str, dict[str, Any]]) -> str:
    parts = []
    for name, values in found.items():
        mean, norm = number(values["mean_shift"]), number(values["norm_shift"], signed=True)
        parts.append(f"{name}: mean off by {mean}σ, norm by {norm}σ")
        if values["divergence"] is not None:
            excess = number(values["divergence_excess"], 3, signed=True)
            parts[-1] += f", KL {values['divergence']:.2f} nats ({excess} beyond sampling)"
    return f"Against N(0, I), σ being what one draw varies by: {'; '.join(parts)}."
