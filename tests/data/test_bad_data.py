"""Data that cannot be used: named with its place, or left out and counted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from immiscible_diffusion.data.images import load_images, source_rows


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six good colour images of two classes, 16×16, in folders."""
    for number in range(6):
        kind = tmp_path / "photos" / ("cat" if number < 3 else "dog")
        kind.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(kind / f"{number}.png")
    return tmp_path / "photos"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 0xFF
    path.write_bytes(bytes(content))


def transparent(path: Path) -> None:
    Image.new("RGBA", (16, 16), (255, 0, 0, 128)).save(path)


def see_through_palette(path: Path) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(path, transparency=1)


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.write_bytes(b"not a picture"), "cannot be read: cannot identify image file"),
    (lambda path: path.write_bytes(b""), "cannot be read: "),
    (cut, "cannot be read: "),
    (flip, "cannot be read: "),
    (transparent, "cannot be read: it has transparent parts"),
    (see_through_palette, "cannot be read: it has transparent parts"),
    (lambda path: Image.new("F", (16, 16)).save(path, "TIFF"), "have no known range"),
    (lambda path: Image.new("RGB", (16, 20)).save(path), "is 16×20 but row 0 is 16×16; give a resolution"),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
def test_a_bad_image_is_named_or_left_out(photos: Path, spoil: Callable[[Path], object], words: str) -> None:
    whole = load_images(str(photos))
    bad = photos / "cat" / "1.png"
    spoil(bad)
    with pytest.raises(ValueError, match=f"the image in row 1 .*cat/1.png.*{words}.*--bad-data skip"):
        load_images(str(photos))
    with pytest.warns(UserWarning, match=r"1 of 6 rows left out: the image in row 1 .*1\.png"):
        left = load_images(str(photos), bad_data="skip")
    kept = [0, 2, 3, 4, 5]
    assert torch.equal(left.pixels, whole.pixels[kept]) and left.labels.tolist() == [0, 0, 1, 1, 1]
    assert left.skipped_rows == (1,) and left.fingerprint != whole.fingerprint
    assert source_rows(left, torch.tensor([0, 1, 4])) == [0, 2, 5]
    assert source_rows(whole, torch.tensor([0, 1, 4])) == [0, 1, 4]


def test_a_file_that_vanishes_after_listing_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from immiscible_diffusion.data import images as data

    open_table = data.open_table

    def vanish(source: str, split: str) -> Any:
        table = open_table(source, split)
        (photos / "dog" / "4.png").unlink()
        return table

    monkeypatch.setattr(data, "open_table", vanish)
    with pytest.raises(ValueError, match=r"row 4 .*dog/4\.png.*cannot be read: .*No such file"):
        load_images(str(photos))


def test_where_sizes_differ_most_are_kept(photos: Path) -> None:
    Image.new("RGB", (8, 8)).save(photos / "cat" / "0.png")
    with pytest.raises(ValueError, match=r"row 0 .* is 8×8 but row 1 is 16×16"):
        load_images(str(photos))
    with pytest.warns(UserWarning, match="1 of 6 rows left out"):
        assert load_images(str(photos), bad_data="skip").skipped_rows == (0,)


def test_grey_opaque_and_palette_images_are_taken_as_they_look(photos: Path) -> None:
    colour = load_images(str(photos))
    first = Image.open(photos / "cat" / "0.png")
    first.convert("RGBA").save(photos / "cat" / "0.png")  # opaque: nothing is lost
    Image.open(photos / "cat" / "1.png").convert("L").save(photos / "cat" / "1.png")
    palette = Image.open(photos / "cat" / "2.png").quantize(256)
    palette.save(photos / "cat" / "2.png")
    with pytest.warns(UserWarning, match=r"1 of 6 images are grey, the others colour.*row 1 is the first"):
        mixed = load_images(str(photos))
    assert torch.equal(mixed.pixels[0], colour.pixels[0])
    assert torch.equal(mixed.pixels[1, 0], mixed.pixels[1, 2])
    expected = torch.from_numpy(np.asarray(palette.convert("RGB")).copy()).permute(2, 0, 1)
    assert torch.equal(mixed.pixels[2], expected)


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)).save(
        tmp_path / "deep/a.png"
    )
    pixels = load_images(str(tmp_path / "deep")).pixels
    assert pixels.shape == (1, 1, 16, 16)
    assert torch.allclose(pixels.flatten().float(), torch.arange(256.0), atol=1)


