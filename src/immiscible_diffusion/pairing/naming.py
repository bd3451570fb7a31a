"""Pairings as short names, for command lines and config files: "nearest:8:uncentred"."""

import difflib
import math

from torch import Tensor

from immiscible_diffusion.pairing.assigned import Assigned
from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.nearest import Nearest
from immiscible_diffusion.pairing.protocol import Pairing

NAMES = ("independent", "nearest", "assigned")
OPTIONS = ("l2", "dot", "centred", "uncentred", "batch")


def pairing_from_name(name: str, centre: Tensor | None = None) -> Pairing:
    """Build the pairing that a short name stands for.

    name: "independent", "assigned" or "nearest[:K][:l2|:dot][:centred|:uncentred|:batch]"; by default
        k = 8, rule "l2", centred.
    centre: the data set's mean image, which a centred "nearest" chooses against.
    Raises ValueError for an unknown name or option (with the nearest valid one), and for a centred name
    without a centre.
    """
    kind, *options = name.strip().lower().split(":")
    if kind not in NAMES:
        raise ValueError(f"unknown pairing {name!r}; {_suggestion(kind, NAMES)}")
    if kind != "nearest":
        if options:
            raise ValueError(f"pairing {kind!r} takes no options, got {name!r}; write {kind!r}")
        return Independent() if kind == "independent" else Assigned()
    k, rule, centring = 8.0, "l2", "centred"
    seen = set[str]()
    for option in options:
        number = _number(option)
        if number is None and option not in OPTIONS:
            raise ValueError(f"unknown option {option!r} in pairing {name!r}; {_suggestion(option, OPTIONS)}")
        aspect = "k" if number is not None else "rule" if option in ("l2", "dot") else "centring"
        if aspect in seen:
            raise ValueError(f"pairing {name!r} gives its {aspect} twice; keep one")
        seen.add(aspect)
        if number is not None:
            k = number
        elif aspect == "rule":
            rule = option
        else:
            centring = option
    if centring == "centred" and centre is None:
        raise ValueError(
            f"pairing {name!r} is centred but no centre was given; pass the data set's mean image, "
            f"or write {canonical_name(name + ':uncentred')!r} for the paper's rule"
        )
    chosen = {"centred": centre, "uncentred": None, "batch": "batch"}[centring]
    whole = int(k) if math.isfinite(k) and k == int(k) else k
    return Nearest(k=whole, rule=rule, centre=chosen)  # type: ignore[arg-type]


def canonical_name(name: str) -> str:
    """Write a short name in its one canonical form, leaving out what is the default: "nearest:8".

    Raises ValueError as `pairing_from_name` does.
    """
    kind, *options = name.strip().lower().split(":")
    if kind == "nearest":
        options = [option for option in options if option not in ("l2", "centred")]
        k = next((option for option in options if _number(option) is not None), "8")
        rest = sorted((option for option in options if _number(option) is None), key=OPTIONS.index)
        name = ":".join([kind, f"{float(k):.12g}", *rest])
    return name.strip().lower()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _suggestion(given: str, valid: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(given, valid, n=1, cutoff=0.3)
    return (f"did you mean {close[0]!r}? " if close else "") + f"valid: {', '.join(valid)}"
