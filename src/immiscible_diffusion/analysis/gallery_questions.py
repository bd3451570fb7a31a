"""Every question that can be asked of a few trained runs, at settings that suit their data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from immiscible_diffusion.analysis.choose_k import choose_k
from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.denoising import denoising
from immiscible_diffusion.analysis.distance import distance
from immiscible_diffusion.analysis.gallery import Analysis
from immiscible_diffusion.analysis.gaussianity import gaussianity
from immiscible_diffusion.analysis.miscibility import Effort, miscibility
from immiscible_diffusion.analysis.scaling import scaling
from immiscible_diffusion.analysis.stability import STRENGTHS, stability
from immiscible_diffusion.analysis.trained_runs import TrainedRuns
from immiscible_diffusion.comparison import Plan
from immiscible_diffusion.evaluation import FeatureNetwork
from immiscible_diffusion.objectives import Consistency, FlowMatching

ROWS = 5000  # images that the questions without a network look at
EFFORT = {"points": 2000, "samples": 64, "times": 12, "shown": 3, "shown_points": 150}
KS = (1, 2, 4, 8, 16, 64)


def about_runs(
    runs: TrainedRuns,
    features: FeatureNetwork,
    *,
    evaluations: int = 20,
    count: int = 1000,
    origins: int = 32,
    seed: int = 0,
) -> tuple[Analysis, ...]:
    """Ask what needs the trained networks: stability and denoising."""
    asked = {"runs": list(runs.described), "features": features.name}
    perturb: dict[str, Any] = {
        "strengths": list(STRENGTHS),
        "origins": origins,
        "perturbations": 10,
        "evaluations": evaluations,
        "seed": seed,
    }
    walk: dict[str, Any] = {
        "evaluations": evaluations,
        "count": count,
        "trajectories": min(128, count),
        "seed": seed,
    }
    return (
        Analysis("stability", asked | perturb, lambda: stability(runs, features, **perturb)),
        Analysis("denoising", asked | walk, lambda: denoising(runs, features, **walk)),
    )


def about_pairings(runs: TrainedRuns, *, seed: int = 0) -> tuple[Analysis, ...]:
    """Ask what needs no network, of the runs' images under the runs' pairings and independent noise."""
    models = [model for group in runs.groups for model in group.models]
    images = CleanImages(
        runs.data.name, runs.data.pixels[:ROWS], models[0].experiment.image_std, runs.data.fingerprint
    )
    asked = images.settings() | {"seed": seed}
    pairings = list(dict.fromkeys(["independent", *(model.experiment.pairing for model in models)]))
    batch = min(256, len(images))
    effort = EFFORT | {"clusters": min(8, len(images) // 2), "batch": batch}
    nearer: dict[str, Any] = {"ks": list(KS), "batches": sorted({min(64, batch), batch})}
    kind = type(models[0].experiment.objective)
    prediction = {FlowMatching: "flow", Consistency: "consistency"}.get(kind, "epsilon")
    return (
        Analysis("distance", asked | nearer, lambda: distance(images, **nearer, seed=seed)),
        Analysis(
            "miscibility",
            asked | effort | {"pairings": pairings},
            lambda: miscibility(images, pairings, Effort(**effort), seed=seed),
        ),
        Analysis(
            "gaussianity",
            asked | {"pairings": pairings, "batch": batch},
            lambda: gaussianity(images, pairings, batch=batch, seed=seed),
        ),
        Analysis(
            "choose-k",
            asked | {"prediction": prediction},
            lambda: choose_k(images, prediction, seed=seed),
        ),
    )


def about_scaling(runs: TrainedRuns, stds: Sequence[float], plan: dict[str, Any], folder: Path) -> Analysis:
    """Train the first group's experiment at other image stds (into `folder`) and look at these runs.

    plan: what else of a `Plan` is to differ.
    """
    experiment = runs.groups[0].models[0].experiment
    given = Plan((experiment.pairing,), image_stds=tuple(stds), **plan)
    asked = {
        "experiment": experiment.name,
        "pairing": experiment.pairing,
        "image_stds": list(stds),
        "seeds": given.seeds,
        "count": given.count,
    }
    return Analysis("scaling", asked, lambda: scaling(experiment, given, folder))