def table(folder: Path, labels: list[Any], images: list[bytes | None], kind: Any) -> str:
    rows = {"image": [image and {"bytes": image, "path": None} for image in images], "label": labels}
    features = datasets.Features({"image": datasets.Image(), "label": kind})
    made = datasets.Dataset.from_dict(rows, features=features)
    made.to_parquet(folder / "train.parquet")
    return str(folder / "train.parquet")


@pytest.fixture
def png(photos: Path) -> bytes:
    return (photos / "cat" / "0.png").read_bytes()


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        ([0, -1, 1], datasets.Value("int64"), "the label in row 1 is -1; labels are whole numbers from 0 up"),
        ([0, None, 1], datasets.Value("int64"), "the label in row 1 is None"),
        ([0, -1, 1], datasets.ClassLabel(names=["a", "b"]), r"row 1 is -1; .* from 0 to 1 \(2 classes\)"),
    ],
)
def test_labels_out_of_range_are_named_or_left_out(
    tmp_path: Path, png: bytes, labels: list[Any], kind: Any, words: str
) -> None:
    source = table(tmp_path, labels, [png] * 3, kind)
    with pytest.raises(ValueError, match=words):
        load_images(source)
    with pytest.warns(UserWarning, match="1 of 3 rows left out"):
        data = load_images(source, bad_data="skip")
    assert data.labels.tolist() == [0, 1] and data.skipped_rows == (1,) and len(data.class_names) == 2


def test_a_label_beyond_the_named_classes_is_named(tmp_path: Path, png: bytes) -> None:
    from immiscible_diffusion.data.rows import label_rows

    said: list[str] = []
    good, names = label_rows([0, 2, 1], ("a", "b"), lambda row, fault: said.append(fault))
    assert good == {0: 0, 2: 1} and names == ("a", "b")
    assert said == ["the label in row 1 is 2; labels are whole numbers from 0 to 1 (2 classes)"]


def test_rows_of_a_parquet_file_are_named_by_number(tmp_path: Path, png: bytes) -> None:
    source = table(tmp_path, [0, 1, 0], [png, None, png[:100]], datasets.Value("int64"))
    with pytest.raises(ValueError, match=r"the image in row 1 cannot be read: there is none"):
        load_images(source)
    with pytest.warns(UserWarning, match="2 of 3 rows left out: the image in row 1 .*; the image in row 2 "):
        assert len(load_images(source, bad_data="skip").pixels) == 1


def test_nothing_left_and_nothing_whole(tmp_path: Path, png: bytes) -> None:
    source = table(tmp_path, [0, 1], [b"bad", b"worse"], datasets.Value("int64"))
    with pytest.raises(ValueError, match="none of 2 rows can be used; the image in row 0 cannot be read"):
        load_images(source, bad_data="skip")
    damaged = tmp_path / "train.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"train\.parquet cannot be read as parquet .*check that"):
        load_images(str(damaged))
    with pytest.raises(ValueError, match="unknown bad_data 'skipp'; did you mean 'skip'"):
        load_images("digits", bad_data="skipp")


def test_the_command_counts_what_it_leaves_out(forks: Any, photos: Path, tmp_path: Path) -> None:
    cut(photos / "dog" / "5.png")
    command = [
        "train",
        "digits-flow",
        "--data",
        str(photos),
        "--steps",
        "2",
        "--batch-size",
        "4",
        "--out",
        "run",
    ]
    done = forks.run(*command, folder=tmp_path)
    assert done["code"] == 2 and "dog/5.png) cannot be read" in done["stderr"]
    assert "Traceback" not in done["stderr"] and not (tmp_path / "run").exists()
    done = forks.run(*command, "--bad-data", "skip", folder=tmp_path)
    assert done["code"] == 0, done["stderr"]
    assert "warning: data" in done["stderr"] and "Left out as bad: 1 rows" in done["stdout"]
    assert '"skipped_rows": [\n    5\n  ]' in (tmp_path / "run" / "data.json").read_text()
    done = forks.run(
        "evaluate", "run", "--features", "pixels", "--count", "4", "--evaluations", "1", folder=tmp_path
    )
    assert done["code"] == 0, done["stderr"]
    shutil.rmtree(photos / "cat")
    done = forks.run(*command, "--bad-data", "skip", "--resume", folder=tmp_path)
    assert done["code"] == 2 and "is not what run 'run' began with" in done["stderr"]
