"""`immiscible sample`: images from a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from immiscible_diffusion.cli.policy import refuse
from immiscible_diffusion.cli.text_to_image import sample_text_to_image

if TYPE_CHECKING:
    from torch import Tensor


def sample(
    run: Annotated[Path, tyro.conf.Positional],
    checkpoint: str = "newest",
    count: int = 64,
    evaluations: int | None = None,
    sampler: str | None = None,
    tolerance: float | None = None,
    start: Literal["gaussian", "marginal"] = "gaussian",
    classes: list[int] | None = None,
    prompts: list[str] | None = None,
    guidance: float | None = None,
    seed: int = 0,
    out: Path | None = None,
    separate: bool = False,
) -> None:
    """Sample images from a run's averaged weights, as one sheet or one file each.

    Args:
        run: Folder of the run.
        checkpoint: newest, best (of those that train --evaluate-every measured), or a step's number.
        count: Images to sample.
        evaluations: Sampler steps; each evaluates the network once (heun twice). By default 50, for a
            consistency model 4.
        sampler: ddim or heun for diffusion; euler, heun or dopri5 for flow matching and EDM; multistep for
            consistency.
        tolerance: Error that dopri5 keeps its steps within, 1e-5 by default; it chooses their number itself.
        start: Begin at N(0, I), or at a Gaussian with the mean and std that the run's pairing left its noise,
            measured on its data once. A comparison of pairings begins at N(0, I).
        classes: Class numbers to sample in turn, for a class-conditional run; all of them by default.
        prompts: Texts to sample in turn, for a text-to-image run; by default some of its data's.
        guidance: How far to go from what the network says to no prompt, for a text-to-image run; 1 is not at
            all, by default the experiment's.
        seed: Seed of the noise.
        out: PNG file to write, or folder with --separate; by default in the run's folder.
        separate: Write each image to a PNG of its own.
    """
    from immiscible_diffusion.pictures import save_sheet
    from immiscible_diffusion.text_to_image.experiment import is_text_to_image_run

    if count < 1:
        raise ValueError(f"--count must be 1 or more, got {count}")
    if is_text_to_image_run(run):
        refuse(sample, {"classes": classes, "start": start}, "a text-to-image model")
        pixels, step, made = sample_text_to_image(
            run, checkpoint, count, evaluations, sampler, tolerance, prompts, guidance, seed
        )
    else:
        refuse(sample, {"prompts": prompts, "guidance": guidance}, "images without prompts")
        pixels, step, made = _sampled(
            run, checkpoint, count, evaluations, sampler, tolerance, start, classes, seed
        )
    if separate:
        folder = out or run / f"samples-step{step}"
        for number, image in enumerate(pixels):
            save_sheet(image[None], folder / f"{number:06d}.png", least_side=1)
        print(f"Wrote {count} images to {folder} ({made})")
    else:
        path = save_sheet(pixels, out or run / f"samples-step{step}.png")
        print(f"Wrote {count} images to {path} ({made})")


def _sampled(
    run: Path,
    checkpoint: str,
    count: int,
    evaluations: int | None,
    sampler: str | None,
    tolerance: float | None,
    start: str,
    classes: list[int] | None,
    seed: int,
) -> "tuple[Tensor, int, str]":
    """Sample images of a run on images; give them, the step and what was done."""
    import torch
    from accelerate import Accelerator

    from immiscible_diffusion.generation import counted_evaluations, generate
    from immiscible_diffusion.randomness import generator_for
    from immiscible_diffusion.runs.folder import load_data
    from immiscible_diffusion.runs.paired_marginal import start_of_run
    from immiscible_diffusion.runs.trained_model import load_trained
    from immiscible_diffusion.sampling import ADAPTIVE

    model = load_trained(run, checkpoint)
    labels = None
    if model.experiment.class_conditional:
        chosen = classes or list(range(len(model.class_names)))
        if not all(0 <= number < len(model.class_names) for number in chosen):
            raise ValueError(f"--classes must be from 0 to {len(model.class_names) - 1}, got {chosen}")
        labels = torch.tensor(chosen)[torch.arange(count) % len(chosen)]
    elif classes:
        raise ValueError("--classes needs a class-conditional run; train one with --class-conditional")
    if evaluations is None and sampler != ADAPTIVE:
        evaluations = model.experiment.objective.evaluations[-1]
    with counted_evaluations(model.network.to(Accelerator().device)) as counted:
        pixels = generate(
            model.experiment,
            model.network,
            model.shape,
            count,
            evaluations,
            generator_for(seed, "samples"),
            labels=labels,
            sampler=sampler,
            tolerance=tolerance,
            start=start_of_run(run, start, lambda: load_data(model.experiment)),
        )
    return pixels, model.step, f"{counted.per_image(count):g} network evaluations each"
