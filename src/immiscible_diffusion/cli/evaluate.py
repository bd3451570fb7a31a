"""`immiscible evaluate`: the distance of a run's images to real ones."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from immiscible_diffusion.cli.measured import Measured
from immiscible_diffusion.cli.policy import AS_PUBLISHED, Scoring, evaluate_policy, refuse
from immiscible_diffusion.cli.text_to_image import measured_text_to_image

if TYPE_CHECKING:
    from torch import Tensor

    from immiscible_diffusion.evaluation import Distances, Reference


def evaluate(
    run: Annotated[Path, tyro.conf.Positional],
    checkpoint: str = "newest",
    evaluations: tuple[int, ...] | None = None,
    count: int = 2000,
    sampler: str | None = None,
    tolerance: float | None = None,
    start: Literal["gaussian", "marginal"] = "gaussian",
    features: str = "auto",
    weights: Path | None = None,
    data: str | None = None,
    guidance: float | None = None,
    clip: str | None = None,
    scoring: Annotated[Scoring, tyro.conf.arg(name="")] = AS_PUBLISHED,
    jobs: int | None = None,
) -> None:
    """Measure the distances of a run's images to its data, or how well its policy pushes.

    Writes evaluation.json.

    Args:
        run: Folder of the run.
        checkpoint: newest, best (of those that train --evaluate-every measured), or a step's number.
        evaluations: Sampler steps to measure at; by default 5, 20 and 50, for a consistency model 1, 2 and 4.
        count: Images to sample; distances fall with the count, so compare equal ones.
        sampler: ddim or heun for diffusion; euler, heun or dopri5 for flow matching and EDM; multistep for
            consistency.
        tolerance: Error that dopri5 keeps its steps within, 1e-5 by default; it chooses their number itself.
        start: Begin at N(0, I), or at a Gaussian with the mean and std that the run's pairing left its noise,
            measured on its data once. A comparison of pairings begins at N(0, I).
        features: Network whose features are compared: inception (then the distance is the FID), probe (a
            small classifier trained once on the data's labels), resnet (CIFAR-10, with --weights), pixels
            (the image itself), or auto:
            inception where its weights are found, else probe.
        weights: File of the feature network's weights, for inception and resnet.
        data: Where the data is now, if it has moved since training.
        guidance: How far to go from what the network says to no prompt, for a text-to-image run; by default
            the experiment's.
        clip: CLIP that says how well a text-to-image run's images follow their prompts (CLIPScore): a folder,
            or a hub name such as openai/clip-vit-large-patch14.
        scoring: How a policy is scored.
        jobs: Processes that run a policy's episodes; by default one a core.
    """
    from immiscible_diffusion.policy.experiment import is_policy_run

    images_only = {
        "checkpoint": checkpoint,
        "evaluations": evaluations,
        "count": count,
        "sampler": sampler,
        "tolerance": tolerance,
        "features": features,
        "weights": weights,
        "data": data,
        "guidance": guidance,
        "clip": clip,
        "start": start,
    }
    if is_policy_run(run):
        refuse(evaluate, images_only, "a policy")
        return evaluate_policy(run, scoring, jobs)
    refuse(evaluate, {"jobs": jobs, "scoring": scoring}, "images")

    import dataclasses
    import json

    from immiscible_diffusion.atomic_files import write_text
    from immiscible_diffusion.evaluation import feature_network, prepare_reference
    from immiscible_diffusion.evaluation.clip_score import clip_score, open_clip
    from immiscible_diffusion.sampling import ADAPTIVE, TOLERANCE, chosen_sampler
    from immiscible_diffusion.text_to_image.experiment import is_text_to_image_run

    judge = None
    if is_text_to_image_run(run):
        refuse(evaluate, {"start": start}, "a text-to-image model")
        judge = None if clip is None else open_clip(clip)
        model = measured_text_to_image(run, checkpoint, data, guidance)
    else:
        refuse(evaluate, {"guidance": guidance, "clip": clip}, "images without prompts")
        model = _measured(run, checkpoint, data, start)
    experiment, images = model.experiment, model.images
    steps: tuple[int | None, ...] = (None,)
    if evaluations is not None or sampler != ADAPTIVE:
        steps = evaluations or experiment.objective.evaluations
    for number in steps:
        chosen = chosen_sampler(experiment.objective, sampler, number, tolerance)
    network = feature_network(features, images, weights=weights)
    reference = prepare_reference(images.pixels, network)
    with_these = "".join(f", {name} {value:g}" for name, value in model.settings.items())
    print(
        f"{experiment.name}, {experiment.pairing}, step {model.step:,}: {count:,} images against "
        f"{len(images.pixels):,} real ones, features {network.name}{with_these}"
    )

    measured, generated = _distances(model, reference, steps, count, sampler, tolerance)
    if judge is not None and model.prompts is not None:
        for (name, record), pixels in zip(measured.items(), generated.values(), strict=True):
            scored = clip_score(judge, pixels, model.prompts(count))
            record["clip_score"] = dataclasses.asdict(scored)
            print(f"{name} evaluations: CLIPScore {scored.score:.2f} by {scored.clip}", flush=True)
    result = {"step": model.step, "pairing": experiment.pairing, "sampler": chosen, **model.settings}
    result |= {"start": start, "evaluations": measured}
    if chosen == ADAPTIVE:
        result["tolerance"] = tolerance or TOLERANCE
    write_text(run / "evaluation.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(f"Wrote {run / 'evaluation.json'}")
    return None


def _distances(
    model: Measured,
    reference: "Reference",
    steps: tuple[int | None, ...],
    count: int,
    sampler: str | None,
    tolerance: float | None,
) -> "tuple[dict[str, dict[str, Any]], dict[int | None, Tensor]]":
    """Sample and measure at each number of steps, printing each; what to store, and the images."""
    import dataclasses

    from immiscible_diffusion.generation import counted_evaluations

    measured: dict[str, dict[str, Any]] = {}

    def report(number: int | None, scored: "Distances") -> None:
        made = counted.per_image(count)
        counted.images = 0
        measured[f"{number or made:g}"] = {**dataclasses.asdict(scored), "network_evaluations": made}
        name = (
            f"{made:4g} evaluations" if number in (None, made) else f"{number:4d} steps, {made:g} evaluations"
        )
        print(
            f"{name}: {scored.distance_name} {scored.frechet:.4f}, kernel distance {scored.kernel:.5f}",
            flush=True,
        )

    with counted_evaluations(model.network) as counted:
        generated = model.score(reference, steps, count, sampler, tolerance, report)
    return measured, generated


def _measured(run: Path, checkpoint: str, data: str | None, start: str) -> Measured:
    """Load a run on images to be measured."""
    import dataclasses

    from accelerate import Accelerator

    from immiscible_diffusion.runs.folder import load_data
    from immiscible_diffusion.runs.paired_marginal import start_of_run
    from immiscible_diffusion.runs.trained_model import load_trained
    from immiscible_diffusion.scoring import score_network

    model = load_trained(run, checkpoint)
    experiment = model.experiment if data is None else dataclasses.replace(model.experiment, data=data)
    network = model.network.to(Accelerator().device)
    images = load_data(experiment)
    begin = start_of_run(run, start, lambda: images)

    def score(
        reference: "Reference",
        steps: tuple[int | None, ...],
        count: int,
        sampler: str | None,
        tolerance: float | None,
        report: "Callable[[int | None, Distances], None]",
    ) -> "dict[int | None, Tensor]":
        return score_network(
            experiment,
            network,
            images,
            reference,
            steps,
            count,
            sampler=sampler,
            tolerance=tolerance,
            report=report,
            start=begin,
        )[1]

    return Measured(experiment, model.step, network, images, score, {})
