"""`immiscible export`: a run's averaged network as a diffusers pipeline folder, here or on the hub."""

from pathlib import Path
from typing import Annotated

import tyro

from immiscible_diffusion.cli.text_to_image import export_text_to_image_run


def export(
    run: Annotated[Path, tyro.conf.Positional],
    checkpoint: str = "newest",
    out: Path | None = None,
    push_to_hub: str | None = None,
    private: bool = False,
) -> None:
    """Write a run's averaged weights as a diffusers pipeline (or a LoRA), with its scale and a model card.

    Args:
        run: Folder of the run.
        checkpoint: newest, best (of those that train --evaluate-every measured), or a step's number.
        out: Folder to write, new or empty; by default one in the run's folder, named by its step.
        push_to_hub: Repository OWNER/NAME on the Hugging Face hub to upload the folder to; needs a token.
        private: Make the repository private, where it is new.
    """
    from immiscible_diffusion.hub import check_upload, upload_pipeline
    from immiscible_diffusion.text_to_image.experiment import is_text_to_image_run

    if push_to_hub is not None:
        check_upload(push_to_hub)
    exported = export_text_to_image_run if is_text_to_image_run(run) else _export
    folder, name, step, described = exported(run, checkpoint, out, push_to_hub)
    print(f"Wrote a {name} of step {step:,} to {folder}")
    print(f"How to load it: {folder / 'README.md'}")
    if push_to_hub is not None:
        message = f"{described}, step {step}"
        url = upload_pipeline(folder, push_to_hub, private=private, message=message)
        print(f"Uploaded to {url}")


def _export(
    run: Path, checkpoint: str, out: Path | None, repository: str | None
) -> tuple[Path, str, int, str]:
    """Write a run on images; give the folder, the pipeline's name, the step and what the run is."""
    from immiscible_diffusion.pipelines import export_pipeline
    from immiscible_diffusion.runs.trained_model import load_trained

    model = load_trained(run, checkpoint)
    folder = out or run / f"pipeline-step{model.step}"
    name = export_pipeline(model.experiment, model.network, model.shape, model.step, run, folder, repository)
    return folder, name, model.step, f"{model.experiment.name}, {model.experiment.pairing}"
