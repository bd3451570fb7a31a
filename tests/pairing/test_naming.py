"""Short names: what they build, their one canonical form, and every refusal."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from immiscible_diffusion.pairing import Assigned, Independent, Nearest, canonical_name, pairing_from_name

HYPOTHESIS = settings(deadline=None, derandomize=True, max_examples=200, database=None)
CENTRE = torch.full((3, 4, 4), 0.25)

whole = st.integers(1, 10**18).filter(lambda k: int(float(k)) == k)
real = st.floats(1, 1e9, allow_nan=False)


@st.composite
def names(draw: st.DrawFn) -> tuple[str, float, str, str]:
    """A name of "nearest" with its options in any order, and what it says."""
    rule = draw(st.sampled_from(["l2", "dot"]))
    k = draw(whole if rule == "l2" else st.one_of(whole, real))
    centring = draw(st.sampled_from(["centred", "uncentred", "batch"]))
    options = draw(st.permutations([repr(k), rule, centring]))
    written = [
        option
        for option in options
        if option not in {"8", "l2", "centred"} or draw(st.booleans())  # defaults may be left out
    ]
    name = ":".join(["nearest", *written])
    return draw(st.sampled_from([name, name.upper(), f"  {name} "])), k, rule, centring


@HYPOTHESIS
@given(names())
def test_names_build_what_they_say(case: tuple[str, float, str, str]) -> None:
    name, k, rule, centring = case
    pairing = pairing_from_name(name, CENTRE)
    assert isinstance(pairing, Nearest)
    assert (pairing.k, pairing.rule) == (k, rule)
    expected = {"centred": CENTRE, "uncentred": None, "batch": "batch"}[centring]
    assert pairing.centre is expected or pairing.centre == expected


@HYPOTHESIS
@given(names())
def test_canonical_names_lose_nothing_and_are_their_own(case: tuple[str, float, str, str]) -> None:
    name = canonical_name(case[0])
    assert canonical_name(name) == name
    one, other = pairing_from_name(case[0], CENTRE), pairing_from_name(name, CENTRE)
    assert (one.k, one.rule) == (other.k, other.rule)  # type: ignore[attr-defined]
    assert type(one.k) is type(other.k)  # type: ignore[attr-defined]
    assert one.centre is other.centre  # type: ignore[attr-defined]


@HYPOTHESIS
@given(names(), names())
def test_names_are_canonically_equal_where_they_say_the_same(one: tuple, other: tuple) -> None:
    assert (canonical_name(one[0]) == canonical_name(other[0])) == (one[1:] == other[1:])


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("independent", "independent"),
        (" Assigned ", "assigned"),
        ("nearest", "nearest:8"),
        ("nearest:l2:centred", "nearest:8"),
        ("nearest:8.0", "nearest:8"),
        ("Nearest:UNCENTRED:4", "nearest:4:uncentred"),
        ("nearest:dot:2.5", "nearest:2.5:dot"),
        ("nearest:batch:dot:64", "nearest:64:dot:batch"),
        ("nearest:1234567890123456", "nearest:1234567890123456"),
    ],
)
def test_canonical_forms(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical


def test_names_without_options() -> None:
    assert pairing_from_name("independent") == Independent()
    assert pairing_from_name(" ASSIGNED", CENTRE) == Assigned()


INVALID = [
    ("neerest", "unknown pairing 'neerest'; did you mean 'nearest'? valid: assigned, independent, nearest"),
    ("", "unknown pairing ''; valid: assigned, independent, nearest"),
    ("knn:8", "unknown pairing 'knn'"),
    ("independent:8", "pairing 'independent' takes no options, got 'independent:8'; write 'independent'"),
    ("assigned:uncentred", "unknown option in pairing 'assigned:uncentred'"),
    (
        "nearest:uncentered",
        "'uncentered'; did you mean 'uncentred'? valid: above, batch, centred, coarse2, coarse4, dot, "
        "from50, l2, rescaled, uncentred, until50, whitened",
    ),
    ("nearest:8:wat", "unknown option in pairing 'nearest:8:wat': 'wat'"),
    ("nearest:", "unknown option in pairing 'nearest:': ''"),
    ("nearest:8:4", "pairing 'nearest:8:4' gives its k twice; keep one"),
    ("nearest:8:8", "gives its k twice"),
    ("nearest:dot:l2", "pairing 'nearest:dot:l2' gives its rule twice; keep one"),
    ("nearest:batch:centred", "gives its centring twice"),
    ("nearest:0", "k must be a finite number of candidates from 1 up, got 0"),
    ("nearest:nan", "from 1 up, got nan"),
    ("nearest:inf:dot", "from 1 up, got inf"),
    ("nearest:2.5", "k must be a whole number for rule='l2', got 2.5"),
]


@pytest.mark.parametrize(("name", "text"), INVALID)
def test_invalid_names_are_refused_alike(name: str, text: str) -> None:
    for build in (pairing_from_name, canonical_name, lambda given: pairing_from_name(given, CENTRE)):
        with pytest.raises(ValueError, match=re.escape(text)):
            build(name)


@pytest.mark.parametrize(
    ("name", "instead"),
    [("nearest", "nearest:8:uncentred"), ("nearest:4:centred:dot", "nearest:4:dot:uncentred")],
)
def test_a_centred_name_needs_a_centre(name: str, instead: str) -> None:
    text = (
        f"pairing {name!r} is centred but no centre was given; pass the data set's mean image, "
        f"or write {instead!r} for the paper's rule"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        pairing_from_name(name)
    assert pairing_from_name(instead).centre is None  # type: ignore[attr-defined]
