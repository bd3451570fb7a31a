"""What the tabs compute and refuse, without a browser."""

import dataclasses
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.small_runs import small

pytest.importorskip("gradio")

from immiscible_diffusion.analysis.territories import territories
from immiscible_diffusion.live_page.edit_tab import BRUSHED, FRAMED, image_to_edit, painted, pixels_of
from immiscible_diffusion.live_page.found_runs import find, two_alike
from immiscible_diffusion.live_page.perturb_tab import perturbations
from immiscible_diffusion.live_page.sample_tab import samples
from immiscible_diffusion.live_page.training_job import TrainingJob
from immiscible_diffusion.masks import painted_mask
from immiscible_diffusion.runs import advance, open_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    wanted = {"a": ("independent", 0), "b": ("nearest:4", 0), "c": ("assigned", 0), "d": ("assigned", 1)}
    for name, (pairing, seed) in wanted.items():
        run = open_run(small(pairing=pairing, seed=seed, steps=2), place / name, log_with="none")
        assert len(list(advance(run, sheet_every=0))) == 2
    return place


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
    one = samples(found, names, 3, 2, 7, "", "", 1)
    assert samples(found, names, 3, 2, 7, "", "", 1) == one != samples(found, names, 3, 2, 8, "", "", 1)
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
    held, said = image_to_edit(found, name, 5)
    digits = pixels_of(held, (1, 8, 8))
    from immiscible_diffusion.data import load_images

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
    held, _ = image_to_edit(found, names[0], 0)
    where = (0.5, 0.5, 0.5, 4, 2, 0, "")
    said = painted(found, names, {**held, "layers": [stroke]}, BRUSHED, *where)
    assert "25% of the pixels" in said
    assert "75% of the pixels" in painted(found, names, held, FRAMED, *where)


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
