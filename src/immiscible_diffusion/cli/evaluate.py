"""`immiscible evaluate`: the distance of a run's images to real ones."""

from pathlib import Path
from typing import Annotated

import tyro

from immiscible_diffusion.cli.policy import AS_PUBLISHED, Scoring, evaluate_policy, refuse


def evaluate(
    run: Annotated[Path, tyro.conf.Positional],
    checkpoint: str = "newest",
    evaluations: tuple[int, ...] = (5, 20, 50),
    count: int = 2000,
    sampler: str | None = None,
    features: str = "auto",
    weights: Path | None = None,
    data: str | None = None,
    scoring: Annotated[Scoring, tyro.conf.arg(name="")] = AS_PUBLISHED,
    jobs: int | None = None,
) -> None:
    """Measure the distances of a run's images to its data, or how well its policy pushes.

    Writes evaluation.json.

    Args:
        run: Folder of the run.
        checkpoint: newest, best (of those that train --evaluate-every measured), or a step's number.
        evaluations: Sampler steps to measure at.
        count: Images to sample; distances fall with the count, so compare equal ones.
        sampler: ddim or heun for diffusion, euler or heun for flow matching.
        features: Network whose features are compared: inception (then the distance is the FID), probe (a
            small classifier trained once on the data's labels), resnet (CIFAR-10, with --weights), pixels
            (the image itself), or auto:
            inception where its weights are found, else probe.
        weights: File of the feature network's weights, for inception and resnet.
        data: Where the data is now, if it has moved since training.
        scoring: How a policy is scored.
        jobs: Processes that run a policy's episodes; by default one a core.
    """
    from immiscible_diffusion.policy.experiment import is_policy_run

    images_only = {
        "checkpoint": (checkpoint, "newest"),
        "evaluations": (evaluations, (5, 20, 50)),
        "count": (count, 2000),
        "sampler": (sampler, None),
        "features": (features, "auto"),
        "weights": (weights, None),
        "data": (data, None),
    }
    if is_policy_run(run):
        refuse(images_only, "a policy")
        return evaluate_policy(run, scoring, jobs)
    refuse({"jobs": (jobs, None), "starts and its like": (scoring, AS_PUBLISHED)}, "images")

    import dataclasses
    import json

    from accelerate import Accelerator

    from immiscible_diffusion.atomic_files import write_text
    from immiscible_diffusion.evaluation import Distances, feature_network, prepare_reference
    from immiscible_diffusion.run_folder import load_data
    from immiscible_diffusion.scoring import score_network
    from immiscible_diffusion.trained_model import load_trained

    model = load_trained(run, checkpoint)
    experiment = model.experiment if data is None else dataclasses.replace(model.experiment, data=data)
    images = load_data(experiment)
    network = feature_network(features, images, weights=weights)
    reference = prepare_reference(images.pixels, network)
    print(
        f"{experiment.name}, {experiment.pairing}, step {model.step:,}: {count:,} images against "
        f"{len(images.pixels):,} real ones, features {network.name}"
    )

    def report(number: int, scored: Distances) -> None:
        print(
            f"{number:4d} evaluations: {scored.distance_name} {scored.frechet:.4f}, "
            f"kernel distance {scored.kernel:.5f}",
            flush=True,
        )

    scores, _ = score_network(
        experiment,
        model.network.to(Accelerator().device),
        images,
        reference,
        evaluations,
        count,
        sampler=sampler,
        report=report,
    )
    result = {
        "step": model.step,
        "pairing": experiment.pairing,
        "sampler": sampler or experiment.objective.samplers[0],
        "evaluations": {str(number): dataclasses.asdict(scored) for number, scored in scores.items()},
    }
    write_text(run / "evaluation.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(f"Wrote {run / 'evaluation.json'}")
    return None
