"""`immiscible compare` and `immiscible demo`: did pairing save training steps?"""

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
from immiscible_diffusion.cli.settings import AS_NAMED, Settings, chosen_experiment, image_experiment
from immiscible_diffusion.cli.text_to_image import AS_NAMED_TEXT, TextToImageSettings

if TYPE_CHECKING:
    from torch import Tensor

    from immiscible_diffusion.comparison import Comparison, Plan
    from immiscible_diffusion.experiment import Experiment
    from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment

# Of images; a policy's nearest is of 2, as in the paper.
PAIRINGS = ("independent", "nearest", "assigned")


def compare(
    experiment: Annotated[str, tyro.conf.Positional],
    settings: Annotated[Settings, tyro.conf.arg(name="")] = AS_NAMED,
    policy: Annotated[PolicySettings, tyro.conf.arg(name="")] = AS_NAMED_POLICY,
    text: Annotated[TextToImageSettings, tyro.conf.arg(name="")] = AS_NAMED_TEXT,
    scoring: Annotated[Scoring, tyro.conf.arg(name="")] = AS_PUBLISHED,
    pairings: tuple[str, ...] = PAIRINGS,
    seeds: int = 3,
    evaluations: tuple[int, ...] | None = None,
    judged_at: int | None = None,
    points: int = 10,
    count: int = 2000,
    features: str = "auto",
    weights: Path | None = None,
    jobs: int | None = None,
    out: Path | None = None,
) -> None:
    """Train an experiment under several pairings with matched seeds, and report whether pairing helped.

    Writes report.html, PNGs and results.json. Given again with the same --out, it goes on where it stopped;
    pairings and seeds can be added.

    Args:
        experiment: digits-, fashion-mnist- or cifar10-, then ddim, flow or consistency; digits-edm,
            cifar10-edm; a policy: pusht, pusht-small or pusht-small-flow; or a text-to-image model:
            tiny-imagenet-latent, flickr8k-latent or emoji-latent.
        settings: Settings that replace the experiment's own.
        policy: Settings of a policy.
        text: Settings of a text-to-image model.
        scoring: How a policy is scored.
        pairings: Short names, such as independent nearest:4 nearest:4:uncentred nearest:2.5:dot assigned.
        seeds: Runs of each pairing, from --seed on.
        evaluations: Network evaluations an image to measure at; by default 5, 20 and 50, for a consistency
            model 1, 2 and 4.
        judged_at: The one that the headline is about; by default 20, for a consistency model 1.
        points: Measurements along each run.
        count: Images sampled for each measurement.
        features: Feature network, as for evaluate.
        weights: File of the feature network's weights.
        jobs: Runs to train at once; by default one a core, one on a GPU.
        out: Folder of the comparison; by default runs/compare-EXPERIMENT.
    """
    from immiscible_diffusion.comparison import Plan
    from immiscible_diffusion.policy.experiment import PolicyExperiment

    chosen = chosen_experiment(experiment, settings, policy=policy, text=text)
    if isinstance(chosen, PolicyExperiment):
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
        own = ("independent", "nearest:2", "assigned") if pairings == PAIRINGS else pairings
        policies = PolicyPlan(own, seeds, scoring.measure())
        place = out or Path("runs") / f"compare-{chosen.name}"
        return compare_policies(chosen, policies, scoring, place, jobs)
    refuse(compare, {"scoring": scoring}, "images")
    plan = Plan(
        pairings,
        seeds,
        evaluations or chosen.objective.evaluations,
        chosen.objective.judged_at if judged_at is None else judged_at,
        points,
        count,
        features,
        weights,
    )
    folder = out or Path("runs") / f"compare-{chosen.name}"
    return _report([_compared(chosen, plan, folder, jobs)], folder)


def demo(
    out: Path = Path("runs/demo"),
    seeds: int = 3,
    steps: int | None = None,
    count: int = 1000,
    jobs: int | None = None,
) -> None:
    """See the effect in five minutes: flow matching and DDIM on digits under four pairings.

    Args:
        out: Folder of the report.
        seeds: Runs of each pairing.
        steps: Training steps of a run.
        count: Images sampled for each measurement.
        jobs: Runs to train at once; by default one a core.
    """
    from immiscible_diffusion.comparison import Plan

    sections = []
    for name, k in (("digits-flow", 4), ("digits-ddim", 8)):
        plan = Plan(
            ("independent", f"nearest:{k}:uncentred", f"nearest:{k}", "assigned"),
            seeds,
            points=5,
            count=count,
        )
        chosen = image_experiment(name, Settings(steps=steps))
        sections.append(_compared(chosen, plan, out / name, jobs))
    _report(sections, out)


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
