"""What the tabs compute and refuse, without a browser."""

import base64
import csv
import dataclasses
import io
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.small_runs import small

pytest.importorskip("gradio")

from immiscible_diffusion.analysis.territories import territories
from immiscible_diffusion.live_page.compare_tab import single_runs
from immiscible_diffusion.live_page.edit_tab import BRUSHED, FRAMED, image_to_edit, painted, pixels_of
from immiscible_diffusion.live_page.found_runs import VANILLA, find, two_alike
from immiscible_diffusion.live_page.inputs import same_shape
from immiscible_diffusion.live_page.perturb_tab import perturbations
from immiscible_diffusion.live_page.sample_tab import samples
from immiscible_diffusion.live_page.training_job import TrainingJob
from immiscible_diffusion.masks import painted_mask
from immiscible_diffusion.runs.images import advance, open_run
from immiscible_diffusion.runs.metrics import append_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    wanted = {"a": ("independent", 0), "b": ("nearest:4", 0), "c": ("assigned", 0), "d": ("assigned", 1)}
    for name, (pairing, seed) in wanted.items():
        run = open_run(small(pairing=pairing, seed=seed, steps=2), place / name, log_with="none")
        assert len(list(advance(run, sheet_every=0))) == 2
    return place


def name_of(named: dict[str, Path], place: Path) -> str:
    return next(name for name, folder in named.items() if folder == place)


def test_vanilla_is_put_beside_a_pairing_of_its_seed(folder: Path) -> None:
    (folder / "broken").mkdir(exist_ok=True)
    (folder / "broken" / "config.json").write_text("{")
    found = find([folder])
    assert len(found.images) == 4
    left, right = two_alike(list(found.images))
    assert left and right
    assert found.images[left] == folder / "a" and found.images[right] == folder / "c"
    assert two_alike([]) == (None, None) and two_alike([left]) == (left, left)


def test_equal_requests_get_equal_images_and_a_seed_changes_them(folder: Path) -> None:
    found = find([folder])
    names = list(found.images)[:2]
    one, other = (pictures(samples(found, names, 3, 2, seed, "", "", 1)) for seed in (7, 8))
    again = pictures(samples(found, names, 3, 2, 7, "", "", 1))
    assert len(one) == 2 and all(map(np.array_equal, one, again))
    assert not any(map(np.array_equal, one, other))  # captions name the seed; pictures must change too
    with pytest.raises(ValueError, match="'nowhere' is no run here"):
        samples(found, ["nowhere"], 3, 2, 7, "", "", 1)


def test_neighbours_move_further_with_w(folder: Path) -> None:
    found = find([folder])
    names = list(found.images)[:1]

    def moved(strength: float) -> float:
        return float(perturbations(found, names, strength, 3, 0, "").split("independent: ")[-1].split()[0])

    assert 0 < moved(0.1) < moved(0.5)


def test_an_image_of_the_data_comes_back_pixel_for_pixel(folder: Path) -> None:
    found = find([folder])
    (name, *_) = found.images
    held, said, _ = image_to_edit(found, name, 5)
    digits = pixels_of(held, (1, 8, 8))
    from immiscible_diffusion.data.images import load_images

    data = load_images("digits")
    assert torch.equal(digits[0], data.pixels[5])
    assert data.labels is not None and said == data.class_names[int(data.labels[5])]


def test_a_brush_stroke_is_the_hole(folder: Path) -> None:
    stroke = Image.new("RGBA", (320, 320))
    stroke.paste((213, 94, 0, 255), (80, 0, 160, 320))  # columns 2 and 3 of 8
    hole = painted_mask((8, 8), [stroke])
    assert hole.nonzero()[:, 1].unique().tolist() == [2, 3] and int(hole.sum()) == 16
    with pytest.raises(ValueError, match="nothing is painted"):
        painted_mask((8, 8), [])
    with pytest.raises(ValueError, match="everything is painted"):
        painted_mask((8, 8), [Image.new("RGBA", (9, 9), "red")])
    found = find([folder])
    names = list(found.images)[:2]
    held, _, _ = image_to_edit(found, names[0], 0)
    where = (0.5, 0.5, 0.5, 4, 2, 0, "", "", 1)
    said = painted(found, names, {**held, "layers": [stroke]}, BRUSHED, *where)
    assert "25% of the pixels" in said
    assert "75% of the pixels" in painted(found, names, held, FRAMED, *where)


def pictures(html: str) -> list[np.ndarray[Any, Any]]:
    """The pictures inside HTML, decoded."""
    held = re.findall(r"data:image/png;base64,([^\"]+)", html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in held]


