"""What is said of each image: whose rows, which caption, and what is refused."""

from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.text_to_image.prompts import Prompts, caption_choice, dropped, load_prompts

PIXELS = [np.full((4, 4, 3), 40 * row, dtype=np.uint8) for row in range(4)]


def parquet(folder: Path, **columns: list[object]) -> str:
    images = [Image.fromarray(pixels) for pixels in PIXELS]
    table = datasets.Dataset.from_dict({"image": images, **columns}).cast_column("image", datasets.Image())
    folder.mkdir(exist_ok=True)
    table.to_parquet(folder / "train.parquet")
    return str(folder)


def test_class_names_are_prompts(shared_data: Path) -> None:
    source = str(shared_data / "tiny_imagenet")
    images = load_images(source, rows=120)
    prompts = load_prompts(source, images, template="a photo of a {}")
    assert images.labels is not None
    assert prompts.texts == tuple(
        (f"a photo of a {images.class_names[label]}",) for label in images.labels.tolist()
    )
    assert load_prompts(source, images).texts[0] == ("goldfish, Carassius auratus",)  # the name as it is


def test_subfolders_name_the_prompts(tmp_path: Path) -> None:
    for name in ("red fox", "owl"):
        (tmp_path / name).mkdir()
        Image.fromarray(PIXELS[0]).save(tmp_path / name / "a.png")
    images = load_images(str(tmp_path))
    assert sorted(load_prompts(str(tmp_path), images).texts) == [("owl",), ("red fox",)]


def test_captions_follow_their_images(tmp_path: Path, shared_data: Path) -> None:
    """Also where a bad image was left out."""
    source = parquet(tmp_path, text=["one", "two", "three", "four"])
    table = datasets.load_dataset("parquet", data_files=f"{source}/train.parquet", split="train")
    broken = table.cast_column("image", datasets.Image(decode=False)).to_list()
    broken[1]["image"]["bytes"] = b"no image"
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    datasets.Dataset.from_list(broken, features=features).to_parquet(tmp_path / "train.parquet")
    with pytest.warns(UserWarning, match="1 of 4 rows left out"):
        images = load_images(source, bad_data="skip")
    assert load_prompts(source, images).texts == (("one",), ("three",), ("four",))
    flickr = str(shared_data / "flickr8k_64")
    prompts = load_prompts(flickr, load_images(flickr, rows=3))
    assert [len(row) for row in prompts.texts] == [5, 5, 5]
    assert prompts.texts[0][2] == "A little girl climbing into a wooden playhouse ."


def test_captions_that_cannot_be_used(tmp_path: Path) -> None:
    source = parquet(tmp_path, text=[[" a ", "", None], ["b"], [""], None])
    images = load_images(source)
    with pytest.raises(ValueError, match=r"row 2 has no caption in 'text'; mend it.*--bad-data skip"):
        load_prompts(source, images)
    with pytest.warns(UserWarning, match="captions of 2 of 4 images were left out, 2 get the empty prompt"):
        prompts = load_prompts(source, images, bad_data="skip")
    assert prompts.texts == (("a",), ("b",), ("",), ("",))
    assert prompts.distinct() == ("", "a", "b")
    source = parquet(tmp_path / "empty", text=["", "", " ", ""])
    with pytest.raises(ValueError, match="column 'text' holds no caption"):
        load_prompts(source, images, bad_data="skip")


def test_mistakes_are_explained(tmp_path: Path) -> None:
    source = parquet(tmp_path, text=["a"] * 4, url=["b"] * 4, number=[1, 2, 3, 4])
    images = load_images(source)
    with pytest.raises(ValueError, match=r"prompt_column: unknown column 'txt'; did you mean 'text'\?"):
        load_prompts(source, images, column="txt")
    with pytest.raises(ValueError, match="'number' holds no texts; columns that do: text, url"):
        load_prompts(source, images, column="number")
    with pytest.raises(ValueError, match=r"2 columns of texts .* prompt_column, out of text, url"):
        load_prompts(source, images)
    with pytest.raises(ValueError, match=r"template 'a \{\}' is for class names, but column 'url'"):
        load_prompts(source, images, column="url", template="a {}")
    with pytest.raises(ValueError, match=r'must hold one "\{\}"'):
        load_prompts(source, images, column="text", template="photo")
    with pytest.raises(ValueError, match="digits have class names only"):
        load_prompts("digits", load_images("digits", rows=3), column="text")
    with pytest.raises(ValueError, match="has 4 rows in split 'train', but the images come from 9"):
        load_prompts(source, load_images("digits", rows=9), column="text")
    with pytest.raises(ValueError, match="unknown bad_data 'drop'"):
        load_prompts(source, images, bad_data="drop")  # type: ignore[arg-type]


def test_one_caption_is_drawn_evenly_and_by_seed_and_step() -> None:
    prompts = Prompts((("a",), ("b", "c", "d")), "text")
    rows = torch.tensor([0, 1] * 3000)
    choice = caption_choice(prompts, rows, seed=1, step=5)
    assert not choice[0::2].any()
    counts = Counter(choice[1::2].tolist())
    assert set(counts) == {0, 1, 2} and all(abs(count - 1000) < 130 for count in counts.values())
    assert torch.equal(choice, caption_choice(prompts, rows, seed=1, step=5))
    assert not torch.equal(choice, caption_choice(prompts, rows, seed=1, step=6))
    assert not torch.equal(choice, caption_choice(prompts, rows, seed=2, step=5))


def test_prompts_are_dropped_as_often_as_said() -> None:
    rows = torch.arange(20_000)
    left = dropped(rows, 0.1, seed=0, step=2)
    assert abs(float(left.float().mean()) - 0.1) < 0.01
    assert torch.equal(left, dropped(rows, 0.1, seed=0, step=2))
    assert not torch.equal(left, dropped(rows, 0.1, seed=0, step=3))
    assert not dropped(rows, 0.0, 0, 0).any() and dropped(rows, 1.0, 0, 0).all()
    with pytest.raises(ValueError, match=r"must be from 0 to 1, got 1\.5"):
        dropped(rows, 1.5, 0, 0)


def test_the_fingerprint_tells_texts_and_their_order() -> None:
    prints = {
        Prompts(texts, "x").fingerprint for texts in ((("a",), ("b",)), (("b",), ("a",)), (("a", "b"),))
    }
    assert len(prints) == 3
