"""Embeddings kept on disk are those that the encoder gives, for the right rows."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tests.conftest import SHARED
from torch import Tensor

from immiscible_diffusion.text_to_image.embeddings import embed_prompts
from immiscible_diffusion.text_to_image.prompts import Prompts
from immiscible_diffusion.text_to_image.text_encoders import TextEncoder, open_text_encoder

VOCABULARY = SHARED / "weights" / "bpe_simple_vocab_16e6.txt.gz"
PROMPTS = Prompts((("a cat", "a small cat"), ("two dogs",), ("",)), "text")
ROWS, CHOICE = torch.tensor([2, 0, 1, 0]), torch.tensor([0, 1, 0, 0])
TEXTS = ["", "a small cat", "two dogs", "a cat"]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    if not VOCABULARY.exists():
        pytest.skip(f"no vocabulary: {VOCABULARY} is absent")
    return open_text_encoder("clip-untrained:64", vocabulary=VOCABULARY)


@dataclasses.dataclass(frozen=True, eq=False)
class Counting(TextEncoder):
    """An encoder that remembers what it was asked."""

    asked: list[str] = dataclasses.field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        self.asked.extend(texts)
        return super().__call__(texts)


def counting(encoder: TextEncoder, **changes: object) -> Counting:
    fields = {f.name: getattr(encoder, f.name) for f in dataclasses.fields(encoder)}
    return Counting(**{**fields, **changes})


@pytest.mark.parametrize(("dtype", "off"), [("float32", 1e-6), ("float16", 2e-3)])
def test_every_row_gets_its_caption(encoder: TextEncoder, tmp_path: Path, dtype: str, off: float) -> None:
    embedded = embed_prompts(PROMPTS, encoder, folder=tmp_path, dtype=dtype)  # type: ignore[arg-type]
    made = embedded.of(ROWS, CHOICE)
    assert made.shape == (4, 77, 64) and made.dtype == torch.float32
    assert torch.allclose(made, encoder(TEXTS), atol=off)
    assert torch.allclose(embedded.empty, encoder([""])[0], atol=off)
    left = embedded.of(ROWS, CHOICE, torch.tensor([False, True, False, True]))
    assert torch.allclose(left, encoder(["", "", "two dogs", ""]), atol=off)
    pooled = embedded.pooled(ROWS, CHOICE)
    assert torch.allclose(pooled[3], encoder(["a cat"])[0, 1:4].mean(0), atol=off)  # a, cat and the end
    with pytest.raises(IndexError):
        embedded.of(ROWS, CHOICE + 1)


def test_texts_are_embedded_once_and_again_for_another_encoder(encoder: TextEncoder, tmp_path: Path) -> None:
    first = counting(encoder)
    embed_prompts(PROMPTS, first, folder=tmp_path)
    assert sorted(first.asked) == ["", "a cat", "a small cat", "two dogs"]
    second = counting(encoder)
    embedded = embed_prompts(PROMPTS, second, folder=tmp_path)
    assert second.asked == [] and torch.allclose(embedded.of(ROWS, CHOICE), encoder(TEXTS), atol=2e-3)
    for other in (counting(encoder, fingerprint="another"), counting(encoder)):
        prompts = PROMPTS if other.fingerprint == "another" else Prompts((("an owl",),), "text")
        embed_prompts(prompts, other, folder=tmp_path)
        assert other.asked
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_file_is_made_again(
    encoder: TextEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embed_prompts(PROMPTS, encoder, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    held = bytearray(file.read_bytes())
    held[-100] ^= 255
    file.write_bytes(held)
    embedded = embed_prompts(PROMPTS, encoder, folder=tmp_path)
    assert "damaged" in caplog.text
    assert torch.allclose(embedded.of(ROWS, CHOICE), encoder(TEXTS), atol=2e-3)
    again = counting(encoder)
    embed_prompts(PROMPTS, again, folder=tmp_path)
    assert again.asked == []


def test_too_many_are_embedded_when_asked_for(encoder: TextEncoder, tmp_path: Path) -> None:
    lazy = counting(encoder)
    embedded = embed_prompts(PROMPTS, lazy, folder=tmp_path, most_bytes=4 * 77 * 64 * 2 - 1)
    assert lazy.asked == [] and not list(tmp_path.iterdir())
    assert torch.allclose(embedded.of(ROWS, CHOICE), encoder(TEXTS), atol=1e-6)
    assert lazy.asked == TEXTS


def test_a_folder_that_cannot_be_written_loses_nothing(
    encoder: TextEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    embedded = embed_prompts(PROMPTS, encoder, folder=tmp_path / "file" / "inside")
    assert "cannot keep embeddings" in caplog.text
    assert torch.allclose(embedded.of(ROWS, CHOICE), encoder(TEXTS), atol=2e-3)


def test_long_prompts_and_unknown_types_are_said(encoder: TextEncoder, tmp_path: Path) -> None:
    long = Prompts((("word " * 80,), ("short",)), "text")
    with pytest.warns(UserWarning, match="1 of 3 prompts are cut to 77 tokens"):
        embedded = embed_prompts(long, encoder, folder=tmp_path)
    assert embedded.pooled(torch.tensor([0]), torch.tensor([0])).isfinite().all()
    with pytest.raises(ValueError, match="unknown dtype 'float8'"):
        embed_prompts(long, encoder, folder=tmp_path, dtype="float8")  # type: ignore[arg-type]
