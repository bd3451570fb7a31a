"""CLIPScore: how well images follow their prompts, in the eyes of a CLIP that is named beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.evaluation.features import check_pixels
from immiscible_diffusion.hub_download import model_folder

_FILES = ("*.json", "merges.txt", "model*.safetensors")
_NEEDED = (
    ("config.json",),
    ("model.safetensors", "model.safetensors.index.json"),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.json"),
)
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Clip:
    """A CLIP that looks at images and reads prompts."""

    name: str  # as it was asked for; CLIPScores under different names are not comparable
    model: Any  # transformers.CLIPModel, in evaluation mode
    processor: Any  # transformers.CLIPProcessor

    @property
    def image_side(self) -> int:
        """Side in pixels that images are resized to before CLIP sees them."""
        return int(self.model.config.vision_config.image_size)


@dataclass(frozen=True)
class ClipScore:
    """The mean of 100 · cos(image, prompt) over images, at least 0; higher is better."""

    score: float
    clip: str  # its name
    count: int


def open_clip(name: str) -> Clip:
    """Open a CLIP on the CPU: a local folder or a hub name such as openai/clip-vit-large-patch14.

    The folder is as `save_pretrained` of CLIPModel and CLIPProcessor writes it, with safetensors weights.
    Raises FileNotFoundError where there is none, ValueError for what is no CLIP or does not load.
    """
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = model_folder(name, "clip", _FILES)
    for any_of in _NEEDED:
        if not any((folder / file).is_file() for file in any_of):
            raise FileNotFoundError(
                f"clip {name!r} has no {any_of[0]} in {str(folder)!r}; give a folder with what "
                "`save_pretrained` of CLIPModel and CLIPProcessor writes"
            )
    try:
        model, loading = CLIPModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        processor = CLIPProcessor(
            CLIPImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
        )
    except Exception as error:  # transformers, safetensors and tokenizers each have their own
        reason = str(error).split("\n", 1)[0]
        raise ValueError(
            f"clip {name!r} does not load ({type(error).__name__}: {reason}); give an undamaged CLIP"
        ) from error
    if loading["missing_keys"]:
        raise ValueError(
            f"clip {name!r} lacks weights, the first is {sorted(loading['missing_keys'])[0]!r}; give a whole "
            "CLIP, both halves"
        )
    return Clip(name, model.eval().requires_grad_(False), processor)


def clip_score(clip: Clip, images: Tensor, prompts: Sequence[str]) -> ClipScore:
    """Score images, uint8 [N, 1 or 3, H, W], against their prompts, on the device of the CLIP.

    Images of any size are resized as the CLIP's processor says, grey ones become RGB, and prompts longer than
    the CLIP reads are cut before their end token. Source: Hessel et al. 2021 without its weight of 2.5, as in
    torchmetrics, which computes it. Raises ValueError for other shapes, and unless every image has a prompt.
    """
    from torchmetrics.multimodal.clip_score import CLIPScore

    check_pixels("images", images)
    if images.shape[1] not in (1, 3):
        raise ValueError(f"images: {images.shape[1]} channels given; CLIP sees grey or colour images")
    if len(images) != len(prompts) or not prompts:
        raise ValueError(f"prompts: {len(prompts)} given for {len(images)} images; give one for each")
    metric = CLIPScore(model_name_or_path=lambda: (_Features(clip.model), _Cut(clip.processor)))
    metric = metric.to(clip.model.device)
    for start in range(0, len(prompts), _BATCH):
        part = images[start : start + _BATCH].to(clip.model.device)
        metric.update(part.expand(-1, 3, -1, -1), list(prompts[start : start + _BATCH]))
    return ClipScore(float(metric.compute()), clip.name, len(prompts))


class _Features:
    """A CLIP as torchmetrics knows it: transformers 5 gives features inside an output object."""

    def __init__(self, model: Any) -> None:
        self.model, self.config = model, model.config

    def to(self, device: torch.device) -> "_Features":
        return self  # images and prompts are taken to where the model is

    def get_image_features(self, pixels: Tensor) -> Tensor:
        return _plain(self.model.get_image_features(pixels))

    def get_text_features(self, ids: Tensor, mask: Tensor) -> Tensor:
        return _plain(self.model.get_text_features(ids, mask))


class _Cut:
    """A processor that cuts long prompts before the end token, where torchmetrics would cut it off."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(
        self, text: list[str] | None = None, images: list[Tensor] | None = None, **given: Any
    ) -> Any:
        if images is not None:
            return self.processor.image_processor(images, return_tensors="pt")
        return self.processor.tokenizer(text, truncation=True, **given)


def _plain(features: Any) -> Tensor:
    return features if isinstance(features, Tensor) else features.pooler_output
