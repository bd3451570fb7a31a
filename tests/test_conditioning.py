"""A run is told where its noise gives the class away."""

import dataclasses
import sys
from pathlib import Path

import pytest

from immiscible_diffusion.cli import main
from immiscible_diffusion.conditioning import run_skew
from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.pairing import pairing_from_name


def test_only_conditional_runs_whose_noise_can_tell_are_measured() -> None:
    experiment = dataclasses.replace(named_experiment("digits-flow"), class_conditional=True)
    data = load_images("digits")
    assigned = run_skew(experiment, data, pairing_from_name("assigned"), rows=1024)
    assert assigned is not None and assigned.stands_out and assigned.accuracy > 0.3
    for name in ("independent", "assigned:within"):
        assert run_skew(experiment, data, pairing_from_name(name)) is None
    plain = dataclasses.replace(experiment, class_conditional=False)
    assert run_skew(plain, data, pairing_from_name("assigned")) is None
    with pytest.raises(ValueError, match="--class-conditional True, or use 'assigned'"):
        dataclasses.replace(plain, pairing="assigned:within")


@pytest.mark.parametrize(("pairing", "warned"), [("assigned", True), ("assigned:within", False)])
def test_train_warns(
    pairing: str,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = "immiscible train digits-flow --class-conditional True --steps 1 --sheet-every 0 --pairing"
    monkeypatch.setattr(sys, "argv", [*command.split(), pairing, "--out", str(tmp_path / "run")])
    main()
    assert ("the noise alone tells the class" in capsys.readouterr().out) is warned
