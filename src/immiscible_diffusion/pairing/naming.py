"""Pairings as short names, for command lines and config files: "nearest:8:uncentred"."""

import math

from torch import Tensor

from immiscible_diffusion.pairing.assigned import Assigned
from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.nearest import Nearest, Rule
from immiscible_diffusion.pairing.protocol import Pairing
from immiscible_diffusion.pairing.suggestions import unknown

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
    kind, k, rule, centring = _parsed(name)
    if kind != "nearest":
        return Independent() if kind == "independent" else Assigned()
    if centring == "centred" and centre is None:
        raise ValueError(
            f"pairing {name!r} is centred but no centre was given; pass the data set's mean image, "
            f"or write {_written(k, rule, 'uncentred')!r} for the paper's rule"
        )
    chosen = {"centred": centre, "uncentred": None, "batch": "batch"}[centring]
    return Nearest(k=k, rule=rule, centre=chosen)  # type: ignore[arg-type]


def canonical_name(name: str) -> str:
    """Write a short name in its one canonical form, leaving out what is the default: "nearest:8".

    Raises ValueError as `pairing_from_name` does, but needs no centre.
    """
    kind, k, rule, centring = _parsed(name)
    return _written(k, rule, centring) if kind == "nearest" else kind


def _parsed(name: str) -> tuple[str, float, Rule, str]:
    """Split a name into kind, k, rule and centring, refusing what no pairing can be built from."""
    kind, *options = name.strip().lower().split(":")
    if kind not in NAMES:
        raise ValueError(unknown("pairing", kind, NAMES))
    if kind != "nearest" and options:
        raise ValueError(f"pairing {kind!r} takes no options, got {name!r}; write {kind!r}")
    k, rule, centring = 8.0, "l2", "centred"
    seen = set[str]()
    for option in options:
        number = _number(option)
        if number is None and option not in OPTIONS:
            raise ValueError(unknown(f"option in pairing {name!r}:", option, OPTIONS))
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
    whole = int(k) if math.isfinite(k) and k == int(k) else k
    checked = Nearest(k=whole, rule=rule)  # type: ignore[arg-type]
    return kind, checked.k, checked.rule, centring


def _written(k: float, rule: Rule, centring: str) -> str:
    shown = [part for part in (rule, centring) if part not in ("l2", "centred")]
    return ":".join(["nearest", str(k), *shown])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
