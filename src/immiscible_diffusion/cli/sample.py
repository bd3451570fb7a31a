"""`immiscible sample`: images from a run."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def sample(
    run: Annotated[Path, tyro.conf.Positional],
    checkpoint: str = "newest",
    count: int = 64,
    evaluations: int | None = None,
    sampler: str | None = None,
    tolerance: float | None = None,
    start: Literal["gaussian", "marginal"] = "gaussian",
    classes: list[int] | None = None,
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
        seed: Seed of the noise.
        out: PNG file to write, or folder with --separate; by default in the run's folder.
        separate: Write each image to a PNG of its own.
    """
    import torch
    from accelerate import Accelerator

    from immiscible_diffusion.generation import counted_evaluations, generate
    from immiscible_diffusion.paired_marginal import marginal_of_run
    from immiscible_diffusion.pictures import save_sheet
    from immiscible_diffusion.randomness import generator_for
    from immiscible_diffusion.run_folder import load_data
    from immiscible_diffusion.sampling import ADAPTIVE
    from immiscible_diffusion.trained_model import load_trained

    if count < 1:
        raise ValueError(f"--count must be 1 or more, got {count}")
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
            start=None
            if start == "gaussian"
            else marginal_of_run(run, lambda: load_data(model.experiment)).start,
        )
    made = f"{counted.per_image(count):g} network evaluations each"
    if separate:
        folder = out or run / f"samples-step{model.step}"
        for number, image in enumerate(pixels):
            save_sheet(image[None], folder / f"{number:06d}.png", least_side=1)
        print(f"Wrote {count} images to {folder} ({made})")
    else:
        path = save_sheet(pixels, out or run / f"samples-step{model.step}.png")
        print(f"Wrote {count} images to {path} ({made})")