def test_prompted_runs_sample_from_one_noise_and_listen_to_seed_and_prompt(
    prompted: Path, tmp_path: Path
) -> None:
    shutil.copytree(prompted / "a", tmp_path / "copy")  # the same weights: what differs is the noise alone
    found = find([prompted, tmp_path])
    first, copied, paired = (
        name_of(found.prompted, place) for place in (prompted / "a", tmp_path / "copy", prompted / "b")
    )

    def drawn(names: list[Any], seed: int, prompt: str, guidance: float = 1) -> list[np.ndarray[Any, Any]]:
        return pictures(samples(found, names, 3, 16, seed, "", prompt, guidance))

    one, same = drawn([first, copied], 7, "kind 1")
    assert np.array_equal(one, same) and one.std() > 0
    for other in (drawn([first], 8, "kind 1"), drawn([first], 7, "kind 2"), drawn([first], 7, "kind 1", 5)):
        assert not np.array_equal(one, other[0])
    assert not np.array_equal(one, drawn([paired], 7, "kind 1")[0])
    said = samples(found, [first, paired], 3, 16, 7, "", "kind 1", 5)
    assert "independent, 3 training steps; 9 images, 3 steps, seed 7, “kind 1”, guidance 5" in said
    assert "assigned:within:above, 3 training steps; 9 images" in said
    assert "without a prompt" in samples(found, [first], 3, 1, 7, "", "", 1)


def test_prompted_runs_fill_a_hole_by_prompt_and_keep_the_rest(prompted: Path) -> None:
    found = find([prompted])
    names = [name_of(found.prompted, prompted / name) for name in "ab"]
    held, said, prompt = image_to_edit(found, names[0], 9)
    assert (said, prompt) == ("", "kind 1")  # rows are sorted by folder, eight a class
    pixels = pixels_of(held, (3, 16, 16))
    file = sorted((prompted.parent / "images" / "kind 1").iterdir())[1]
    assert torch.equal(pixels[0].permute(1, 2, 0), torch.from_numpy(np.array(Image.open(file))))
    where = (FRAMED, 0.5, 0, 1)  # the frame at the bottom left

    def edited(prompt: str, guidance: float = 3) -> list[np.ndarray[Any, Any]]:
        (sheet,) = pictures(painted(found, names, held, *where, 3, 2, 0, "", prompt, guidance))
        return [sheet[:, left : left + 160] for left in (0, 162, 324)]

    assert "75% of the pixels painted, from the same noise, “kind 1”, guidance 3" in painted(
        found, names, held, *where, 3, 2, 0, "", "kind 1", 3
    )
    kept, vanilla, paired = edited("kind 1")
    assert np.array_equal(kept[80:, :80], vanilla[80:, :80]) and not np.array_equal(kept, vanilla)
    assert not np.array_equal(vanilla, paired)
    assert not np.array_equal(vanilla, edited("kind 2")[1])
    with pytest.raises(ValueError, match="image must be a whole number from 0 to 23"):
        image_to_edit(found, names[0], 24)
    with pytest.raises(ValueError, match="no block of 2×2 pixels is wholly known"):
        painted(found, names, held, FRAMED, 0.1, 0.5, 0.5, 3, 1, 0, "", "kind 1", 1)


def test_runs_that_cannot_share_a_noise_are_refused(folder: Path, prompted: Path) -> None:
    found = find([folder, prompted])
    both = [next(iter(found.images)), next(iter(found.prompted))]
    with pytest.raises(ValueError, match="one of the two runs reads prompts and the other does not"):
        samples(found, both, 3, 2, 7, "", "", 1)
    held, _, _ = image_to_edit(found, both[0], 0)
    with pytest.raises(ValueError, match="choose two of a kind"):
        painted(found, both, held, FRAMED, 0.5, 0.5, 0.5, 4, 1, 0, "", "", 1)
    with pytest.raises(ValueError, match="start from noise of 1×8×8 and 3×8×8"):
        same_shape([(1, 8, 8), (3, 8, 8)])
    with pytest.raises(ValueError, match="is no run on images here"):
        perturbations(found, both[1:], 0.1, 3, 0, "")


def test_a_run_whose_models_are_gone_says_so(prompted: Path, tmp_path: Path) -> None:
    shutil.copytree(prompted / "a", tmp_path / "lost")
    config = tmp_path / "lost" / "config.json"
    config.write_text(config.read_text().replace("/models", "/elsewhere"))
    found = find([tmp_path])
    held, _, _ = image_to_edit(found, next(iter(found.prompted)), 0)
    with pytest.raises((ValueError, OSError), match="elsewhere"):
        painted(found, list(found.prompted), held, FRAMED, 0.5, 0.5, 0.5, 4, 1, 0, "", "", 1)


