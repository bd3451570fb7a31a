"""A paired run whose objective is in its way is told what does better; no other run is."""

import sys
from pathlib import Path

import pytest

from immiscible_diffusion.cli import main
from immiscible_diffusion.objectives import EDM, Diffusion, FlowMatching
from immiscible_diffusion.training_advice import training_advice


def test_only_paired_noise_that_is_predicted_is_advised_against() -> None:
    assert "--prediction v" in str(training_advice(Diffusion(), "nearest:8"))
    assert training_advice(Diffusion(), "independent") is None
    assert training_advice(Diffusion(), "nearest:8", pretrained=True) is None
    for objective in (Diffusion(prediction="v"), FlowMatching(), EDM()):
        assert training_advice(objective, "nearest:8") is None


def test_noise_that_leans_far_is_not_to_be_trained_where_noise_is_low() -> None:
    for pairing in ("assigned", "assigned:within", "semidiscrete"):
        assert f"{pairing} did better with --log-mean 0" in str(training_advice(EDM(), pairing))
    assert training_advice(EDM(), "nearest:8") is None and training_advice(EDM(), "independent") is None
    assert training_advice(EDM(log_mean=0.0), "assigned") is None
    assert training_advice(FlowMatching(), "assigned") is None


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
