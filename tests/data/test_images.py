"""Loading, ordering and scaling of images."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from immiscible_diffusion.data.images import batch_rows, load_images, mean_image, to_clean, to_pixels


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    data, bundle = load_images("digits"), load_digits()
    assert data.pixels.shape == (1797, 1, 8, 8) and data.shape == (1, 8, 8)
    assert torch.equal(data.labels, torch.from_numpy(bundle.target))
    back = data.pixels[:, 0].double() * 16 / 255
    assert torch.equal(back.round(), torch.from_numpy(bundle.images))
    assert load_images("digits").fingerprint == data.fingerprint != load_images("digits", rows=99).fingerprint


@pytest.mark.parametrize(
    ("folder", "split", "shape", "classes"),
    [
        ("cifar10", "test", (3, 32, 32), 10),
        ("fashion_mnist", "test", (1, 28, 28), 10),
        ("tiny_imagenet", "val", (3, 64, 64), 200),
    ],
)
def test_parquet_folders_load(
    shared_data: Path, folder: str, split: str, shape: tuple[int, ...], classes: int
) -> None:
    data = load_images(str(shared_data / folder), split=split, rows=300)
    assert data.pixels.dtype == torch.uint8 and data.pixels.shape == (300, *shape)
    assert data.labels is not None and len(data.class_names) == classes and data.name == folder
    file = load_images(str(shared_data / folder / f"{split}.parquet"), rows=300)
    assert torch.equal(file.pixels, data.pixels)


def test_captioned_photos_have_no_labels(shared_data: Path) -> None:
    data = load_images(str(shared_data / "flickr8k_64"), split="test", rows=20)
    assert data.labels is None and data.class_names == () and data.pixels.shape == (20, 3, 64, 64)


def _folder_of_images(folder: Path) -> Path:
    for number, (kind, size) in enumerate([("cat", (20, 12)), ("cat", (12, 20)), ("dog", (16, 16))]):
        (folder / kind).mkdir(exist_ok=True, parents=True)
        Image.new("RGB", size, (200, 10 * number, 0)).save(folder / kind / f"{number}.png")
    return folder


def test_image_folder_with_classes(tmp_path: Path) -> None:
    folder = _folder_of_images(tmp_path / "pets")
    with pytest.raises(ValueError, match=r"row 1 .*1.png.* is 12×20 but row 0 is 20×12; give a resolution"):
        load_images(str(folder))
    data = load_images(str(folder), resolution=8)
    assert data.pixels.shape == (3, 3, 8, 8) and data.class_names == ("cat", "dog")
    assert data.labels is not None and data.labels.tolist() == [0, 0, 1]
    assert abs(int(data.pixels[2, 1].float().mean()) - 20) <= 1


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    folder = _folder_of_images(tmp_path / "pets")
    (folder / "dog" / "2.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"row 2 .*2\.png.* cannot be read"):
        load_images(str(folder), resolution=8)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digit", "did you mean 'digits'"),
        ("cifar-10", "did you mean 'cifar10'"),
        ("./nowhere", "path of an existing parquet file or folder"),
        ("nobody/nothing", "could not be loaded from the hub"),
    ],
)
def test_unknown_sources_get_a_remedy(source: str, words: str) -> None:
    with pytest.raises(FileNotFoundError, match=words):
        load_images(source)


def test_wrong_columns_and_splits(shared_data: Path, tmp_path: Path) -> None:
    cifar = str(shared_data / "cifar10")
    with pytest.raises(ValueError, match="unknown column 'image'; did you mean 'img'"):
        load_images(cifar, split="test", image_column="image", rows=3)
    with pytest.raises(
        FileNotFoundError, match=r"no parquet file of split 'validation'; it holds test\.parquet"
    ):
        load_images(cifar, split="validation")
    with pytest.raises(FileNotFoundError, match="neither parquet files nor images"):
        load_images(str(tmp_path))
    with pytest.raises(ValueError, match="rows must be 1 or more, got 0"):
        load_images("digits", rows=0)


@given(st.sampled_from([0.5, 1.0, 2.0, 4.0, 0.3]), st.integers(0, 2**32 - 1))
def test_scaling_inverts(image_std: float, seed: int) -> None:
    pixels = torch.randint(
        256, (5, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    clean = to_clean(pixels, image_std)
    assert torch.equal(to_pixels(clean, image_std), pixels)
    assert float(clean.abs().max()) <= image_std / 0.5 + 1e-6


def test_mean_image_is_the_mean_of_what_is_trained_on() -> None:
    data = load_images("digits")
    torch.testing.assert_close(mean_image(data, 2.0), to_clean(data.pixels, 2.0).mean(dim=0))
    clean = to_clean(data.pixels)
    mirrored = torch.cat([clean, clean.flip(-1)]).mean(dim=0)
    torch.testing.assert_close(mean_image(data, flip=True), mirrored)


@given(st.integers(1, 50), st.integers(1, 70), st.integers(0, 20), st.integers(0, 5))
def test_every_epoch_sees_every_row_once(count: int, batch_size: int, step: int, seed: int) -> None:
    rows = torch.cat([batch_rows(count, batch_size, index, seed) for index in range(step + 1)])
    assert rows.shape == ((step + 1) * batch_size,)
    for epoch in rows.split(count):
        assert len(epoch.unique()) == len(epoch)
        assert int(epoch.min()) >= 0 and int(epoch.max()) < count
    assert torch.equal(batch_rows(count, batch_size, step, seed), rows[-batch_size:])
