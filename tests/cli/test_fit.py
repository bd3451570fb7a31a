"""`immiscible fit` as a person uses it."""

from pathlib import Path

from tests.forking import Command

FEW = ("digits-flow", "--rows", "60")


def test_fit_then_train_with_it(immiscible: Command, tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        variables = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        output: str = immiscible(*arguments, folder=tmp_path, variables=variables).stdout
        return output

    numbers = ("--noises", "80", "--per-image", "6")
    fitting = said("fit", *FEW, *numbers)
    assert "fitting to 60 images on" in fitting and "Masses off by" in fitting
    assert len(list((tmp_path / "cache" / "immiscible-diffusion").glob("duals-*.safetensors"))) == 1
    assert "Fitted before." in said("fit", *FEW, *numbers)
    training = ("--pairing", "semidiscrete", "--steps", "2", "--batch-size", "16", "--sheet-every", "0")
    assert "Semidiscrete(60 images, 6 noises each)" in said("train", *FEW, *training)
