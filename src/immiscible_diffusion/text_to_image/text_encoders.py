"""Prompts as embeddings: any CLIP-style text encoder of transformers, or a small untrained one."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.hub_download import model_folder
from immiscible_diffusion.kept_tensors import checksum
from immiscible_diffusion.text_to_image.clip_vocabulary import (
    SOURCE,
    TOKENS,
    clip_tokenizer,
    write_vocabulary,
)

UNTRAINED = "clip-untrained"
UNTRAINED_LAYERS = 2
UNTRAINED_SEED = 0  # one encoder for each width, whatever the run's seed: runs share their embeddings
HEAD_WIDTH = 64  # as in every CLIP
_FILES = (
    "config.json",
    "model_index.json",
    "model.safetensors",
    "*token*.json",
    "vocab.json",
    "merges.txt",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/*",
)


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A frozen text encoder with its tokenizer."""

    name: str
    model: Any  # transformers.CLIPTextModel, in evaluation mode
    tokenizer: Any  # transformers.CLIPTokenizer
    fingerprint: str  # changes when a weight does, or the way texts are cut

    @property
    def tokens(self) -> int:
        """Length of an embedding: 77 for every CLIP so far."""
        return int(self.model.config.max_position_embeddings)

    @property
    def width(self) -> int:
        """Values a token: what a network's cross-attention must take."""
        return int(self.model.config.hidden_size)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as Stable Diffusion does, float32 [B, tokens, width], on the device of `model`.

        Every text is filled up to `tokens` with end tokens, which are embedded too; longer ones are cut.
        """
        if not texts:
            return torch.empty(0, self.tokens, self.width)
        given = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.tokens, return_tensors="pt"
        )
        hidden: Tensor = self.model(given["input_ids"].to(self.model.device))[0]
        return hidden.float()

    def lengths(self, texts: Sequence[str]) -> Tensor:
        """Count the tokens of texts, both ends included, before anything is cut, int64 [B]."""
        if not texts:
            return torch.empty(0, dtype=torch.int64)
        ids = self.tokenizer(list(texts), padding=False, truncation=False, verbose=False)["input_ids"]
        return torch.tensor([len(each) for each in ids])

    def save(self, folder: Path) -> None:
        """Write text_encoder/ and tokenizer/ as in the folder of a diffusers pipeline."""
        self.model.save_pretrained(folder / "text_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        write_vocabulary(self.tokenizer, folder / "tokenizer")


def open_text_encoder(name: str, *, vocabulary: Path | None = None) -> TextEncoder:
    """Open a text encoder by name, on the CPU, in float32.

    name: a folder or hub name (OWNER/NAME) of a CLIP text encoder with its tokenizer, or of a diffusers
        pipeline (sub-folders text_encoder and tokenizer); or "clip-untrained:WIDTH", CLIP's architecture with
        2 layers and weights from a fixed seed: random features of the text, which know nothing of images.
    vocabulary: CLIP's vocabulary, for "clip-untrained" only, as `clip_tokenizer` takes it.
    Raises FileNotFoundError where there is no such folder, file or repository, ValueError for what is no CLIP
    text encoder, and for a vocabulary that is missing or not asked for.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    if name.split(":")[0] == UNTRAINED:
        return _untrained(name, vocabulary)
    if vocabulary is not None:
        raise ValueError(
            f"vocabulary is for text encoder {UNTRAINED!r}; {name!r} has its own tokenizer, leave it out"
        )
    folder = model_folder(name, "text_encoder", _FILES)
    nested = (folder / "text_encoder").is_dir()
    return _opened(
        name, folder / "text_encoder" if nested else folder, folder / "tokenizer" if nested else folder
    )


def _opened(name: str, model_path: Path, tokenizer_path: Path) -> TextEncoder:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    kind = _model_kind(name, model_path)
    if kind not in ("clip", "clip_text_model"):
        raise ValueError(
            f"text_encoder {name!r} is a {kind!r} model; give a CLIP (CLIPTextModel with CLIPTokenizer)"
        )
    if not list(model_path.glob("*.safetensors")):
        raise FileNotFoundError(
            f"text_encoder {name!r} has no safetensors weights in {str(model_path)!r}; save it with "
            "`save_pretrained`, which writes them"
        )
    if not any((tokenizer_path / file).is_file() for file in ("tokenizer.json", "vocab.json")):
        raise FileNotFoundError(
            f"text_encoder {name!r} has no tokenizer in {str(tokenizer_path)!r} (tokenizer.json, or "
            "vocab.json and merges.txt); save one beside it"
        )
    try:
        config = CLIPTextConfig.from_pretrained(model_path)
        model, loading = CLIPTextModel.from_pretrained(
            model_path, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        tokenizer = CLIPTokenizer.from_pretrained(tokenizer_path)
    except Exception as error:  # transformers, safetensors and tokenizers each have their own
        reason = str(error).split("\n", 1)[0]
        raise ValueError(
            f"text_encoder {name!r} does not load ({type(error).__name__}: {reason}); give an undamaged "
            "CLIP text encoder"
        ) from error
    if loading["missing_keys"]:
        raise ValueError(
            f"text_encoder {name!r} lacks weights, the first is {sorted(loading['missing_keys'])[0]!r}; give "
            "an undamaged CLIP text encoder"
        )
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"text_encoder {name!r} knows {config.vocab_size:,} tokens, but its tokenizer has "
            f"{len(tokenizer):,}; give those that belong together"
        )
    return _text_encoder(name, model, tokenizer)


def _model_kind(name: str, path: Path) -> str:
    try:
        return str(json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type"))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"text_encoder {name!r} has no readable config.json in {str(path)!r}; give the folder of a CLIP "
            "text encoder, or of a pipeline with sub-folders text_encoder and tokenizer"
        ) from error


def _untrained(name: str, vocabulary: Path | None) -> TextEncoder:
    from transformers import CLIPTextConfig, CLIPTextModel

    width = name.removeprefix(UNTRAINED).removeprefix(":")
    if not width.isdecimal() or int(width) < HEAD_WIDTH or int(width) % HEAD_WIDTH:
        raise ValueError(
            f"text_encoder {name!r} must end in its width, a multiple of {HEAD_WIDTH}: {UNTRAINED}:64"
        )
    if vocabulary is None:
        raise ValueError(
            f"text_encoder {name!r} needs CLIP's vocabulary, which is not part of this package; give the "
            f"path of {SOURCE} as vocabulary"
        )
    tokenizer = clip_tokenizer(vocabulary)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=int(width),
        intermediate_size=4 * int(width),
        projection_dim=int(width),
        num_hidden_layers=UNTRAINED_LAYERS,
        num_attention_heads=int(width) // HEAD_WIDTH,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):  # transformers draws weights from the global generator
        torch.default_generator.manual_seed(UNTRAINED_SEED)
        model = CLIPTextModel(config)
    return _text_encoder(name, model, tokenizer)


def _text_encoder(name: str, model: Any, tokenizer: Any) -> TextEncoder:
    model = model.eval().requires_grad_(False)
    cut = json.loads(tokenizer.backend_tokenizer.to_str())
    config = model.config
    described = {
        "cut": [cut["normalizer"], cut["pre_tokenizer"], cut["model"]],
        "shape": [config.num_attention_heads, config.hidden_act, config.layer_norm_eps],
        "ends": [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id],
    }
    text = json.dumps(described, sort_keys=True) + checksum(model.state_dict())
    return TextEncoder(name, model, tokenizer, hashlib.sha256(text.encode()).hexdigest()[:32])
