"""`immiscible fit` as a person uses it."""

import os
import subprocess
import sys
from pathlib import Path

FEW = ("digits-flow", "--rows", "60")


def test_fit_then_train_with_it(tmp_path: Path) -> None:
    def immiscible(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "immiscible_diffusion.cli", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    numbers = ("--noises", "80", "--per-image", "6")
    said = immiscible("fit", *FEW, *numbers)
    assert "fitting to 60 images on" in said and "Masses off by" in said
    assert len(list((tmp_path / "cache" / "immiscible-diffusion").glob("duals-*.safetensors"))) == 1
    assert "Fitted before." in immiscible("fit", *FEW, *numbers)
    training = ("--pairing", "semidiscrete", "--steps", "2", "--batch-size", "16", "--sheet-every", "0")
    assert "Semidiscrete(60 images, 6 noises each)" in immiscible("train", *FEW, *training)
