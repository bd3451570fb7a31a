"""The probe: it learns, it is reproducible, and it is kept safely."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from immiscible_diffusion.data.images import ImageData, load_images
from immiscible_diffusion.evaluation import feature_network, probe_cache
from immiscible_diffusion.evaluation.probe import Probe, train_probe
from immiscible_diffusion.evaluation.probe_cache import cache_folder, cached_probe, probe_path


def same(left: Probe, right: Probe) -> bool:
    theirs = right.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in left.state_dict().items())


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(images: ImageData, seed: int = 0) -> None:
        raise AssertionError(f"trained again on {images.name}")

    monkeypatch.setattr(probe_cache, "train_probe", refuse)


def bright_and_dark(shape: tuple[int, ...], count: int = 64) -> ImageData:
    """Noise in two classes, bright and dark: anything that works at all tells them apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    pixels = torch.randint(0, 128, (count, *shape), generator=generator) + 128 * labels.view(-1, 1, 1, 1)
    return ImageData("two", pixels.to(torch.uint8), labels, ("dark", "bright"), f"two-{shape}-{count}")


def test_classifies_digits_it_has_not_seen(digits: ImageData, digits_probe: object) -> None:
    assert digits_probe.accuracy > 0.95  # type: ignore[attr-defined]


def test_classifies_fashion_it_has_not_seen(shared: Path) -> None:
    images = load_images(str(shared / "data" / "fashion_mnist"), rows=1000)
    _, record = train_probe(images)
    assert record.accuracy > 0.7  # 0.90 of all 60,000
    assert record.held_out == 100


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 5, 9), (4, 2, 2)])
def test_any_image_shape(shape: tuple[int, ...]) -> None:
    images = bright_and_dark(shape)
    probe, record = train_probe(images)
    features = probe(images.pixels)
    assert features.shape == (64, 64) and features.dtype == torch.float32 and not features.requires_grad
    assert features.isfinite().all()
    assert record.accuracy == 1.0


def test_many_classes() -> None:
    pixels = torch.randint(0, 256, (1200, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images = ImageData("many", pixels.to(torch.uint8), torch.arange(1200), (), "many")
    probe, record = train_probe(images)
    assert record.classes == 1200 and probe.scores(images.pixels[:3]).shape == (3, 1200)


def test_same_seed_same_probe_whatever_the_global_state(few_digits: ImageData, undisturbed: None) -> None:
    state = torch.get_rng_state()
    first, _ = train_probe(few_digits)
    torch.rand(7)
    with torch.no_grad():
        second, _ = train_probe(few_digits)
    torch.set_rng_state(state)
    other, _ = train_probe(few_digits, seed=1)
    assert same(first, second)
    assert not same(first, other)


def test_features_do_not_depend_on_the_batch(digits: ImageData, digits_probe: object) -> None:
    module = digits_probe.module  # type: ignore[attr-defined]
    assert not module.training
    alone = torch.cat([module(image[None]) for image in digits.pixels[:5]])
    torch.testing.assert_close(alone, module(digits.pixels[:5]), rtol=1e-4, atol=1e-5)


def test_kept_and_reused_bit_for_bit(
    few_digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: None
) -> None:
    trained, record = cached_probe(few_digits, tmp_path)
    forbid_training(monkeypatch)
    loaded, kept = cached_probe(few_digits, tmp_path)
    assert same(trained, loaded) and kept == record
    assert torch.equal(trained(few_digits.pixels), loaded(few_digits.pixels))
    assert not loaded.training and not any(weight.requires_grad for weight in loaded.parameters())
    assert [path.name for path in tmp_path.iterdir()] == [probe_path(few_digits, tmp_path).name]


def test_other_data_is_another_probe(few_digits: ImageData, tmp_path: Path) -> None:
    changed = replace(few_digits, fingerprint="changed", pixels=255 - few_digits.pixels)
    first, _ = cached_probe(few_digits, tmp_path)
    second, record = cached_probe(changed, tmp_path)
    assert not same(first, second) and record.fingerprint == "changed"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.fixture(scope="module")
def kept(few_digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Probe, bytes]:
    """A probe and the file that keeps it."""
    folder = tmp_path_factory.mktemp("kept")
    probe, _ = cached_probe(few_digits, folder)
    return probe, probe_path(few_digits, folder).read_bytes()


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_weight(content: bytes) -> bytes:
    middle = len(content) - 1000
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def replace_by_text(content: bytes) -> bytes:
    return b"not weights"


def empty(content: bytes) -> bytes:
    return b""


def spoil_the_record(content: bytes) -> bytes:
    return content.replace(b"checksum", b"checksun")


@pytest.mark.parametrize("damage", [truncate, flip_a_weight, replace_by_text, empty, spoil_the_record])
def test_a_damaged_file_is_trained_again(
    few_digits: ImageData,
    tmp_path: Path,
    damage: object,
    kept: tuple[Probe, bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path, (original, content) = probe_path(few_digits, tmp_path), kept
    path.write_bytes(damage(content))  # type: ignore[operator]
    repaired, _ = cached_probe(few_digits, tmp_path)
    assert same(original, repaired)
    assert f"the probe kept at {path} is damaged" in caplog.text
    forbid_training(monkeypatch)
    assert same(original, cached_probe(few_digits, tmp_path)[0])


def test_a_probe_of_other_data_is_not_taken(few_digits: ImageData, tmp_path: Path) -> None:
    other = replace(few_digits, fingerprint="other", pixels=255 - few_digits.pixels)
    cached_probe(other, tmp_path)
    probe_path(other, tmp_path).rename(probe_path(few_digits, tmp_path))
    _, record = cached_probe(few_digits, tmp_path)
    assert record.fingerprint == few_digits.fingerprint


def test_an_unwritable_folder_costs_only_the_keeping(
    few_digits: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    probe, _ = cached_probe(few_digits, file)
    assert probe(few_digits.pixels[:2]).shape == (2, 64)
    assert "cannot keep the probe" in caplog.text and file.read_text() == "in the way"


def test_accuracy_is_logged(few_digits: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        _, record = cached_probe(few_digits, tmp_path)
    assert f"probe(few-digits): {100 * record.accuracy:.1f} % of 10 held-out images" in caplog.text


def test_default_folder(few_digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    feature_network("probe", few_digits)
    assert probe_path(few_digits, tmp_path / "xdg" / "immiscible-diffusion").is_file()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "immiscible-diffusion"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            None,
            "images: data set 'two' has no labels, and the probe learns from labels; give labels",
        ),
        (torch.zeros(64).long(), r"'two' has one class only \(0\), and the probe needs two"),
        (torch.arange(64) - 1, "'two' has the label -1, and classes count from 0"),
        (torch.arange(8), "'two' has 8 images, and the probe needs at least 32; give more"),
    ],
)
def test_labels_it_cannot_learn_from(labels: Tensor | None, message: str, tmp_path: Path) -> None:
    images = replace(bright_and_dark((1, 8, 8)), labels=labels)
    with pytest.raises(ValueError, match=message):
        feature_network("probe", images, cache=tmp_path)
