"""metrics.jsonl: torn lines do no harm, and only finite numbers go to a tracker."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from immiscible_diffusion.runs.metrics import append_record, forget_after, read_records
from immiscible_diffusion.runs.records import record_values


def test_a_torn_line_is_left_out_and_dropped_on_resume(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        append_record(file, {"step": step, "loss": 0.5})
    with file.open("ab") as opened:
        opened.write(b'{"step": 3, "lo\xc3')
    assert [record["step"] for record in read_records(file)] == [1, 2]
    forget_after(file, 1)
    assert file.read_text() == '{"step": 1, "loss": 0.5}\n'
    assert read_records(tmp_path / "absent.jsonl") == []


def test_a_tracker_is_given_finite_numbers_only(tmp_path: Path) -> None:
    logged: list[Any] = []
    accelerator = SimpleNamespace(log_with=["x"], log=lambda values, step: logged.append((step, values)))
    file = tmp_path / "metrics.jsonl"
    record_values(file, 4, {"loss": None, "rate": 0.1}, accelerator, rows=[7])  # type: ignore[arg-type]
    assert logged == [(4, {"rate": 0.1})]
    assert read_records(file) == [{"step": 4, "loss": None, "rate": 0.1, "rows": [7]}]
