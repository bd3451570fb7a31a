"""`immiscible compare`: did pairing save training steps?"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from immiscible_diffusion.cli.policy import (
    AS_NAMED_POLICY,
    AS_PUBLISHED,
    PolicySettings,
    Scoring,
    compare_policies,
    refuse,
)
from immiscible_diffusion.cli.settings import AS_NAMED, Settings, chosen_experiment
from immiscible_diffusion.cli.text_to_image import AS_NAMED_TEXT, TextToImageSettings

if TYPE_CHECKING:
    from torch import Tensor

    from immiscible_diffusion.comparison import Comparison, Plan
    from immiscible_diffusion.experiment import Experiment
    from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment

# `compare digits`: where pairing does best, and the paper's objective, on one page in five minutes.
DIGITS = "digits"
DIGITS_PARTS = ("digits-edm", "digits-ddim")
# The second is Algorithm 1 with DDIM's k (Table 4).
DIGITS_PAIRINGS = ("independent", "nearest:8:uncentred", "assigned", "assigned:above")


def compare(
    experiment: Annotated[str, tyro.conf.Positional],
    settings: Annotated[Settings, tyro.conf.arg(name="")] = AS_NAMED,
    policy: Annotated[PolicySettings, tyro.conf.arg(name="")] = AS_NAMED_POLICY,
    text: Annotated[TextToImageSettings, tyro.conf.arg(name="")] = AS_NAMED_TEXT,
    scoring: Annotated[Scoring, tyro.conf.arg(name="")] = AS_PUBLISHED,
    pairings: tuple[str, ...] | None = None,
    seeds: int = 3,
    evaluations: tuple[int, ...] | None = None,
    judged_at: int | None = None,
    points: int | None = None,
    count: int | None = None,
    features: str = "auto",
    weights: Path | None = None,
    jobs: int | None = None,
    out: Path | None = None,
) -> None:
    """Train an experiment under several pairings with matched seeds, and report whether pairing helped.

    Writes report.html, PNGs, results.json and results.csv. Given again with the same --out, it goes on where
    it stopped; pairings and seeds can be added.

    Args:
        experiment: digits, which is digits-edm and digits-ddim on one page under four pairings; or digits-,
            fashion-mnist- or cifar10-, then ddim, edm, flow or consistency; a policy: pusht, pusht-small or
            pusht-small-flow; or a text-to-image model:
            tiny-imagenet-latent, flickr8k-latent or emoji-latent.
        settings: Settings that replace the experiment's own.
        policy: Settings of a policy.
        text: Settings of a text-to-image model.
        scoring: How a policy is scored.
        pairings: Short names, such as independent nearest:4 nearest:4:uncentred nearest:2.5:dot assigned; by
            default independent, the experiment's own and assigned; for digits four, nearest as in the paper
            among them.
        seeds: Runs of each pairing, from --seed on.
        evaluations: Network evaluations an image to measure at; by default 5, 20 and 50, for a consistency
            model 1, 2 and 4.
        judged_at: The one that the headline is about; by default 20, for a consistency model 1.
        points: Measurements along each run; by default 10, for digits 5.
        count: Images sampled for each measurement; by default 2000, for digits 1000.
        features: Feature network, as for evaluate.
        weights: File of the feature network's weights.
        jobs: Runs to train at once; by default one a core, one on a GPU.
        out: Folder of the comparison; by default runs/compare-EXPERIMENT.
    """
    from immiscible_diffusion.policy.experiment import PolicyExperiment

    names = DIGITS_PARTS if experiment == DIGITS else (experiment,)
    chosen = [chosen_experiment(name, settings, policy=policy, text=text) for name in names]
    first, folder = chosen[0], out or Path("runs") / f"compare-{experiment}"
    if isinstance(first, PolicyExperiment):
        from immiscible_diffusion.policy.comparison import PolicyPlan

        images_only = {
            "evaluations": evaluations,
            "judged_at": judged_at,
            "points": points,
            "count": count,
            "features": features,
            "weights": weights,
        }
        refuse(compare, images_only, "a policy")
        policies = PolicyPlan(pairings or _usual(first.pairing), seeds, scoring.measure())
        return compare_policies(first, policies, scoring, folder, jobs)
    refuse(compare, {"scoring": scoring}, "images")
    sections = []
    for one in chosen:
        assert not isinstance(one, PolicyExperiment)
        plan = _plan(experiment, one, pairings, seeds, evaluations, judged_at, points, count)
        plan = dataclasses.replace(plan, features=features, weights=weights)
        sections.append(_compared(one, plan, folder / one.name if len(chosen) > 1 else folder, jobs))
    return _report(sections, folder)


def _plan(
    asked: str,
    chosen: "Experiment | TextToImageExperiment",
    pairings: tuple[str, ...] | None,
    seeds: int,
    evaluations: tuple[int, ...] | None,
    judged_at: int | None,
    points: int | None,
    count: int | None,
) -> "Plan":
    from immiscible_diffusion.comparison import Plan

    usual_points, usual_count, usual = 10, 2000, _usual(chosen.pairing)
    if asked == DIGITS:
        usual_points, usual_count = 5, 1000
        usual = DIGITS_PAIRINGS
    return Plan(
        pairings or usual,
        seeds,
        evaluations or chosen.objective.evaluations,
        chosen.objective.judged_at if judged_at is None else judged_at,
        usual_points if points is None else points,
        usual_count if count is None else count,
    )


def _usual(own: str) -> tuple[str, ...]:
    """Vanilla, the experiment's own pairing, and assignment."""
    return tuple(dict.fromkeys(("independent", own, "assigned")))


def _compared(
    experiment: "Experiment | TextToImageExperiment", plan: "Plan", folder: Path, jobs: int | None
) -> "tuple[Comparison, dict[str, Tensor]]":
    from immiscible_diffusion.comparison import run_comparison
    from immiscible_diffusion.comparison.subject import IMAGES
    from immiscible_diffusion.experiment import Experiment
    from immiscible_diffusion.text_to_image.scoring import SUBJECT

    subject = IMAGES if isinstance(experiment, Experiment) else SUBJECT
    try:
        return run_comparison(experiment, plan, folder, lambda text: print(text, flush=True), jobs, subject)
    except KeyboardInterrupt:
        print(f"\nStopped; what was measured is in {folder}. Give the same command again to go on.")
        raise SystemExit(130) from None


def _report(sections: "list[tuple[Comparison, dict[str, Tensor]]]", folder: Path) -> None:
    import numpy as np
    from rich.console import Console

    from immiscible_diffusion.comparison import results_table, rich_table, summarize, write_joint_report

    console = Console()
    for comparison, _ in sections:
        console.print(rich_table(results_table(comparison, summarize(comparison, np.random.default_rng(0)))))
    print(f"Report: {write_joint_report(sections, folder)}")
    print(f"To touch it: immiscible demo {folder}")
