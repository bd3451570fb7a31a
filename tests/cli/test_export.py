"""`immiscible export` as a person uses it: export a run, and load it where this project is not needed."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.forking import Command

from immiscible_diffusion.cli import main
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.runs.images import advance, open_run


def python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_export_writes_a_folder_whose_card_loads_it(immiscible: Command, tmp_path: Path) -> None:
    experiment = dataclasses.replace(
        named_experiment("digits-ddim"), network="unet-tiny", steps=2, batch_size=8
    )
    for _ in advance(open_run(experiment, tmp_path / "run", log_with="none"), sheet_every=0):
        pass
    said = immiscible("export", "run", folder=tmp_path).stdout
    assert "Wrote a DDIMPipeline of step 2 to run/pipeline-step2" in said
    card = (tmp_path / "run" / "pipeline-step2" / "README.md").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    check = "import sys\nassert not [name for name in sys.modules if name.startswith('immiscible')]\n"
    done = python("-c", code + check, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "sample.png").size == (8, 8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nowhere", "--out", "there"], "no run folder"), ([], "PATH"), (["--help"], "--out")],
)
def test_help_and_wrong_folders_are_explained(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["immiscible", "export", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = "".join(capsys.readouterr())
    assert ended.value.code == (0 if arguments == ["--help"] else 2)
    assert words in said and "Traceback" not in said and not list(tmp_path.iterdir())
