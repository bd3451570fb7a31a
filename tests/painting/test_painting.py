"""Holes painted by text-to-image runs and by diffusers' pipelines, through the command and below it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from tests.text_to_image.small_models import VOCABULARY, small, write_pipeline
from torch import Tensor, nn

from immiscible_diffusion.cli import main
from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.editing import Space, pixel_space, repaint, without_hole
from immiscible_diffusion.masks import box_mask, centre_mask, coarser_hole
from immiscible_diffusion.objectives import FlowMatching
from immiscible_diffusion.painting.pipelines import open_inpainting, paint_by_pipeline, pipeline_side
from immiscible_diffusion.text_to_image.runs import advance_text_to_image, open_text_to_image_run

FEW = ("--count", 12, "--evaluations", 2, "--features", "pixels", "--rows", 2)
Edit = Callable[..., None]


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Edit:
    def called(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["immiscible", "edit", *map(str, arguments)])
        main()

    return called


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inpainting_pipeline(plain: Path, folder: Path) -> Path:
    """Save the pipeline again with a U-Net that sees mask and known part: 9 channels."""
    parts = StableDiffusionPipeline.from_pretrained(plain, safety_checker=None).components
    config = {**parts["unet"].config, "in_channels": 9}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        parts["unet"] = UNet2DConditionModel.from_config(config)
    StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Embeddings and probes of tests are not kept in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans of digits as 16×16 colour images, with class names and captions."""
    digits = load_images("digits", rows=40)
    assert digits.labels is not None
    pixels = digits.pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, 0].numpy()
    tinted = [Image.fromarray(np.stack([grey, grey // 2, 255 - grey], axis=2)) for grey in pixels]
    labels = digits.labels.tolist()
    captions = [[f"a scan of {label}", f"the number {label}"] for label in labels]
    table = datasets.Dataset.from_dict({"image": tinted, "label": labels, "captions": captions})
    names = datasets.ClassLabel(names=[f"digit {number}" for number in range(10)])
    table = table.cast_column("image", datasets.Image()).cast_column("label", names)
    folder = tmp_path_factory.mktemp("images")
    table.to_parquet(folder / "train.parquet")
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not VOCABULARY.exists():
        pytest.skip(f"no vocabulary: {VOCABULARY} is absent")
    return write_pipeline(tmp_path_factory.mktemp("pipelines") / "sd")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images: Path, pipeline: Path) -> Path:
    """A text-to-image run of two steps."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    settings = {"prompt_column": "captions", "pairing": "assigned", "steps": 2}
    experiment = small(images, pipeline, latents=str(folder.with_name("latents")), **settings)
    for _ in advance_text_to_image(open_text_to_image_run(experiment, folder)):
        pass
    return folder


class Pooled(nn.Module):
    """A network that answers with its input, on the device of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        return (
            self.scale * noisy if condition is None else self.scale * noisy + condition[:, None, None, None]
        )


def pooled_space(factor: int, seen: list[Tensor]) -> Space:
    """Latents that are means of blocks; `seen` collects what is encoded."""
    plain = pixel_space(0.5)

    def encode(pixels: Tensor) -> Tensor:
        seen.append(pixels)
        return F.avg_pool2d(plain.encode(pixels), factor)

    return Space(
        encode,
        lambda clean: plain.decode(clean.repeat_interleave(factor, 2).repeat_interleave(factor, 3)),
        factor,
    )


def test_latents_are_painted_where_any_of_their_pixels_is_missing() -> None:
    pixels = torch.randint(256, (5, 3, 16, 16), generator=seeded(), dtype=torch.uint8)
    hole = box_mask((16, 16), (3, 4, 9, 8))
    assert torch.equal(coarser_hole(hole, 4), box_mask((4, 4), (0, 1, 3, 2)))
    assert coarser_hole(hole, 1) is hole
    seen: list[Tensor] = []
    arguments: Any = (FlowMatching(), Pooled(), pooled_space(4, seen))
    settings: Any = {"resampling": 2, "condition": torch.arange(5.0), "batch_size": 2}
    edited = repaint(*arguments, pixels, hole, 3, generator=seeded(), **settings)
    assert torch.equal(edited[:, :, ~hole], pixels[:, :, ~hole])
    assert not torch.equal(edited[:, :, hole], pixels[:, :, hole])
    again = repaint(*arguments, pixels.masked_fill(hole, 9), hole, 3, generator=seeded(), **settings)
    assert torch.equal(again, edited)  # what the hole held was not looked at
    shown = torch.cat(seen[:3])
    known = pixels.float()[:, :, ~hole].mean(2).round()
    assert torch.equal(shown[:, :, hole], known[:, :, None].expand(-1, -1, int(hole.sum())).to(torch.uint8))
    everything = torch.ones(16, 16, dtype=torch.bool)
    assert (without_hole(pixels, everything) == 128).all() and coarser_hole(everything, 4).all()


def test_blocks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="no block of 4×4 pixels is wholly known"):
        coarser_hole(~box_mask((16, 16), (1, 1, 6, 6)), 4)
    with pytest.raises(ValueError, match="do not divide into blocks of 3"):
        coarser_hole(centre_mask((16, 16), 0.5), 3)


@pytest.mark.parametrize("kind", [StableDiffusionPipeline, StableDiffusionInpaintPipeline])
def test_a_pipeline_paints_by_prompt(kind: Any, tmp_path: Path, pipeline: Path) -> None:
    plain = kind is StableDiffusionPipeline
    opened = open_inpainting(pipeline if plain else inpainting_pipeline(pipeline, tmp_path))
    assert isinstance(opened, StableDiffusionInpaintPipeline) and pipeline_side(opened) == 16
    pixels = torch.randint(256, (2, 3, 16, 16), generator=seeded(), dtype=torch.uint8)
    hole = centre_mask((16, 16), 0.5)

    def painted(given: Tensor, prompts: list[str], guidance: float = 7.5) -> Tensor:
        return paint_by_pipeline(opened, given, hole, prompts, 3, guidance, seeded())

    edited = painted(pixels, ["a cat", "a dog"])
    assert torch.equal(edited[:, :, ~hole], pixels[:, :, ~hole])
    assert not torch.equal(edited[:, :, hole], pixels[:, :, hole])
    assert torch.equal(painted(pixels.masked_fill(hole, 3), ["a cat", "a dog"]), edited)
    other = painted(pixels, ["two ships on the sea", "a dog"], 50)
    strong = painted(pixels, ["a cat", "a dog"], 50)
    assert not torch.equal(other[0], strong[0])


def test_a_text_to_image_run_fills_holes(
    run: Path, pipeline: Path, images: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, "outpaint", "--centre", 0.5, "--resampling", 2, *FEW)
    said = capsys.readouterr().out
    assert "75% of the pixels to paint, 2 steps walked 2 times" in said and "pairing assigned, step 2" in said
    folder = run / "outpaint-step2"
    spread = np.linspace(0, 39, 12).round().astype(int)  # data may be sorted
    wanted = load_images(str(images)).pixels[spread].permute(0, 2, 3, 1).numpy()
    edited = np.stack([np.asarray(Image.open(file)) for file in sorted((folder / "images").iterdir())])
    assert (edited[:, 4:12, 4:12] == wanted[:, 4:12, 4:12]).all() and (edited != wanted).any()
    result = json.loads((folder / "edits.json").read_text())
    assert result["task"] == "outpaint" and result["prompts"][0] == "a scan of 0"
    assert result["runs"][str(run)]["psnr"] > 0
    assert Image.open(folder / "sheet.png").size == (3 * 66 - 2, 2 * 66 - 2)


def test_runs_and_pipelines_stand_side_by_side(
    run: Path, pipeline: Path, images: Path, edit: Edit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = (*FEW, "--out", tmp_path / "a")
    edit(pipeline, "inpaint", "--images", images, "--prompt-column", "captions", "--against", run, *few)
    said = capsys.readouterr().out
    assert "2 steps, features" in said and "pipeline StableDiffusionInpaintPipeline" in said
    result = json.loads((tmp_path / "a" / "edits.json").read_text())
    assert list(result["runs"]) == [str(pipeline), str(run)] and result["prompts"][1] == "a scan of 1"
    assert Image.open(tmp_path / "a" / "sheet.png").size == (4 * 66 - 2, 2 * 66 - 2)
    edit(pipeline, "inpaint", "--images", images, *FEW, "--out", tmp_path / "b")  # class names, found by type
    assert json.loads((tmp_path / "b" / "edits.json").read_text())["prompts"][1] == "digit 1"
    edit(run, "inpaint", "--prompt", "an owl", "--guidance", 1, *FEW, "--out", tmp_path / "c")
    assert json.loads((tmp_path / "c" / "edits.json").read_text())["prompts"] == ["an owl"] * 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["PIPELINE", "inpaint"], "--images must be given"),
        (
            ["PIPELINE", "inpaint", "--images", "IMAGES", "--churn", "0"],
            "--resampling and --churn are for runs",
        ),
        (["PIPELINE", "inpaint", "--images", "PLAIN"], "or say one thing of all images with --prompt TEXT"),
        (
            ["PIPELINE", "inpaint", "--images", "IMAGES", "--prompt-column", "caption"],
            "did you mean 'captions'?",
        ),
        (["RUN", "outpaint", "--box", "1", "1", "3", "3"], "no block of 2×2 pixels is wholly known"),
        (["RUN", "inpaint", "--guidance", "-1"], "guidance must be 0 or more"),
        (["BROKEN", "inpaint", "--images", "IMAGES"], "cannot be opened to paint holes"),
    ],
)
def test_mistakes_are_explained(
    given: list[str],
    words: str,
    run: Path,
    pipeline: Path,
    images: Path,
    edit: Edit,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain, broken = tmp_path / "plain", tmp_path / "broken"
    for folder in (plain, broken):
        folder.mkdir()
    Image.new("RGB", (16, 16)).save(plain / "a.png")
    (broken / "model_index.json").write_text(json.dumps({"_class_name": "DDIMPipeline"}))
    paths = {"RUN": run, "PIPELINE": pipeline, "IMAGES": images, "PLAIN": plain, "BROKEN": broken}
    with pytest.raises(SystemExit):
        edit(*(paths.get(word, word) for word in given), *FEW, "--out", tmp_path / "out")
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and not (tmp_path / "out").exists()
