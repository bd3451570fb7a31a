"""Does scaling the images do what pairing does? §3.3.3, §4.6 and Figure 8 of the paper."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.denoising import denoising
from immiscible_diffusion.analysis.finding import Finding
from immiscible_diffusion.analysis.posterior import NO_LAW, has_law, posterior
from immiscible_diffusion.analysis.trained_runs import TrainedRuns, load_runs
from immiscible_diffusion.comparison import (
    Plan,
    comparison_to_json,
    headline,
    judge,
    plot_curves,
    run_comparison,
    run_place,
    summarize,
    variants,
)
from immiscible_diffusion.evaluation import feature_network
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.figures import (
    DOTTED,
    FONT_SIZE,
    LIGHT,
    dress,
    footnote,
    legend,
    line,
    new_figure,
    styles_for,
    to_png,
)
from immiscible_diffusion.objectives import mixing_scales
from immiscible_diffusion.randomness import derived_seed, generator_for
from immiscible_diffusion.runs.images import pairing_of


def scaling(
    experiment: Experiment,
    plan: Plan,
    folder: Path,
    *,
    samples: int = 128,
    trajectories: int = 128,
    real: int = 10_000,
    report: Callable[[str], None] = print,
    jobs: int | None = None,
) -> Finding:
    """Train under one pairing at several image stds, and measure each as `compare` and `denoising` do.

    plan: its `image_stds` are trained with its one pairing; the first is what the others are held against.
    All distances are of bytes brought back from the scale, so they compare. folder: of the runs; what is
    there already is not trained again. samples: noisy points at each time for the posterior entropy.
    Raises ValueError for fewer than two stds or more than one pairing, and what `run_comparison` raises.
    """
    if len(plan.image_stds) < 2 or len(plan.pairings) != 1:
        raise ValueError(
            f"stds must be two or more under one pairing, got "
            f"{' '.join(map(str, plan.image_stds)) or 'none'} under {' '.join(plan.pairings)}"
        )
    comparison, _ = run_comparison(experiment, plan, folder, report, jobs)
    summaries = summarize(comparison, np.random.default_rng(derived_seed(experiment.seed, "bootstrap")))
    verdicts = judge(comparison, summaries)
    seeds = range(experiment.seed, experiment.seed + plan.seeds)
    places = [run_place(folder, name, seed) for name in variants(experiment, plan) for seed in seeds]
    runs = load_runs(places)
    network = feature_network(plan.features, runs.data, weights=plan.weights)
    walked = denoising(
        runs,
        network,
        evaluations=plan.judged_at,
        count=plan.count,
        real=real,
        trajectories=trajectories,
        seed=experiment.seed,
    )
    entropies = mixed(experiment, plan, runs, samples)
    pictures = {"": plot_curves(comparison, summaries)}
    pictures |= {f"denoising{'-' if name else ''}{name}": png for name, png in walked.pictures.items()}
    if entropies:
        pictures["miscibility"] = _picture(entropies, runs, samples)
    told = _mixed_sentence(entropies) if entropies else f"Miscibility was not measured: {NO_LAW}."
    return Finding(
        question="scaling",
        title=f"Images scaled to other stds: {experiment.name}, {plan.pairings[0]}, {runs.steps}",
        sentence=f"{headline(verdicts)} {told} Step by step: {walked.sentence}",
        values={
            "comparison": json.loads(comparison_to_json(comparison)),
            "verdicts": {said.pairing: said.sentence for said in verdicts},
            "denoising": walked.values,
            "posterior_entropy": entropies,
        },
        settings=walked.settings
        | {
            "experiment": experiment.name,
            "pairing": plan.pairings[0],
            "image_stds": list(plan.image_stds),
            "seeds": plan.seeds,
            "points": plan.points,
            "judged_at": plan.judged_at,
            "evaluations_measured": list(plan.evaluations),
            "samples": samples,
        },
        pictures=pictures,
        warnings=walked.warnings,
    )


def mixed(
    experiment: Experiment, plan: Plan, runs: TrainedRuns, samples: int
) -> dict[str, dict[str, list[float]]]:
    """How unsure of its image a noisy point leaves one who knows the data, at each of the sampler's times.

    Entropy of the exact posterior over the data set in units of ln N: 1 is fully mixed, 0 not at all. The
    same images and noises at every std. Empty where the pairing's noise has no closed form.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for name, one in variants(experiment, plan).items():
        images = CleanImages(runs.data.name, runs.data.pixels, one.image_std, runs.data.fingerprint)
        pairing = pairing_of(one, runs.data, images.mean())
        if not has_law(pairing):
            return {}
        times = one.objective.times(plan.judged_at)[:-1]
        scales = [mixing_scales(one.objective, time, torch.ones(1, 1)) for time in times]
        ratios = [0.0, *(float(signal / spread) for signal, spread in scales)]
        drawn = [generator_for(experiment.seed, stream, step=1) for stream in ("noise", "samples")]
        curve = posterior(images, pairing, ratios, samples, *drawn)
        share = curve.entropies[1:] / np.log(curve.count)
        found[name] = {
            "times": times.tolist(),
            "share_of_ln_n": share.mean(axis=1).tolist(),
            "standard_error": (share.std(axis=1, ddof=1) / samples**0.5).tolist(),
        }
    return found


def _mixed_sentence(entropies: dict[str, dict[str, list[float]]]) -> str:
    shares = [f"{name} {np.mean(curve['share_of_ln_n']):.0%}" for name, curve in entropies.items()]
    return (
        "What the noisy points on the way leave unknown of their image, in the mean over the sampler's steps "
        f"(100% is fully mixed): {', '.join(shares)}."
    )


def _picture(entropies: dict[str, dict[str, list[float]]], runs: TrainedRuns, samples: int) -> bytes:
    figure = new_figure(8.5, 6.0, LIGHT)
    axes = figure.subplots()
    dress(axes, LIGHT, "How mixed noisy points are (no training)", "share of the way behind (0: pure noise)")
    axes.set_ylabel("posterior entropy ÷ ln N", fontsize=FONT_SIZE, color=LIGHT.ink)
    entries = {}
    for (name, curve), style in zip(
        entropies.items(), styles_for(list(entropies), LIGHT).values(), strict=True
    ):
        share, error = np.array(curve["share_of_ln_n"]), 1.96 * np.array(curve["standard_error"])
        behind = np.linspace(0, 1, len(share))
        axes.fill_between(behind, share - error, share + error, color=style.colour, alpha=0.16, linewidth=0)
        axes.add_line(line(style, behind.tolist(), share.tolist()))
        entries[name] = line(style)
    axes.axhline(1, color=LIGHT.ink, linestyle=DOTTED, linewidth=1.4)
    axes.autoscale_view()
    axes.set_ylim(bottom=0)
    footnote(figure, f"{runs.title}; {samples} noisy points at each step; bands: 95 % of the mean", LIGHT)
    figure.tight_layout(rect=(0, 0.05, 1, 0.93 - 0.05 * ((len(entries) - 1) // 2)))
    legend(figure, entries, 2, LIGHT)
    return to_png(figure)
