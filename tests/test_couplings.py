"""Couplings on disk: fitted once, taken up where they stopped, never mistaken for another data set's."""

import re
from pathlib import Path

import pytest
import torch

from immiscible_diffusion import couplings
from immiscible_diffusion.couplings import (
    Coupling,
    check_same_coupling,
    coupling_path,
    fitting,
    keep_coupling,
    kept_coupling,
    semidiscrete_of,
)
from immiscible_diffusion.data.images import ImageData, load_images, to_clean
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.pairing import Semidiscrete
from immiscible_diffusion.runs.images import advance, open_run


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageData:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return load_images("digits", rows=80)


def experiment(**settings: object) -> Experiment:
    from dataclasses import replace

    few = {"pairing": "semidiscrete", "rows": 80, "steps": 4, "batch_size": 16, **settings}
    return replace(named_experiment("digits-flow"), **few)  # type: ignore[arg-type]


def fitted(data: ImageData, flip: bool = False) -> Coupling:
    *_, last = fitting(data, flip, noises=60, per_image=80)
    return last


def same(one: Coupling, other: Coupling) -> bool:
    return torch.equal(one.duals.values, other.duals.values) and torch.equal(
        one.pool.numbers, other.pool.numbers
    )


def test_a_fit_taken_up_again_is_the_one_that_never_stopped(data: ImageData) -> None:
    whole = fitted(data)
    for stop in (3, 7):  # in the duals and in the pool
        coupling_path(data, False).unlink(missing_ok=True)
        steps = fitting(data, False, noises=60, per_image=80)
        for _ in range(stop):
            part = next(steps)
        assert not part.finished and part.pool.drawn == (4096 if stop == 7 else 0)
        keep_coupling(part, data, False)
        assert next(fitting(data, False, noises=60, per_image=80)).duals.step == part.duals.step
        assert same(fitted(data), whole)
    keep_coupling(whole, data, False)
    (loaded,) = fitting(data, False, noises=60, per_image=80)
    assert same(loaded, whole) and loaded.finished and 0 <= loaded.relative_error < 0.5
    assert next(fitting(data, False, noises=90, per_image=80)).duals.step == 0


def test_every_data_set_has_its_own_file(data: ImageData) -> None:
    other = load_images("digits", rows=79)
    assert len({coupling_path(data, False), coupling_path(data, True), coupling_path(other, False)}) == 3
    keep_coupling(fitted(data), data, False)
    coupling_path(data, False).rename(coupling_path(other, False))
    assert kept_coupling(data, False) is None and kept_coupling(other, False) is None


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-4] + b"\x01\x02\x03\x04"])
def test_a_damaged_file_is_fitted_again(data: ImageData, damage, caplog: pytest.LogCaptureFixture) -> None:
    keep_coupling(fitted(data), data, False)
    path = coupling_path(data, False)
    path.write_bytes(damage(path.read_bytes()))
    pairing = semidiscrete_of(experiment(), data)
    assert "is damaged" in caplog.text and pairing.numbers.shape == (80, 128)
    assert kept_coupling(data, False) is not None


def test_mirrored_training_finds_its_mirror_images(data: ImageData) -> None:
    keep_coupling(fitted(data, True), data, True)
    pairing = semidiscrete_of(experiment(flip=True, image_std=2.0), data)
    mirrored = to_clean(data.pixels.flip(-1), 2.0)
    noise = pairing(mirrored, generator=torch.Generator().manual_seed(1))
    assert noise.shape == mirrored.shape
    keep_coupling(fitted(data), data, False)
    unflipped = semidiscrete_of(experiment(), data)
    with pytest.raises(ValueError, match="an image that the duals were not fitted to"):
        unflipped(mirrored / 4)


def test_a_long_fit_is_not_begun_unasked(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couplings, "AT_ONCE", 1e6)
    with pytest.raises(ValueError, match=re.escape("run `immiscible fit digits-flow` with the same data")):
        semidiscrete_of(experiment(), data)


def test_a_run_goes_on_bit_for_bit_and_only_with_its_own_coupling(data: ImageData, tmp_path: Path) -> None:
    keep_coupling(fitted(data), data, False)

    def weights(folder: Path, *totals: int) -> list[torch.Tensor]:
        for steps in totals:
            run = open_run(experiment(steps=steps), folder, resume=True)
            assert isinstance(run.pairing, Semidiscrete)
            for _ in advance(run, sheet_every=0):
                pass
        return list(run.network.parameters())

    for one, other in zip(weights(tmp_path / "once", 4), weights(tmp_path / "twice", 2, 4), strict=True):
        assert torch.equal(one, other)
    *_, refitted = fitting(data, False, noises=90, per_image=9)
    keep_coupling(refitted, data, False)
    with pytest.raises(ValueError, match="began with another semidiscrete coupling"):
        open_run(experiment(steps=6), tmp_path / "once", resume=True)
    check_same_coupling(tmp_path / "once", Semidiscrete(refitted.duals.images, fitted_numbers(data)), False)


def fitted_numbers(data: ImageData) -> torch.Tensor:
    coupling_path(data, False).unlink()
    return fitted(data).pool.numbers
