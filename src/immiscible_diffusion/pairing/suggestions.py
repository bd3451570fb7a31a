"""One wording for "no such name": what was given, what is nearest, what there is."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, given: str, valid: Iterable[str]) -> str:
    """Say that `given` is no known `kind`, with the nearest valid name and all of them."""
    names = sorted(valid)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    nearest = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {kind} {given!r}; {nearest}valid: {', '.join(names)}"
