"""A run's metrics.jsonl: one JSON object a line, read so that a line torn by a crash does no harm."""

import json
from pathlib import Path
from typing import Any

from immiscible_diffusion.atomic_files import flush, write_text

Record = dict[str, Any]


def append_record(file: Path, record: Record) -> None:
    """Add one record. Raises OSError."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_records(file: Path) -> list[Record]:
    """Read every whole record; lines that are none, as a crash may leave the last, are left out."""
    records = []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "step" in record:
            records.append(record)
    return records


def forget_after(file: Path, step: int) -> None:
    """Drop records of steps that a resumed run will do again, and torn lines."""
    if file.exists():
        kept = [record for record in read_records(file) if record["step"] <= step]
        write_text(file, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept))


def on_disk(file: Path) -> None:
    """Wait until the records are on disk, so that no checkpoint is ahead of them after a power cut."""
    if file.exists():
        flush(file)
