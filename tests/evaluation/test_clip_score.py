"""CLIPScore against cosines by hand, with a small CLIP of the real layout and random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.text_to_image.small_models import VOCABULARY, write_clip

from immiscible_diffusion.evaluation.clip_score import Clip, clip_score, open_clip

PROMPTS = ["a cat", "two dogs on a lawn", "word " * 100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not VOCABULARY.exists():
        pytest.skip(f"no vocabulary: {VOCABULARY} is absent")
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder: Path) -> Clip:
    return open_clip(str(folder))


def by_hand(clip: Clip, pixels: torch.Tensor, prompts: list[str]) -> list[float]:
    """Cosines from the model's forward pass, one image and prompt at a time, images by way of PIL."""
    cosines = []
    for image, prompt in zip(pixels, prompts, strict=True):
        array = image.expand(3, -1, -1).permute(1, 2, 0).numpy().astype(np.uint8)
        seen = clip.processor.image_processor(Image.fromarray(array), return_tensors="pt")
        ids = clip.processor.tokenizer(prompt).input_ids
        ids = [*ids[:76], 49407] if len(ids) > 77 else ids
        with torch.no_grad():
            both = clip.model(input_ids=torch.tensor([ids]), pixel_values=seen["pixel_values"])
        cosines.append(float(torch.cosine_similarity(both.image_embeds, both.text_embeds)))
    return cosines


@pytest.mark.parametrize(("channels", "side"), [(3, 32), (1, 48), (3, 8)])
def test_it_is_the_mean_cosine(clip: Clip, channels: int, side: int) -> None:
    generator = torch.Generator().manual_seed(side)
    pixels = torch.randint(256, (3, channels, side, side), generator=generator, dtype=torch.uint8)
    cosines = by_hand(clip, pixels, PROMPTS)
    assert min(cosines) > 0.02 and max(cosines) - min(cosines) > 0.02  # else anything would do
    scored = clip_score(clip, pixels, PROMPTS)
    assert scored.score == pytest.approx(max(0.0, 100 * sum(cosines) / 3), abs=2e-3)
    assert scored.count == 3 and scored.clip == clip.name
    single = [clip_score(clip, pixels[i : i + 1], PROMPTS[i : i + 1]).score for i in range(3)]
    assert single == pytest.approx([max(0.0, 100 * cosine) for cosine in cosines], abs=2e-3)


def test_many_images_are_scored_in_pieces(clip: Clip) -> None:
    pixels = torch.randint(
        256, (70, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    prompts = [f"{number} cats" for number in range(70)]
    whole = clip_score(clip, pixels, prompts).score
    assert whole == pytest.approx(max(0.0, 100 * float(np.mean(by_hand(clip, pixels, prompts)))), abs=2e-3)
    assert clip.image_side == 32


def test_mistakes_are_explained(clip: Clip, folder: Path, tmp_path: Path) -> None:
    pixels = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="prompts: 1 given for 2 images"):
        clip_score(clip, pixels, ["one"])
    with pytest.raises(ValueError, match=r"give uint8 \[N, C, H, W\]"):
        clip_score(clip, pixels.float(), ["one", "two"])
    with pytest.raises(ValueError, match="4 channels given"):
        clip_score(clip, torch.zeros(1, 4, 8, 8, dtype=torch.uint8), ["one"])
    with pytest.raises(FileNotFoundError, match=r"clip 'openai/none' could not be had from the hub"):
        open_clip("openai/none")
    for missing in ("tokenizer.json", "config.json", "model.safetensors"):
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / missing).unlink()
        with pytest.raises(FileNotFoundError, match=f"has no {missing}"):
            open_clip(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:900])
    with pytest.raises(ValueError, match="does not load"):
        open_clip(str(tmp_path))
    settings = json.loads((folder / "config.json").read_text())
    settings["vision_config"]["num_hidden_layers"] = 3
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="lacks weights, the first is 'vision_model"):
        open_clip(str(tmp_path))
