"""Everything that decides the outcome of training a text-to-image model, as one frozen value."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from immiscible_diffusion.data.images import BadData
from immiscible_diffusion.experiment import (
    PairedOver,
    Precision,
    built_from,
    check_training,
    trains,
)
from immiscible_diffusion.objectives import Diffusion, FlowMatching
from immiscible_diffusion.pairing import canonical_name, is_fitted
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.text_to_image.guidance import check_guidance
from immiscible_diffusion.text_to_image.latents import Transform
from immiscible_diffusion.text_to_image.networks import NETWORKS, PRETRAINED

KIND = "text-to-image model"
Optimiser = Literal["adamw", "adamw-8bit"]


@dataclass(frozen=True)
class TextToImageExperiment:
    """One training run of a network that turns a prompt into a latent, and its autoencoder into an image.

    data, image_column, label_column, resolution, rows, bad_data: as `open_images` takes them.
    prompt_column, template: as `load_prompts` takes them; without a column class names are the prompts.
    text_encoder, vocabulary: as `open_text_encoder` takes them. autoencoder: as `open_autoencoder` does.
    start_from: a diffusers `StableDiffusionPipeline`, folder or hub name, to fine-tune; then `network` is
    "pretrained", and an empty text_encoder or autoencoder means the pipeline's. lora_rank: train an adapter
    of this rank and leave the network as it is; 0 for the whole network.
    network: a name of `build_text_network`. pairing: as `pairing_from_name` takes it, on latents at training
    scale; "nearest:8" is centred on the data's mean latent, "nearest:8:uncentred" is the paper's.
    flip, crops, encode_precision: as in `Transform`. latents: folder of the cache; by default the user's.
    prompt_dropout: share of rows trained with the empty prompt, for guidance. noise_offset: std of what is
    added to each channel of the paired noise. guidance: what sheets and comparisons are sampled with.
    paired_over, pairing_window: as for an `Experiment`.
    optimiser: "adamw", or "adamw-8bit" of bitsandbytes. min_snr_gamma is the objective's.
    Raises ValueError for a value out of range.
    """

    name: str
    data: str
    network: str
    objective: Diffusion | FlowMatching
    text_encoder: str = ""
    autoencoder: str = ""
    vocabulary: str = ""
    start_from: str = ""
    lora_rank: int = 0
    pairing: str = "nearest:8"
    prompt_column: str | None = None
    template: str = "{}"
    prompt_dropout: float = 0.1
    noise_offset: float = 0.0
    guidance: float = 3.0
    flip: bool = False
    crops: int = 0
    encode_precision: str = "no"
    latents: str | None = None
    gradient_checkpointing: bool = False
    optimiser: Optimiser = "adamw"
    batch_size: int = 64
    steps: int = 5000
    learning_rate: float = 1e-4
    warmup_steps: int = 500
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    accumulation: int = 1
    precision: Precision = "no"
    paired_over: PairedOver = "batch"
    pairing_window: int = 1
    seed: int = 0
    rows: int | None = None
    resolution: int | None = None
    image_column: str | None = None
    label_column: str | None = None
    bad_data: BadData = "stop"

    @property
    def kind(self) -> str:
        """What is trained, in words, as config.json has it."""
        return KIND

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairing", canonical_name(self.pairing))
        check_training(self)
        check_guidance(self.guidance)
        if not isinstance(self.objective, Diffusion | FlowMatching):
            raise ValueError(
                f"objective must be diffusion or flow matching, got {type(self.objective).__name__}; "
                "name an experiment of either"
            )
        if is_fitted(self.pairing):
            raise ValueError(
                f"pairing {self.pairing!r} is fitted to images, not latents; choose nearest or assigned"
            )
        for name, kind in (("bad_data", BadData), ("optimiser", Optimiser)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(unknown(name, getattr(self, name), get_args(kind)))
        if self.encode_precision not in ("no", "bf16"):
            raise ValueError(unknown("encode_precision", self.encode_precision, ("no", "bf16")))
        if not 0 <= self.prompt_dropout < 1:
            raise ValueError(
                f"prompt_dropout must be from 0 up to but not 1, got {self.prompt_dropout}; 0.1 is usual"
            )
        for name in ("noise_offset", "crops", "lora_rank"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        self._check_start()

    def _check_start(self) -> None:
        if bool(self.start_from) != (self.network == PRETRAINED):
            raise ValueError(
                f"network {PRETRAINED!r} and start_from belong together, got network {self.network!r} and "
                f"start_from {self.start_from!r}; give --start-from a pipeline's folder, or name a network"
            )
        if self.lora_rank and not self.start_from:
            raise ValueError(
                f"lora_rank {self.lora_rank} needs a trained network to adapt; give --start-from a pipeline"
            )
        if not self.start_from and self.network not in NETWORKS:
            raise ValueError(unknown("network", self.network, [*NETWORKS, PRETRAINED]))
        for name in ("text_encoder", "autoencoder"):
            if not getattr(self, name) and not self.start_from:
                raise ValueError(
                    f"{name} must be given, as nothing is started from; give "
                    f"--{name.replace('_', '-')} a folder or hub name"
                )

    @property
    def transform(self) -> Transform:
        """What happens to images before they are encoded."""
        return Transform(self.flip, self.crops, self.encode_precision)


def text_to_image_from_json(text: str) -> TextToImageExperiment:
    """Read it back. Raises ValueError for another kind, or a missing or unknown key."""
    values = json.loads(text)
    if values.pop("kind", None) != KIND:
        raise ValueError("the run trains no text-to-image model; give a run folder of one")
    experiment: TextToImageExperiment = built_from(TextToImageExperiment, values)
    return experiment


def is_text_to_image_run(folder: Path) -> bool:
    """Whether a run folder's config.json is a text-to-image model's."""
    return trains(folder, KIND)
