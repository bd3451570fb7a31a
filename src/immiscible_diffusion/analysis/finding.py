"""The answer to one question, and its files: a JSON with PNGs beside it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immiscible_diffusion.atomic_files import ASIDE, write_bytes, write_text
from immiscible_diffusion.environment import describe_environment

FORMAT = "immiscible finding 1"


@dataclass(frozen=True)
class Finding:
    """What an analysis found.

    question: its name on the command line, such as "choose-k"; files are named by it.
    title: what was asked of what, in a line. sentence: what was found, with its numbers.
    values: all numbers, as JSON takes them (nothing infinite or NaN). settings: what was analysed and how.
    pictures: PNG bytes by name; the one named "" is the first to look at, and in `question`.png.
    warnings: what a reader must know before using the numbers, a sentence each.
    """

    question: str
    title: str
    sentence: str
    values: dict[str, Any]
    settings: dict[str, Any]
    pictures: dict[str, bytes]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.question, *filter(None, self.pictures)):
            if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
                raise ValueError(
                    f"a finding's names become file names: lower-case words-with-dashes, not {name!r}"
                )


def write_finding(finding: Finding, folder: Path) -> tuple[Path, ...]:
    """Write `question`.json and its pictures into `folder`; returns their paths, the JSON first.

    The JSON comes last onto the disk, so one that is there has its pictures. Raises ValueError (naming the
    question) where a value is NaN, infinite or not of a kind that JSON has; nothing is then written.
    """
    files = {name: f"{finding.question}{'-' if name else ''}{name}.png" for name in finding.pictures}
    record = {
        "format": FORMAT,
        "question": finding.question,
        "title": finding.title,
        "sentence": finding.sentence,
        "warnings": list(finding.warnings),
        "values": finding.values,
        "settings": finding.settings,
        "pictures": files,
        "environment": describe_environment(),
    }
    try:
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (ValueError, TypeError) as error:
        raise ValueError(f"the finding {finding.question!r} cannot be written as JSON: {error}") from error
    for name, file in files.items():
        write_bytes(folder / file, finding.pictures[name])
    write_text(folder / f"{finding.question}.json", text)
    return tuple(folder / file for file in (f"{finding.question}.json", *files.values()))


def read_findings(folder: Path) -> tuple[Finding, ...]:
    """Read back every finding in `folder` and the folders below it, in order of their paths.

    Other files are passed by. Raises FileNotFoundError where the folder, or a picture that a finding names,
    is not there.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {str(folder)!r}; `immiscible analyse` writes one")
    found = []
    for file in sorted(folder.rglob("*.json")):
        if file.name.startswith(ASIDE):
            continue
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("format") == FORMAT:
            found.append(_read(file, record))
    return tuple(found)


def _read(file: Path, record: dict[str, Any]) -> Finding:
    pictures = {}
    for name, picture in record["pictures"].items():
        try:
            pictures[name] = (file.parent / picture).read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(
                f"finding {str(file)!r} names the picture {picture!r}, which is not beside it; "
                "run its analysis again or delete the JSON"
            ) from None
    return Finding(
        question=record["question"],
        title=record["title"],
        sentence=record["sentence"],
        values=record["values"],
        settings=record["settings"],
        pictures=pictures,
        warnings=tuple(record["warnings"]),
    )
