"""Pairings as short names, for command lines and config files: "nearest:8:uncentred"."""

import math
import re
from decimal import Decimal
from typing import NamedTuple

from torch import Tensor

from immiscible_diffusion.pairing.above import Above
from immiscible_diffusion.pairing.assigned import Assigned
from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.nearest import Nearest, Rule
from immiscible_diffusion.pairing.protocol import Pairing
from immiscible_diffusion.pairing.rescaled import Rescaled
from immiscible_diffusion.pairing.semidiscrete import Semidiscrete
from immiscible_diffusion.pairing.staged import Staged
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.pairing.within import GROUP, AssignedWithin

NAMES = ("independent", "nearest", "assigned", "semidiscrete")
WITHIN = "assigned:within"
OPTIONS = ("l2", "dot", "centred", "uncentred", "batch", "coarse2", "coarse4", "whitened", "rescaled")
SUFFIXES = ("above", "from50", "until50")
MEASURED = "measured"  # the level of "assigned:above", which is the data's


class _Named(NamedTuple):
    """What a name says, but for the stage of training and the level of noise."""

    kind: str
    k: float = 8
    rule: Rule = "l2"
    centring: str = "centred"
    view: int | None = None
    whitened: bool = False
    rescaled: bool = False


def pairing_from_name(
    name: str,
    centre: Tensor | None = None,
    semidiscrete: Semidiscrete | None = None,
    whitening: Tensor | None = None,
    moments: tuple[Tensor, float] | None = None,
    level: float | None = None,
) -> Pairing:
    """Build the pairing that a short name stands for.

    name: "independent", "assigned", "assigned:within[:GROUP]" (rows of one class, or GROUP, by default 32, of
        like embeddings), "semidiscrete" or
        `nearest[:K][:l2|:dot][:centred|:uncentred|:batch][:coarseF][:whitened][:rescaled]`; by default
        k = 8, rule "l2", centred, and no view; coarse2 chooses on the image pooled to blocks of 2×2.
        "nearest" and "assigned" may end in ":above" or ":aboveS", paired where the noise level σ is `level`
        and more, or S and more (`Above`), and then in ":untilP" or ":fromP", paired in the first P percent of
        training, or after them.
    centre: the data set's mean image, which a centred "nearest" chooses against.
    semidiscrete: what was fitted to the data set, which "semidiscrete" is.
    whitening: `whitening(images)` of the data set, which a whitened "nearest" chooses by.
    moments: mean and std of the noise of `unscaled_name(name)` over the data set, which a rescaled "nearest"
        is brought back from.
    level: `told_apart(images)` of the data set, which ":above" begins at.
    Raises ValueError for an unknown name or option (with the nearest valid one), for a centred name without a
    centre, a whitened one without a whitening, a rescaled one without moments, ":above" without a level, and
    for "semidiscrete" without its fit.
    """
    name, stage = _stage(name)
    if stage is not None:
        return Staged(pairing_from_name(name, centre, semidiscrete, whitening, moments, level), *stage)
    plain, begins = without_level(name)
    if begins is not None:
        if isinstance(begins, str):
            if level is None:
                raise ValueError(
                    f"pairing {name!r} begins at a noise level that is measured on the data set and none was "
                    f"given; pass told_apart(images), or write {plain + ':above1'!r}"
                )
            begins = level
        return Above(pairing_from_name(plain, centre, semidiscrete, whitening, moments), begins)
    group = _within(name)
    if group is not None:
        return AssignedWithin(group=group)
    named = _parsed(name)
    kind, k, rule, centring, view, whitened, rescaled = named
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
            f"or write {_written(named._replace(centring='uncentred'))!r} for the paper's rule"
        )
    if whitened and whitening is None:
        raise ValueError(
            f"pairing {name!r} chooses in the data set's principal axes and none were given; pass "
            "whitening(images)"
        )
    chosen = {"centred": centre, "uncentred": None, "batch": "batch"}[centring]
    axes = whitening if whitened else None
    nearest = Nearest(k=k, rule=rule, centre=chosen, view=view, whitening=axes)  # type: ignore[arg-type]
    if not rescaled:
        return nearest
    if moments is None:
        raise ValueError(
            f"pairing {name!r} is rescaled and the mean and std of its noise were not given; measure them on "
            f"{unscaled_name(name)!r} over the data set"
        )
    return Rescaled(nearest, *moments)


def canonical_name(name: str) -> str:
    """Write a short name in its one canonical form, leaving out what is the default: "nearest:8".

    Raises ValueError as `pairing_from_name` does, but needs neither centre nor fit.
    """
    name, stage = _stage(name)
    if stage is not None:
        begin, end = stage
        when = f"until{round(100 * end)}" if end < 1 else f"from{round(100 * begin)}"
        return f"{canonical_name(name)}:{when}"
    name, level = without_level(name)
    if level is not None:
        written = "" if isinstance(level, str) else f"{Decimal(repr(level)).normalize():f}"
        return f"{canonical_name(name)}:above{written}"
    group = _within(name)
    if group is not None:
        return WITHIN if group == GROUP else f"{WITHIN}:{group}"
    named = _parsed(name)
    return _written(named) if named.kind == "nearest" else named.kind


