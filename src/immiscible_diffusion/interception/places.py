"""Where in a script a call was made, and whose code that is."""

import re
import site
import sysconfig
from functools import cache
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import torch

PACKAGE = str(Path(__file__).resolve().parents[1])
TORCH = str(Path(torch.__file__).parent)
# A helper that draws for its caller; the place is the caller's line.
HELPERS = ("diffusers/utils/torch_utils.py",)


class Place(NamedTuple):
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def is_named(self, name: "Place") -> bool:
        """Whether `name` means this line; its file may be the end of a path."""
        own, given = Path(self.file).parts, Path(name.file).parts
        return self.line == name.line and own[-len(given) :] == given


class Call(NamedTuple):
    """A call of torch: its place, where in that line's bytecode, and whether a pairing of ours made it."""

    place: Place
    instruction: int
    ours: bool


def named_place(name: str) -> Place:
    """Read FILE:LINE. Raises ValueError for anything else."""
    found = re.fullmatch(r"(.+):(\d+)", name)
    if not found:
        raise ValueError(f"at must be FILE:LINE, got {name!r}; e.g. at='train.py:120'")
    return Place(found[1].removeprefix("./"), int(found[2]))


def calling_place(frame: FrameType | None) -> Call:
    """Find the line that asked for what is being called, looking outward from `frame`."""
    ours = False
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE):
            ours = True
        elif not file.startswith(TORCH) and not file.endswith(HELPERS):
            return Call(Place(file, frame.f_lineno), frame.f_lasti, ours)
        frame = frame.f_back
    return Call(Place("<unknown>", 0), 0, ours)


@cache
def installed(file: str) -> bool:
    """Whether a file is a library's and not the user's own."""
    return file.startswith("<") or any(file.startswith(folder) for folder in _library_folders())


@cache
def _library_folders() -> tuple[str, ...]:
    named = {sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    named |= set(site.getsitepackages())
    named.add(site.getusersitepackages())
    both = {*named, *(str(Path(folder).resolve()) for folder in named)}
    return tuple(folder.rstrip("/") + "/" for folder in both)