def test_single_runs_show_what_they_wrote_down(folder: Path, tmp_path: Path) -> None:
    for name, distances in (("a", (3.5, 2.25)), ("c", (3.0, None))):
        shutil.copytree(folder / name, tmp_path / name)
        (tmp_path / name / "metrics.jsonl").unlink()
        for step, distance in zip((1, 2), distances, strict=True):
            append_record(tmp_path / name / "metrics.jsonl", {"step": step, "loss": 1 / step})
            measured = {"distance_name": "Fréchet distance", "features": "probe(digits)"}
            record = {"step": step, "distance": distance, "kernel_distance": 0.1, **measured}
            append_record(tmp_path / name / "metrics.jsonl", {**record, "evaluations": 20, "count": 200})
    scored = {"frechet": 1.75, "features": "inception", "distance_name": "FID", "generated_count": 1000}
    evaluation = {
        "step": 2,
        "sampler": "euler",
        "evaluations": {"50": {**scored, "warning": "too few images"}},
    }
    (tmp_path / "c" / "evaluation.json").write_text(json.dumps(evaluation))
    found = find([tmp_path])
    said = single_runs(found, list(found.images))
    assert len(pictures(said)) == 1
    rows = re.findall("<tr>(.*?)</tr>", said)[1:]
    cells = [tuple(re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row)) for row in rows]
    how = "Fréchet distance by probe(digits), 20 steps, 200 images"
    assert cells == [
        ("independent, seed 0", "last, while it trained", how, "2", "2.25"),
        ("independent, seed 0", "best, while it trained", how, "2", "2.25"),
        ("assigned, seed 0", "last, while it trained", how, "2", "diverged"),
        ("assigned, seed 0", "best, while it trained", how, "1", "3"),
        ("assigned, seed 0", "evaluate", "FID by inception, 50 steps of euler, 1,000 images", "2", "1.75"),
    ]
    assert "too few images" in said and "No distance was measured" not in said
    (link,) = re.findall(r"data:text/csv;base64,([^\"]+)", said)
    table = list(csv.DictReader(base64.b64decode(link).decode().splitlines()))
    assert [row["value"] for row in table if row["quantity"] == "loss"] == ["1.0", "0.5"] * 2
    assert [row["value"] for row in table if row["quantity"] == "distance"] == [
        "3.5",
        "2.25",
        "3.0",
        "inf",
        "1.75",
    ]


def test_single_runs_without_a_distance_say_how_to_get_one(folder: Path, tmp_path: Path) -> None:
    found = find([folder])
    vanilla, two_seeds = list(found.images)[:1], list(found.images)[2:]
    said = single_runs(found, vanilla)
    assert "No distance was measured while these runs trained" in said and "<table>" not in said
    assert "assigned, seed 0: loss" in single_runs(found, two_seeds)
    shutil.copytree(folder / "a", tmp_path / "again")
    both = find([folder, tmp_path])
    alike = [name for name in both.images if VANILLA in name]
    assert f"independent, seed 0, {tmp_path / 'again'}: loss" in single_runs(both, alike)
    (tmp_path / "again" / "metrics.jsonl").unlink()
    with pytest.raises(ValueError, match="has written down no loss"):
        single_runs(both, alike)
    for wrong in ([], "a", ["nowhere"], vanilla * 8):
        with pytest.raises(ValueError, match=r"choose 1 to 7 runs|is no run here"):
            single_runs(found, wrong)


def test_territories_separate_as_k_grows_and_near_the_image() -> None:
    left = [territories(6, k, 1).in_play for k in (1, 4, 16, 64)]
    assert left[0] == pytest.approx(6) and left == sorted(left, reverse=True) and left[-1] < 2
    assert territories(6, 1, 0.2).in_play < territories(6, 1, 0.8).in_play < 6
    vanilla = territories(6, 1, 1)
    assert float(vanilla.noise.std()) == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match="time must be"):
        territories(6, 1, 0)


def test_a_training_is_stopped_by_its_own_page_and_goes_on_where_it_was(tmp_path: Path) -> None:
    job = TrainingJob(tmp_path / "job", steps=4)
    job.experiment = dataclasses.replace(job.experiment, batch_size=32)
    job.start("mine")
    with pytest.raises(ValueError, match="started on another page"):
        job.stop("yours")
    while job.running and not job.share:
        time.sleep(0.02)
    job.stop("mine")
    job.close()
    assert job.said.startswith("Stopped.") and 0 < job.share < 1
    kept = find([tmp_path])
    assert len(kept.images) == 1 and not kept.comparisons
    job.start("yours")
    assert job.owner == "yours"
    while job.running:
        time.sleep(0.02)
    assert job.said.startswith("Done.") and job.share == 1
    assert len(find([tmp_path]).images) == 2 and len(find([tmp_path]).comparisons) == 1
