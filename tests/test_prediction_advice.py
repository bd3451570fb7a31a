"""A paired run that predicts the noise is told what does better; no other run is."""

import sys
from pathlib import Path

import pytest

from immiscible_diffusion.cli import main
from immiscible_diffusion.objectives import EDM, Diffusion, FlowMatching
from immiscible_diffusion.prediction_advice import prediction_advice


def test_only_paired_noise_that_is_predicted_is_advised_against() -> None:
    assert "--prediction v" in str(prediction_advice(Diffusion(), "nearest:8"))
    assert prediction_advice(Diffusion(), "independent") is None
    assert prediction_advice(Diffusion(), "nearest:8", pretrained=True) is None
    for objective in (Diffusion(prediction="v"), FlowMatching(), EDM()):
        assert prediction_advice(objective, "nearest:8") is None


@pytest.mark.parametrize(("prediction", "advised"), [("epsilon", True), ("v", False)])
def test_train_says_it_once(
    prediction: str,
    advised: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = (
        f"immiscible train digits-ddim --sheet-every 0 --prediction {prediction} --out {tmp_path / 'run'}"
    )
    monkeypatch.setattr(sys, "argv", [*command.split(), "--steps", "1"])
    main()
    assert ("far better with --prediction v" in capsys.readouterr().out) is advised
    monkeypatch.setattr(sys, "argv", [*command.split(), "--steps", "2", "--resume"])
    main()
    assert "far better with --prediction v" not in capsys.readouterr().out
