"""A bar while an analysis works; nothing where nobody looks."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], count: int, label: str) -> Iterator[Item]:
    """Iterate with a bar on a terminal's standard error, gone when done."""
    return iter(tqdm(items, label, count, leave=False, file=sys.stderr, disable=None, mininterval=1.0))
