"""A paired run whose objective is in its way is told what does better; no other run is."""

import sys
from pathlib import Path

import pytest

from immiscible_diffusion.cli import main
from immiscible_diffusion.objectives import EDM, Consistency, Diffusion, FlowMatching
from immiscible_diffusion.training_advice import training_advice


def test_noise_is_to_be_paired_where_it_is_high() -> None:
    for objective in (Diffusion(), Diffusion(prediction="v"), FlowMatching(), EDM(log_mean=0.0)):
        for pairing in ("assigned", "assigned:within", "nearest:8:coarse2"):
            assert f"--pairing {pairing}:above, which" in str(training_advice(objective, pairing))
            assert f"{pairing}:above, which" not in str(training_advice(objective, f"{pairing}:above"))
            assert ":above" not in str(training_advice(objective, f"{pairing}:until50"))
            assert training_advice(objective, pairing, pretrained=True) is None
        assert training_advice(objective, "independent") is None
    for pairing in ("nearest:8", "nearest:4:uncentred", "nearest:64", "nearest:8:dot"):
        assert "--pairing nearest:64:dot:above, which" in str(training_advice(FlowMatching(), pairing))
    assert "consistency models were no better" in str(training_advice(Consistency(), "nearest:4"))
    assert training_advice(Consistency(), "independent") is None


def test_predicting_noise_is_advised_against_beside_pairing_everywhere() -> None:
    assert "better still with --prediction v" in str(training_advice(Diffusion(), "assigned"))
    for objective in (Diffusion(prediction="v"), FlowMatching(), EDM()):
        assert "--prediction" not in str(training_advice(objective, "assigned"))


def test_only_paired_noise_that_is_predicted_is_advised_against() -> None:
    for pairing in ("nearest:8:above1", "assigned:until50", "semidiscrete"):
        assert "--prediction v" in str(training_advice(Diffusion(), pairing))
        assert training_advice(Diffusion(prediction="v"), pairing) is None
        assert training_advice(FlowMatching(), pairing) is None
    assert training_advice(Diffusion(), "independent") is None


def test_what_leans_far_everywhere_is_not_to_be_trained_where_noise_is_low() -> None:
    assert "semidiscrete did better with --log-mean 0" in str(training_advice(EDM(), "semidiscrete"))
    assert training_advice(EDM(log_mean=0.0), "semidiscrete") is None
    assert training_advice(EDM(), "assigned:above") is None and training_advice(EDM(), "independent") is None


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
