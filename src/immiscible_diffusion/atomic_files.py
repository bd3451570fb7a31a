"""Files that are whole or not there: written aside, flushed to disk, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASIDE = ".writing-"


@contextmanager
def written_aside(final: Path, *, durable: bool = True) -> Iterator[Path]:
    """Lend a path beside `final` for a file or folder to be written at; on leaving, it takes final's place.

    The path ends as `final` does. A kill or crash leaves the old content or the new; an error leaves the old
    and removes what was written. Makes the folder above where there is none. durable: against power cuts
    too, by waiting for the disk; not worth it for pictures by the thousand. Raises OSError.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = final.with_name(ASIDE + final.name)
    _remove(aside)
    try:
        yield aside
        if durable:
            for path in (*aside.rglob("*"), aside):
                flush(path)
        if aside.is_dir() and final.is_dir():  # os.replace takes the place of empty folders only
            remove(final)
        os.replace(aside, final)
        if durable:
            flush(final.parent)
    except BaseException:
        _remove(aside)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_bytes(content)


def remove(folder: Path) -> None:
    """Remove a folder, so that a kill leaves none that is half there."""
    aside = folder.with_name(f"{ASIDE}removed-{folder.name}")
    os.replace(folder, aside)
    _remove(aside)


def remove_remnants(folder: Path) -> None:
    """Remove what a killed process had not finished writing in a folder."""
    for remnant in folder.glob(f"{ASIDE}*"):
        _remove(remnant)


def flush(path: Path) -> None:
    """Wait until a file's or folder's content is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
