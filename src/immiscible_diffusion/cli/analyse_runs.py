"""Questions about trained runs: `immiscible analyse stability` and its neighbours."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro

from immiscible_diffusion.cli.findings import tell
from immiscible_diffusion.cli.settings import AS_NAMED, Settings, image_experiment

Runs = Annotated[tuple[Path, ...], tyro.conf.Positional]


def stability(
    runs: Runs,
    strengths: tuple[float, ...] = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    origins: int = 32,
    perturbations: int = 10,
    evaluations: int = 20,
    renormalised: bool = False,
    features: str = "auto",
    weights: Path | None = None,
    data: str | None = None,
    seed: int = 0,
    out: Path = Path("runs/analyse/stability"),
) -> None:
    """How far may a noise move before its image becomes another? (§3.1, Eq. 1, Fig. 2)

    Args:
        runs: Run folders, or a comparison's folder for all of its runs; pairings are shown side by side.
        strengths: Weights W of the perturbation, 0.1 for 10 %.
        origins: Noises to perturb.
        perturbations: Perturbations of each.
        evaluations: Sampler steps.
        renormalised: Scale the perturbed noise back to std 1; the paper does not.
        features: Feature network, as for evaluate.
        weights: File of the feature network's weights.
        data: Where the data is now, if it has moved since training.
        seed: Seed of the noises.
        out: Folder of the finding.
    """
    from immiscible_diffusion.analysis.stability import stability
    from immiscible_diffusion.analysis.trained_runs import load_runs
    from immiscible_diffusion.evaluation import feature_network

    loaded = load_runs(runs, data)
    network = feature_network(features, loaded.data, weights=weights)
    finding = stability(
        loaded,
        network,
        strengths=strengths,
        origins=origins,
        perturbations=perturbations,
        evaluations=evaluations,
        renormalised=renormalised,
        seed=seed,
    )
    tell(finding, out)


def denoising(
    runs: Runs,
    evaluations: int = 20,
    count: int = 1000,
    real: int = 10_000,
    trajectories: int = 128,
    features: str = "auto",
    weights: Path | None = None,
    data: str | None = None,
    seed: int = 0,
    out: Path = Path("runs/analyse/denoising"),
) -> None:
    """What does each denoising step see, and how tangled are the ways? (§3.2, Eq. 2, Fig. 3 and 8)

    Args:
        runs: Run folders, or a comparison's folder for all of its runs; pairings are shown side by side.
        evaluations: Sampler steps.
        count: Images for each distance; distances of other counts do not compare.
        real: Real images at most, chosen at random.
        trajectories: Ways that the map shows and the tangling scores count.
        features: Feature network, as for evaluate.
        weights: File of the feature network's weights.
        data: Where the data is now, if it has moved since training.
        seed: Seed of the map and of the choice of real images.
        out: Folder of the finding.
    """
    from immiscible_diffusion.analysis.denoising import denoising
    from immiscible_diffusion.analysis.trained_runs import load_runs
    from immiscible_diffusion.evaluation import feature_network

    loaded = load_runs(runs, data)
    network = feature_network(features, loaded.data, weights=weights)
    finding = denoising(
        loaded,
        network,
        evaluations=evaluations,
        count=count,
        real=real,
        trajectories=trajectories,
        seed=seed,
    )
    tell(finding, out)


def scaling(
    experiment: Annotated[str, tyro.conf.Positional],
    settings: Annotated[Settings, tyro.conf.arg(name="")] = AS_NAMED,
    stds: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0),
    pairing: str = "independent",
    seeds: int = 3,
    evaluations: tuple[int, ...] = (5, 20, 50),
    judged_at: int = 20,
    points: int = 10,
    count: int = 1000,
    real: int = 10_000,
    trajectories: int = 128,
    samples: int = 128,
    features: str = "auto",
    weights: Path | None = None,
    jobs: int | None = None,
    out: Path | None = None,
) -> None:
    """Does scaling the images do what pairing does? Trains at several image stds. (§3.3.3, §4.6, Fig. 8)

    Given again with the same --out, it goes on where it stopped.

    Args:
        experiment: digits-, fashion-mnist- or cifar10-, then ddim, edm, flow or consistency.
        settings: Settings that replace the experiment's own.
        stds: Nominal stds to scale images to; the first is what the others are held against.
        pairing: The pairing of all runs, in short.
        seeds: Runs of each std, from --seed on.
        evaluations: Network evaluations an image to measure at.
        judged_at: The one that is judged by, and that is followed step by step.
        points: Measurements along each run.
        count: Images sampled for each measurement.
        real: Real images at most in the distances of single steps.
        trajectories: Ways that the map shows and the tangling scores count.
        samples: Noisy points at each step for the posterior entropy.
        features: Feature network, as for evaluate.
        weights: File of the feature network's weights.
        jobs: Runs to train at once; by default one a core, one on a GPU.
        out: Folder of the runs and the finding; by default runs/analyse/scaling-EXPERIMENT.
    """
    from immiscible_diffusion.analysis.scaling import scaling
    from immiscible_diffusion.comparison import Plan

    chosen = image_experiment(experiment, settings)
    plan = Plan((pairing,), seeds, evaluations, judged_at, points, count, features, weights, stds)
    folder = out or Path("runs/analyse") / f"scaling-{chosen.name}"
    try:
        finding = scaling(
            chosen, plan, folder, samples=samples, trajectories=trajectories, real=real, jobs=jobs
        )
    except KeyboardInterrupt:
        print(f"\nStopped; what was trained is in {folder}. Give the same command again to go on.")
        raise SystemExit(130) from None
    tell(finding, folder)


RUN_QUESTIONS: dict[str, Callable[..., None]] = {
    "stability": stability,
    "denoising": denoising,
    "scaling": scaling,
}
