"""A finished run asked again: what would its images be if sampling began where its training noise lies?

A network trained with paired noise has not seen N(0, I). If that is what harms, noise of the pairing's own
law as the start mends it ("paired"; it needs the training images, so it is a diagnosis and no sampler); a
Gaussian of the same mean and std is what can be had without them ("marginal"). What a start does not mend was
learned worse.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from immiscible_diffusion.data.images import ImageData, mean_image
from immiscible_diffusion.evaluation import Reference, distances
from immiscible_diffusion.evidence.result import HELD_OUT, Again
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.generation import Start
from immiscible_diffusion.noise_moments import DRAWN, Marginal, fitted_marginal, lean, paired_rows
from immiscible_diffusion.pairing import Pairing
from immiscible_diffusion.randomness import derived_seed
from immiscible_diffusion.runs.folder import stored_centre
from immiscible_diffusion.runs.images import pairing_of
from immiscible_diffusion.runs.paired_marginal import marginal_of_run
from immiscible_diffusion.runs.trained_model import TrainedModel, load_trained
from immiscible_diffusion.scoring import score_network


def measured_again(
    place: Path,
    data: ImageData,
    references: list[Reference],
    held_out: Reference | None,
    evaluations: tuple[int, ...],
    count: int,
) -> list[Again]:
    """Measure a finished run from every start and with every feature network; count: images each time.

    held_out: real images that were not trained on, in the features of the first of `references`.
    """
    trained = load_trained(place)
    experiment = trained.experiment
    pairing = pairing_of(experiment, data, stored_centre(place, data))
    marginal = marginal_of_run(place, lambda: data)
    found = []
    for name, start in _starts(trained, data, pairing, marginal, count):
        asked = [*references, held_out] if held_out is not None and start is None else references
        for reference, scores in _scored(trained, data, asked, evaluations, count, start):
            real = HELD_OUT if reference is held_out else "training"
            network = reference.network.name
            found.append(Again(experiment.pairing, experiment.seed, name, network, scores, real))
    return found


def noise_moments(experiment: Experiment, data: ImageData) -> dict[str, float]:
    """Std, length of the mean, and lean towards their images, in σ, of the noise that a pairing gives."""
    centre = mean_image(data, experiment.image_std, experiment.flip)
    clean, noise = paired_rows(experiment, data, pairing_of(experiment, data, centre), DRAWN)
    marginal = fitted_marginal(noise)
    moments = {"std": marginal.std, "mean length": float(marginal.mean.norm())}
    return {**moments, "lean": lean(clean, noise, centre)}


def _starts(
    trained: TrainedModel, data: ImageData, pairing: Pairing, marginal: Marginal, count: int
) -> Iterator[tuple[str, Start | None]]:
    yield "gaussian", None
    if trained.experiment.pairing == "independent":
        # Shorter noise changes vanilla's images too: without this, that would count as the marginal's merit.
        yield "std 0.9", Marginal(torch.zeros(()), 0.9).start
    else:
        yield "marginal", marginal.start
        _, noise = paired_rows(trained.experiment, data, pairing, count, step=1)
        yield "paired", _given(noise)


def _given(noise: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda drawn: noise[: len(drawn)].to(drawn)


def _scored(
    trained: TrainedModel,
    data: ImageData,
    references: list[Reference],
    evaluations: tuple[int, ...],
    count: int,
    start: Start | None,
) -> Iterator[tuple[Reference, dict[int, float]]]:
    experiment = trained.experiment
    scores, images = score_network(
        experiment, trained.network, data, references[0], evaluations, count, start=start
    )
    yield references[0], {n: scores[n].frechet for n in evaluations}
    seed = derived_seed(experiment.seed, "evaluation", 2) % 2**31
    for reference in references[1:]:
        yield reference, {n: distances(reference, images[n], seed=seed).frechet for n in evaluations}
