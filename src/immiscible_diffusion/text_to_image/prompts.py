"""Prompts of a data set's images: class names, as in the paper, or captions."""

import hashlib
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from immiscible_diffusion.data.images import BadData, ImageData, source_rows
from immiscible_diffusion.data.tables import open_table, text_column
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.randomness import generator_for

CLASS_NAMES = "class names"  # in place of a column


@dataclass(frozen=True)
class Prompts:
    """What may be said of each image. Row i belongs to image i of the data it was loaded for."""

    texts: tuple[tuple[str, ...], ...]  # one or more an image; ("",) where there is none
    origin: str  # "class names", or the column

    @property
    def fingerprint(self) -> str:
        """Changes when any text does, or the image it belongs to."""
        digest = hashlib.blake2b(digest_size=16)
        for row in self.texts:
            digest.update(repr(row).encode())
        return digest.hexdigest()

    def distinct(self) -> tuple[str, ...]:
        """Every text once, sorted, the empty one of prompt dropout among them."""
        return tuple(sorted({"", *(text for row in self.texts for text in row)}))


def load_prompts(
    source: str,
    images: ImageData,
    *,
    split: str = "train",
    column: str | None = None,
    template: str = "{}",
    bad_data: BadData = "stop",
) -> Prompts:
    """Load the prompts of images that `load_images` loaded from the same source and split.

    column: of captions, each row a string or a list of strings, one of which is drawn at every step. Where
        not given, class names are the prompts if the images have labels, as in the paper's ImageNet runs
        (§4.2: names in place of numbers); else the one column of texts.
    template: what is said of a class, "{}" standing for its name; "{}" alone is the paper's.
    bad_data: captions that are no text, and rows without any: "stop" refuses them; "skip" leaves them out
        and trains images without any with the empty prompt, with a warning. Empty captions beside good
        ones are left out.
    Rows that were left out of the images are left out here. Spaces around captions are cut off.
    Raises ValueError for an unknown column (naming those there are), rows without captions, a template
    without "{}", and a source that has fewer rows than the images.
    """
    if bad_data not in get_args(BadData):
        raise ValueError(unknown("bad_data", bad_data, get_args(BadData)))
    if template.count("{}") != 1:
        raise ValueError(f'template must hold one "{{}}" for the class name, got {template!r}')
    if column is None and images.labels is not None:
        said = [(template.replace("{}", name),) for name in images.class_names]
        return Prompts(tuple(said[label] for label in images.labels.tolist()), CLASS_NAMES)
    if template != "{}":
        raise ValueError(
            f"template {template!r} is for class names, but "
            + (f"column {column!r} is given" if column else f"data {source!r} has no labels")
            + "; leave it out"
        )
    if source == "digits":
        raise ValueError(f"prompt_column {column!r}: digits have class names only; leave it out")
    table = open_table(source, split)
    name = text_column(table, column)
    rows = source_rows(images, torch.arange(len(images.pixels)))
    if rows and rows[-1] >= len(table):
        raise ValueError(
            f"data {source!r} has {len(table)} rows in split {split!r}, but the images come from "
            f"{rows[-1] + 1} or more; load both from one source"
        )
    held = table.select_columns([name]).with_format("arrow")[name].to_pylist()
    bad: dict[int, str] = {}

    def complain(row: int, fault: str) -> None:
        if bad_data == "stop":
            raise ValueError(
                f"data {source!r}: {fault}; mend it, or train such images with the empty prompt: "
                "--bad-data skip"
            )
        bad[row] = fault

    texts = tuple(_captions(held[row], row, name, complain) for row in rows)
    without = sum(row == ("",) for row in texts)
    if without == len(rows):
        raise ValueError(f"data {source!r}: column {name!r} holds no caption; name another prompt_column")
    if bad:
        some = "; ".join(list(bad.values())[:3])
        warnings.warn(
            f"data {source!r}: captions of {len(bad)} of {len(rows)} images were left out, {without} get the "
            f"empty prompt: {some}",
            stacklevel=2,
        )
    return Prompts(texts, name)


def caption_choice(prompts: Prompts, rows: Tensor, seed: int, step: int) -> Tensor:
    """Draw one caption for each image of a batch: numbers within the rows' own texts, int64 [B].

    rows: int64 [B], all of a step's, before processes share them. A function of (seed, step) and the rows, so
    that every pairing sees the same captions.
    """
    counts = torch.tensor([len(prompts.texts[row]) for row in rows.tolist()])
    drawn = torch.rand(len(rows), generator=generator_for(seed, "captions", step), dtype=torch.float64)
    return (drawn * counts).long()


def dropped(rows: Tensor, probability: float, seed: int, step: int) -> Tensor:
    """Draw which images of a batch are trained with the empty prompt (classifier-free guidance), bool [B].

    rows: int64 [B], all of a step's. A function of (seed, step) alone. Source: Ho and Salimans 2022.
    Raises ValueError for a probability out of [0, 1].
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"prompt dropout must be from 0 to 1, got {probability}; 0.1 is usual")
    generator = generator_for(seed, "prompt-dropout", step)
    return torch.rand(len(rows), generator=generator, dtype=torch.float64) < probability


def _captions(held: Any, row: int, column: str, complain: Callable[[int, str], None]) -> tuple[str, ...]:
    given: Iterable[Any] = held if isinstance(held, list) else [held]
    texts = []
    for caption in given:
        if isinstance(caption, str):
            texts.append(caption.strip())
        elif caption is not None:
            complain(row, f"the caption in row {row} ({column!r}) is {caption!r}; captions are text")
    kept = tuple(text for text in texts if text)
    if not kept:
        complain(row, f"row {row} has no caption in {column!r}")
    return kept or ("",)
