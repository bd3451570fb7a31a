"""`immiscible export`: a run's averaged network as a diffusers pipeline folder."""

from pathlib import Path
from typing import Annotated

import tyro


def export(run: Annotated[Path, tyro.conf.Positional], out: Path | None = None) -> None:
    """Write a run's averaged weights as a diffusers pipeline, with the scale of its images and a model card.

    Args:
        run: Folder of the run.
        out: Folder to write, new or empty; by default one in the run's folder, named by its step.
    """
    from immiscible_diffusion.pipelines import export_pipeline
    from immiscible_diffusion.runs import load_trained

    model = load_trained(run)
    folder = out or run / f"pipeline-step{model.step}"
    name = export_pipeline(model.experiment, model.network, model.shape, model.step, run, folder)
    print(f"Wrote a {name} of step {model.step:,} to {folder}")
    print(f"How to load it: {folder / 'README.md'}")
