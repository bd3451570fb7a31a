"""A finding and its files say the same."""

import dataclasses
import json
from pathlib import Path

import pytest

from immiscible_diffusion.analysis import Finding, read_findings, write_finding

FOUND = Finding(
    question="choose-k",
    title="Which k?",
    sentence="Take 8, ± 1.",
    values={"k": 8, "curve": [[1, 0.5], [2, 0.25]]},
    settings={"data": "digits", "seed": 0},
    pictures={"": b"\x89PNG one", "curve": b"\x89PNG two"},
    warnings=("few images",),
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    paths = write_finding(FOUND, tmp_path / "deep" / "a")
    assert [path.name for path in paths] == ["choose-k.json", "choose-k.png", "choose-k-curve.png"]
    other = dataclasses.replace(FOUND, question="time", pictures={}, warnings=())
    write_finding(other, tmp_path / "deep" / "b")
    assert read_findings(tmp_path) == (FOUND, other)
    record = json.loads(paths[0].read_text())
    assert "hardware" in record["environment"] and record["sentence"] == "Take 8, ± 1."
    assert not list(tmp_path.rglob(".writing-*"))


def test_other_files_are_passed_by_and_missing_ones_named(tmp_path: Path) -> None:
    for name, text in {
        "a.json": "{",
        "b.json": "[1]",
        "c.json": '{"question": "time"}',
        "d.txt": "x",
    }.items():
        (tmp_path / name).write_text(text)
    assert read_findings(tmp_path) == ()
    write_finding(FOUND, tmp_path)
    (tmp_path / "choose-k-curve.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"names the picture 'choose-k-curve.png', which is not beside"
    ):
        read_findings(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_findings(tmp_path / "none")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_has_not_is_refused_before_anything_is_written(value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the finding 'choose-k' cannot be written as JSON"):
        write_finding(dataclasses.replace(FOUND, values={"x": value}), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_names_are_file_names() -> None:
    with pytest.raises(ValueError, match="lower-case words-with-dashes, not"):
        dataclasses.replace(FOUND, pictures={"../x": b""})
