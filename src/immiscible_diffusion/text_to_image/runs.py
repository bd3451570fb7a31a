"""A text-to-image model's run: its data encoded, its folder opened, and trained to its end."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.optim import Optimizer

from immiscible_diffusion.atomic_files import remove_remnants, write_text
from immiscible_diffusion.experiment import to_json
from immiscible_diffusion.generation import SHEET_IMAGES
from immiscible_diffusion.pairing import Pairing, is_levelled, pairing_from_name
from immiscible_diffusion.processes import all_or_none, check_agreement
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.runs.folder import check_same_data, check_same_settings, check_vacant, read_settings
from immiscible_diffusion.runs.loop import Evaluate, Schedule, advance_on, taken_up
from immiscible_diffusion.runs.trackers import open_accelerator
from immiscible_diffusion.runs.training_state import Progress
from immiscible_diffusion.text_to_image.autoencoders import Autoencoder
from immiscible_diffusion.text_to_image.embeddings import embed_prompts
from immiscible_diffusion.text_to_image.experiment import (
    TextToImageExperiment,
    text_to_image_from_json,
)
from immiscible_diffusion.text_to_image.generation import TextToImage, draw_images, spread_rows
from immiscible_diffusion.text_to_image.latents import encode_latents, load_latents
from immiscible_diffusion.text_to_image.starting import (
    build_optimizer,
    experiment_autoencoder,
    experiment_images,
    experiment_prompts,
    experiment_text_encoder,
    start_network,
)
from immiscible_diffusion.text_to_image.stored_images import StoredImages
from immiscible_diffusion.text_to_image.training import TextToImageData, text_to_image_steps
from immiscible_diffusion.training import TrainingStep

Report = Callable[[str], None]
REFERENCE_IMAGES = 50_000  # real images that distances are measured to, at most


@dataclass(frozen=True, eq=False)
class LoadedData:
    """An experiment's data, ready for any of its runs."""

    images: StoredImages
    autoencoder: Autoencoder
    training: TextToImageData


@dataclass(frozen=True, eq=False)
class TextToImageRun:
    """An open run: everything that a further training step needs."""

    folder: Path
    experiment: TextToImageExperiment
    loaded: LoadedData
    pairing: Pairing
    network: nn.Module  # prepared by the accelerator
    optimizer: Optimizer
    ema: EMAModel
    accelerator: Accelerator
    start: Progress  # where the run is taken up

    @property
    def data(self) -> TextToImageData:
        return self.loaded.training

    def source_rows(self, rows: Tensor) -> list[int]:
        """Row numbers of the data's source, where bad rows were left out."""
        numbers: list[int] = self.data.latents.rows[rows].tolist()
        return numbers

    def model(self, network: nn.Module) -> TextToImage:
        """What samples from `network`, which may be the averaged one."""
        latents = self.data.latents
        autoencoder, empty = self.loaded.autoencoder, self.data.prompts.empty
        return TextToImage(
            self.experiment.objective, network, autoencoder, latents.scale, latents.shape, empty
        )

    def sheet(self, network: nn.Module) -> Tensor:
        """Sample 36 of the data's prompts, always the same from the same noise, at the run's guidance."""
        rows = spread_rows(len(self.data.latents), SHEET_IMAGES)
        embeddings = self.data.prompts.of(rows, torch.zeros_like(rows))
        generator = generator_for(self.experiment.seed, "samples")
        steps = self.experiment.objective.judged_at
        model = self.model(network)
        return draw_images(model, embeddings, steps, generator, guidance=self.experiment.guidance)


def load_text_to_image_data(
    experiment: TextToImageExperiment,
    accelerator: Accelerator | None = None,
    report: Report = lambda text: None,
) -> LoadedData:
    """Open images, autoencoder and text encoder; encode what their caches lack; load both.

    accelerator: where to encode, and which share of it; by default all, on the CPU. What one of its processes
    raises ends all of them. report: called with a line of progress, on the first process. Raises what
    `open_images`, `open_autoencoder`, `open_text_encoder`, `encode_latents` and `load_prompts` raise.
    """
    rank = accelerator.process_index if accelerator else 0
    processes = accelerator.num_processes if accelerator else 1
    device = accelerator.device if accelerator else torch.device("cpu")
    place = Path(experiment.latents).expanduser() if experiment.latents else None
    transform, bad_data = experiment.transform, experiment.bad_data
    with _together(accelerator):
        images = experiment_images(experiment)
        autoencoder = experiment_autoencoder(experiment).moved(device)
        encoder = experiment_text_encoder(experiment)
        encoder.model.to(device)
    if accelerator:  # with other data a process would wait for pieces that none encodes
        check_agreement(accelerator, experiment, images.fingerprint, 0)
    with _together(accelerator):  # none reads before all have written
        pieces = encode_latents(images, autoencoder, transform, place, rank=rank, processes=processes)
        for done, count in pieces:
            if done < count and rank == 0:
                report(f"encoding images: piece {done + 1} of {count}")
    with _together(accelerator):
        latents = load_latents(images, autoencoder, transform, place, bad_data=bad_data)
        prompts = experiment_prompts(experiment, images, latents.rows)
        embedded = embed_prompts(prompts, encoder)
    return LoadedData(images, autoencoder, TextToImageData(images.name, latents, embedded))


