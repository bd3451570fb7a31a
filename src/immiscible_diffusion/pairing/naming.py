"""Pairings as short names, for command lines and config files: "nearest:8:uncentred"."""

import math
import re

from torch import Tensor

from immiscible_diffusion.pairing.assigned import Assigned
from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.nearest import Nearest, Rule
from immiscible_diffusion.pairing.protocol import Pairing
from immiscible_diffusion.pairing.semidiscrete import Semidiscrete
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.pairing.within import GROUP, AssignedWithin

NAMES = ("independent", "nearest", "assigned", "semidiscrete")
WITHIN = "assigned:within"
OPTIONS = ("l2", "dot", "centred", "uncentred", "batch", "coarse2", "coarse4")


def pairing_from_name(
    name: str, centre: Tensor | None = None, semidiscrete: Semidiscrete | None = None
) -> Pairing:
    """Build the pairing that a short name stands for.

    name: "independent", "assigned", "assigned:within[:GROUP]" (rows of one class, or GROUP, by default 32, of
        like embeddings), "semidiscrete" or
        "nearest[:K][:l2|:dot][:centred|:uncentred|:batch][:coarseF]"; by default k = 8, rule "l2", centred,
        and no view; coarse2 chooses on the image pooled to blocks of 2×2.
    centre: the data set's mean image, which a centred "nearest" chooses against.
    semidiscrete: what was fitted to the data set, which "semidiscrete" is.
    Raises ValueError for an unknown name or option (with the nearest valid one), for a centred name without a
    centre, and for "semidiscrete" without its fit.
    """
    group = _within(name)
    if group is not None:
        return AssignedWithin(group=group)
    kind, k, rule, centring, view = _parsed(name)
    if kind == "semidiscrete":
        if semidiscrete is None:
            raise ValueError(
                "pairing 'semidiscrete' has to be fitted to the data set first and no fit was given; "
                "pass fit_semidiscrete(images, generator=generator), or run `immiscible fit`"
            )
        return semidiscrete
    if kind != "nearest":
        return Independent() if kind == "independent" else Assigned()
    if centring == "centred" and centre is None:
        raise ValueError(
            f"pairing {name!r} is centred but no centre was given; pass the data set's mean image, "
            f"or write {_written(k, rule, 'uncentred', view)!r} for the paper's rule"
        )
    chosen = {"centred": centre, "uncentred": None, "batch": "batch"}[centring]
    return Nearest(k=k, rule=rule, centre=chosen, view=view)  # type: ignore[arg-type]


def canonical_name(name: str) -> str:
    """Write a short name in its one canonical form, leaving out what is the default: "nearest:8".

    Raises ValueError as `pairing_from_name` does, but needs neither centre nor fit.
    """
    group = _within(name)
    if group is not None:
        return WITHIN if group == GROUP else f"{WITHIN}:{group}"
    kind, k, rule, centring, view = _parsed(name)
    return _written(k, rule, centring, view) if kind == "nearest" else kind


def _within(name: str) -> int | None:
    """The group size of "assigned:within[:GROUP]"; None for every other name."""
    kind, *options = name.strip().lower().split(":")
    if kind != "assigned" or not options:
        return None
    if options[0] != "within":
        raise ValueError(unknown(f"option in pairing {name!r}:", options[0], ["within"]))
    if len(options) > 2 or (len(options) == 2 and not options[1].isdecimal()):
        raise ValueError(f"pairing {WITHIN!r} takes a whole number of rows or nothing, got {name!r}")
    return AssignedWithin(group=int(options[1])).group if len(options) == 2 else GROUP


def _parsed(name: str) -> tuple[str, float, Rule, str, int | None]:
    """Split a name into kind, k, rule, centring and view, refusing what no pairing can be built from."""
    kind, *options = name.strip().lower().split(":")
    if kind not in NAMES:
        raise ValueError(unknown("pairing", kind, NAMES))
    if kind != "nearest" and options:
        raise ValueError(f"pairing {kind!r} takes no options, got {name!r}; write {kind!r}")
    k, rule, centring, view = 8.0, "l2", "centred", None
    seen = set[str]()
    for option in options:
        number = _number(option)
        coarse = re.fullmatch(r"coarse(\d{1,6})", option)
        if number is None and coarse is None and option not in OPTIONS:
            raise ValueError(unknown(f"option in pairing {name!r}:", option, OPTIONS))
        aspect = "k" if number is not None else "rule" if option in ("l2", "dot") else "centring"
        aspect = "view" if coarse else aspect
        if aspect in seen:
            raise ValueError(f"pairing {name!r} gives its {aspect} twice; keep one")
        seen.add(aspect)
        if number is not None:
            k = number
        elif coarse is not None:
            view = int(coarse[1])
        elif aspect == "rule":
            rule = option
        else:
            centring = option
    whole = int(k) if math.isfinite(k) and k == int(k) else k
    checked = Nearest(k=whole, rule=rule, view=view)  # type: ignore[arg-type]
    return kind, checked.k, checked.rule, centring, None if view == 1 else view


def _written(k: float, rule: Rule, centring: str, view: int | None) -> str:
    shown = [part for part in (rule, centring) if part not in ("l2", "centred")]
    return ":".join(["nearest", str(k), *shown, *([] if view is None else [f"coarse{view}"])])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
