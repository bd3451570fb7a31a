"""The images to edit, and what is said of each."""

from dataclasses import dataclass

from torch import Tensor

from immiscible_diffusion.data.images import ImageData, load_images
from immiscible_diffusion.text_to_image.generation import spread_rows
from immiscible_diffusion.text_to_image.prompts import load_prompts


@dataclass(frozen=True)
class Source:
    """Where images come from; columns as `load_images` and `load_prompts` take them."""

    data: str
    split: str = "train"
    image_column: str | None = None
    label_column: str | None = None
    prompt_column: str | None = None
    template: str = "{}"


@dataclass(frozen=True, eq=False)
class Originals:
    """Images to edit. Row i of everything belongs to image i."""

    name: str
    fingerprint: str
    pixels: Tensor  # uint8 [N, C, H, W]
    labels: Tensor | None = None  # int64 [N]
    texts: tuple[str, ...] | None = None


def spread_originals(data: ImageData, count: int, texts: tuple[str, ...] | None = None) -> Originals:
    """Take `count` images, evenly spaced, as data may be sorted; texts: of all images, or None."""
    rows = spread_rows(len(data.pixels), min(count, len(data.pixels)))
    labels = None if data.labels is None else data.labels[rows]
    chosen = None if texts is None else tuple(texts[row] for row in rows.tolist())
    return Originals(data.name, data.fingerprint, data.pixels[rows], labels, chosen)


def load_originals(
    source: Source,
    count: int,
    resolution: int | None,
    channels: int,
    *,
    prompts: bool,
    prompt: str | None = None,
) -> tuple[ImageData, Originals]:
    """Load a source's first `count` images, with a prompt for each where `prompts`: `prompt`, or its own.

    channels: of the models; grey images become RGB for 3. Raises what `load_images` and `load_prompts` do.
    """
    data = load_images(
        source.data,
        split=source.split,
        image_column=source.image_column,
        label_column=source.label_column,
        resolution=resolution,
        rows=count,
    )
    texts = (prompt,) * len(data.pixels) if prompt is not None else None
    if prompts and texts is None:
        try:
            loaded = load_prompts(
                source.data,
                data,
                split=source.split,
                column=source.prompt_column,
                template=source.template,
            )
        except ValueError as error:
            raise ValueError(f"{error}; or say one thing of all images with --prompt TEXT") from error
        texts = tuple(row[0] for row in loaded.texts)
    if channels == 3 and data.shape[0] == 1:
        pixels = data.pixels.expand(-1, 3, -1, -1)
        data = ImageData(data.name, pixels, data.labels, data.class_names, data.fingerprint)
    return data, spread_originals(data, count, texts)