def _together(accelerator: Accelerator | None) -> AbstractContextManager[None]:
    return all_or_none(accelerator) if accelerator else nullcontext()


def open_text_to_image_run(
    experiment: TextToImageExperiment,
    folder: Path,
    *,
    resume: bool = False,
    loaded: LoadedData | None = None,
    log_with: str = "none",
    report: Report = lambda text: None,
    processes: int | None = None,
) -> TextToImageRun:
    """Start a run in `folder`, or with `resume` take one up at its newest checkpoint; see `open_run`.

    loaded: as `load_text_to_image_data` gives it, else loaded here. A resumed run may be given more steps.
    Raises FileExistsError where the folder holds a run and `resume` is off, ValueError where settings, data,
    autoencoder or text encoder differ from the run's.
    """
    accelerator = open_accelerator(experiment.precision, log_with, folder, processes)
    with all_or_none(accelerator):
        check_vacant(folder, resume)
        if (folder / "config.json").exists():
            check_same_settings(read_text_to_image(folder), experiment, folder)
    loaded = loaded or load_text_to_image_data(experiment, accelerator, report)
    data = loaded.training
    latents, encoder = data.latents, data.prompts.encoder
    with all_or_none(accelerator):
        network = start_network(experiment, latents.shape, loaded.autoencoder.name, encoder)
        optimizer = build_optimizer(experiment, network)
        if accelerator.is_main_process:
            _describe(folder, experiment, loaded)
    loaded.autoencoder.moved(accelerator.device)
    wrapped, optimizer, ema, start = taken_up(
        network, optimizer, accelerator, folder, experiment, data.fingerprint, decay=experiment.ema_decay
    )
    level = latents.told_apart() if is_levelled(experiment.pairing) else None
    pairing = pairing_from_name(experiment.pairing, latents.mean(), level=level)
    return TextToImageRun(folder, experiment, loaded, pairing, wrapped, optimizer, ema, accelerator, start)


def advance_text_to_image(
    run: TextToImageRun,
    schedule: Schedule | None = None,
    *,
    evaluate: Evaluate | None = None,
    compile: bool = False,
) -> Iterator[TrainingStep]:
    """Train a run to its end, yielding every step; arguments and errors as for `runs.advance`."""
    network: Any = torch.compile(run.network) if compile else run.network
    steps = text_to_image_steps(
        run.experiment, run.data, run.pairing, network, run.optimizer, run.accelerator, run.start.step
    )
    return advance_on(run, steps, schedule or Schedule(), evaluate)


def read_text_to_image(folder: Path) -> TextToImageExperiment:
    """Read a run's config.json; see `read_settings`."""
    experiment: TextToImageExperiment = read_settings(folder, text_to_image_from_json)
    return experiment


def _describe(folder: Path, experiment: TextToImageExperiment, loaded: LoadedData) -> None:
    """Store what the run is and what it saw, with the scale that its latents are decoded by."""
    data, latents = loaded.training, loaded.training.latents
    check_same_data(folder, experiment.data, data.fingerprint)
    description = {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "count": len(latents),
        "shape": list(loaded.images.shape),
        "class_names": list(loaded.images.class_names),
        "prompts": data.prompts.prompts.origin,
        "autoencoder": loaded.autoencoder.fingerprint,
        "text_encoder": data.prompts.encoder.fingerprint,
        "latent_shape": list(latents.shape),
        "latent_mean": latents.scale.mean.flatten().tolist(),
        "latent_std": latents.scale.std.flatten().tolist(),
        "skipped": len(latents.faults),
        "skipped_rows": sorted(latents.faults),
    }
    for place in (folder, folder / "samples", folder / "checkpoints"):
        remove_remnants(place)
    write_text(folder / "data.json", json.dumps(description, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "config.json", to_json(experiment))  # last: who has it has the rest