def is_rescaled(name: str) -> bool:
    """Whether the noise of this name's pairing is brought back to the mean and std of N(0, I)."""
    return "rescaled" in canonical_name(name).split(":")


def unscaled_name(name: str) -> str:
    """The same pairing throughout training and at every noise level, before it is rescaled."""
    base = canonical_name(without_level(_stage(name)[0])[0])
    return ":".join(part for part in base.split(":") if part != "rescaled")


def is_whitened(name: str) -> bool:
    """Whether the pairing of this name chooses in the data set's principal axes."""
    return "whitened" in canonical_name(name).split(":")


def is_fitted(name: str) -> bool:
    """Whether the pairing of this name needs more of the data set than its mean: a fit, axes, moments."""
    return name == "semidiscrete" or is_whitened(name) or is_rescaled(name)


def is_levelled(name: str) -> bool:
    """Whether the pairing of this name begins at a noise level that is measured on the data set."""
    return without_level(_stage(name)[0])[1] == MEASURED


def is_staged(name: str) -> bool:
    """Whether the pairing of this name holds for a part of training only."""
    return _stage(name)[1] is not None


def without_level(name: str) -> tuple[str, float | str | None]:
    """Split "assigned:above1" into the pairing's own name and the noise level that it begins at, if any.

    The level of "assigned:above" is `MEASURED`.
    Raises ValueError for a level that is not greater than 0 or a pairing that cannot have one.
    """
    rest, _, last = name.strip().lower().rpartition(":")
    found = re.fullmatch(r"above(\d+(?:\.\d*)?|\.\d+)?", last)
    if found is None:
        return name, None
    level = MEASURED if found[1] is None else float(found[1])
    if level == 0:
        raise ValueError(f"pairing {name!r} must begin at a noise level greater than 0, or write ':above'")
    if rest.partition(":")[0] not in ("nearest", "assigned") or re.search(r":(above|from|until)[\d.]*", rest):
        raise ValueError(
            f"pairing {name!r} cannot begin at a noise level; only nearest and assigned can, once, before "
            "any stage: 'assigned:above', 'assigned:above:until50'"
        )
    return rest, level


def _stage(name: str) -> tuple[str, tuple[float, float] | None]:
    """Split a name into the pairing's and the shares of training that it begins and ends at, if any."""
    rest, _, last = name.strip().lower().rpartition(":")
    found = re.fullmatch(r"(from|until)(\d{1,3})", last)
    if found is None:
        return name, None
    percent = int(found[2])
    if not 0 < percent < 100:
        raise ValueError(f"pairing {name!r} must change at 1 to 99 percent of training, not at {percent}")
    if rest.partition(":")[0] not in ("nearest", "assigned") or _stage(rest)[1] is not None:
        raise ValueError(
            f"pairing {name!r} cannot be staged; only nearest and assigned can, once: 'nearest:8:until50'"
        )
    return rest, ((percent / 100, 1.0) if found[1] == "from" else (0.0, percent / 100))


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


def _parsed(name: str) -> _Named:
    """Split a name into what it says, refusing what no pairing can be built from."""
    kind, *options = name.strip().lower().split(":")
    if kind not in NAMES:
        raise ValueError(unknown("pairing", kind, NAMES))
    if kind != "nearest" and options:
        raise ValueError(f"pairing {kind!r} takes no options, got {name!r}; write {kind!r}")
    k, rule, centring, view, whitened, rescaled = 8.0, "l2", "centred", None, False, False
    seen = set[str]()
    for option in options:
        number = _number(option)
        coarse = re.fullmatch(r"coarse(\d{1,6})", option)
        if number is None and coarse is None and option not in OPTIONS:
            raise ValueError(unknown(f"option in pairing {name!r}:", option, OPTIONS + SUFFIXES))
        aspect = "k" if number is not None else "rule" if option in ("l2", "dot") else "centring"
        aspect = "view" if coarse else "metric" if option == "whitened" else aspect
        aspect = "scale" if option == "rescaled" else aspect
        if aspect in seen:
            raise ValueError(f"pairing {name!r} gives its {aspect} twice; keep one")
        seen.add(aspect)
        if number is not None:
            k = number
        elif coarse is not None:
            view = int(coarse[1])
        elif aspect == "metric":
            whitened = True
        elif aspect == "scale":
            rescaled = True
        elif aspect == "rule":
            rule = option
        else:
            centring = option
    whole = int(k) if math.isfinite(k) and k == int(k) else k
    checked = Nearest(k=whole, rule=rule, view=view)  # type: ignore[arg-type]
    view = None if view == 1 else view
    if whitened and view is not None:
        raise ValueError(f"pairing {name!r} chooses both whitened and coarse; keep one")
    return _Named(kind, checked.k, checked.rule, centring, view, whitened, rescaled)


def _written(named: _Named) -> str:
    shown = [part for part in (named.rule, named.centring) if part not in ("l2", "centred")]
    shown += [] if named.view is None else [f"coarse{named.view}"]
    shown += ["whitened"] if named.whitened else []
    shown += ["rescaled"] if named.rescaled else []
    return ":".join(["nearest", str(named.k), *shown])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
