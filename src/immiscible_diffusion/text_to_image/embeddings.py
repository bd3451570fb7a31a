"""Embeddings of all prompts of a data set, computed once and kept on disk."""

import hashlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from immiscible_diffusion.kept_tensors import cache_folder, keep_tensors, kept_tensors
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.text_to_image.prompts import Prompts
from immiscible_diffusion.text_to_image.text_encoders import TextEncoder

logger = logging.getLogger(__name__)

Kept = Literal["float16", "float32"]
VERSION = 1  # of the file
MOST_BYTES = 4 * 2**30  # that are kept; more are computed when asked for
_BATCH = 256


@dataclass(frozen=True, eq=False)
class EmbeddedPrompts:
    """What a network is told about each image of a data set."""

    prompts: Prompts
    encoder: TextEncoder
    numbers: dict[str, int]  # of every distinct text
    lengths: Tensor  # int64 [T], tokens of each text, both ends included, at most `encoder.tokens`
    kept: Tensor | None  # [T, tokens, width]; None where they are too many to keep

    @property
    def empty(self) -> Tensor:
        """The empty prompt's embedding, float32 [tokens, width]: what guidance steers away from."""
        return self._embedded([""])[0]

    def of(self, rows: Tensor, choice: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Embed the chosen captions of a batch, float32 [B, tokens, width].

        rows: int64 [B]. choice: int64 [B], as `caption_choice` draws it. dropped: bool [B], rows that get the
        empty prompt. Raises IndexError for a row or caption that is not there.
        """
        return self._embedded(self._texts(rows, choice, dropped))

    def pooled(self, rows: Tensor, choice: Tensor) -> Tensor:
        """Average the chosen captions over their own tokens, float32 [B, width]."""
        texts = self._texts(rows, choice, None)
        ends = self.lengths[[self.numbers[text] for text in texts]]
        own = torch.arange(self.encoder.tokens)[None] < ends[:, None]  # [B, tokens]
        own[:, 0] = False  # the start token sees nothing but itself
        return (self._embedded(texts) * own[:, :, None]).sum(1) / own.sum(1, keepdim=True)

    def _texts(self, rows: Tensor, choice: Tensor, dropped: Tensor | None) -> list[str]:
        leave = [False] * len(rows) if dropped is None else dropped.tolist()
        return [
            "" if left else self.prompts.texts[row][number]
            for row, number, left in zip(rows.tolist(), choice.tolist(), leave, strict=True)
        ]

    def _embedded(self, texts: Sequence[str]) -> Tensor:
        if self.kept is None:
            return self.encoder(texts).cpu()
        return self.kept[[self.numbers[text] for text in texts]].float()


def embed_prompts(
    prompts: Prompts,
    encoder: TextEncoder,
    *,
    folder: Path | None = None,
    dtype: Kept = "float16",
    most_bytes: int = MOST_BYTES,
) -> EmbeddedPrompts:
    """Embed every distinct text once, or load what an earlier run kept for the same encoder and texts.

    folder: where embeddings are kept, by default the cache. dtype: that they are kept in. most_bytes: where
    they would take more, nothing is kept and each batch is embedded when it is asked for.
    Warns of texts that the encoder cuts. A damaged file is made again; where the folder cannot be written,
    that is logged and the embeddings are used unkept. Raises ValueError for an unknown dtype.
    """
    if dtype not in get_args(Kept):
        raise ValueError(unknown("dtype", dtype, get_args(Kept)))
    texts = prompts.distinct()
    size = len(texts) * encoder.tokens * encoder.width * getattr(torch, dtype).itemsize
    if size > most_bytes:
        logger.info("embeddings of %d texts would take %.0f GB: not kept", len(texts), size / 1e9)
        return _embedded_prompts(prompts, encoder, texts, encoder.lengths(texts), None)
    key = hashlib.sha256(repr((VERSION, encoder.fingerprint, dtype, texts)).encode()).hexdigest()[:32]
    path = (folder or cache_folder()) / f"prompts-{key}.safetensors"
    held = _load(path, key)
    if held is None:
        lengths = encoder.lengths(texts)
        parts = [
            encoder(texts[start : start + _BATCH]).to("cpu", getattr(torch, dtype))
            for start in range(0, len(texts), _BATCH)
        ]
        held = {"embeddings": torch.cat(parts), "lengths": lengths}
        try:
            keep_tensors(path, held, {"key": key})
        except OSError as error:
            logger.warning("cannot keep embeddings at %s (%s); they will be made again", path, error)
    return _embedded_prompts(prompts, encoder, texts, held["lengths"], held["embeddings"])


def _embedded_prompts(
    prompts: Prompts, encoder: TextEncoder, texts: Sequence[str], lengths: Tensor, kept: Tensor | None
) -> EmbeddedPrompts:
    long = (lengths > encoder.tokens).nonzero().flatten()
    if len(long):
        warnings.warn(
            f"{len(long)} of {len(texts)} prompts are cut to {encoder.tokens} tokens; the "
            f"first begins {texts[int(long[0])][:60]!r}",
            stacklevel=3,
        )
    numbers = {text: number for number, text in enumerate(texts)}
    return EmbeddedPrompts(prompts, encoder, numbers, lengths.clamp(max=encoder.tokens), kept)


def _load(path: Path, key: str) -> dict[str, Tensor] | None:
    if not path.exists():
        return None
    try:
        tensors, metadata = kept_tensors(path)
        if metadata.get("key") != key or set(tensors) != {"embeddings", "lengths"}:
            raise ValueError("it was made for other texts")
    except ValueError as error:
        logger.warning("the embeddings kept at %s are damaged (%s); making them again", path, error)
        return None
    return tensors
