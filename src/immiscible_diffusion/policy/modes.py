"""Which way round the block an episode went, and how many ways a policy uses from one and the same start.

Definition: the angle that the agent sweeps about the block's centre of mass from the start until it first
touches the block (or until the end, where it never does). More than 45° one way is "counter-clockwise", the
other way "clockwise" (as seen with y upwards), less is "direct". A policy's mode entropy is the entropy of
these three over sampling seeds from one start, in bits, averaged over starts: 0 where it always goes one way,
at most log2 3 = 1.58.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from immiscible_diffusion.policy.demonstrations import Floats
from immiscible_diffusion.policy.environment import MASS_CENTRE
from immiscible_diffusion.policy.rollouts import Episode

Mode = Literal["clockwise", "direct", "counter-clockwise"]
MODES: tuple[Mode, ...] = ("clockwise", "direct", "counter-clockwise")
TURN = math.pi / 4


def mode_of(states: Floats, contacts: Sequence[bool]) -> Mode:
    """Classify one episode. states: [T + 1, 5]; contacts: [T], whether step t touched the block."""
    touched = [step for step, contact in enumerate(contacts) if contact]
    swept = swept_angle(states[: touched[0] + 1 if touched else len(states)])
    if abs(swept) < TURN:
        return "direct"
    return "counter-clockwise" if swept > 0 else "clockwise"


def swept_angle(states: Floats) -> float:
    """The angle in radians that the agent goes round the block's centre of mass, whole turns counted."""
    cosine, sine = np.cos(states[:, 4]), np.sin(states[:, 4])
    turned = np.stack(
        [cosine * MASS_CENTRE[0] - sine * MASS_CENTRE[1], sine * MASS_CENTRE[0] + cosine * MASS_CENTRE[1]], 1
    )
    offset = states[:, :2] - states[:, 2:4] - turned
    angles = np.unwrap(np.arctan2(offset[:, 1], offset[:, 0]))
    return float(angles[-1] - angles[0])


def entropy_bits(modes: Sequence[Mode]) -> float:
    """The entropy of how often each mode occurs, in bits."""
    shares = [count / len(modes) for count in Counter(modes).values()]
    return abs(sum(share * math.log2(share) for share in shares))


def mode_entropy(by_start: Sequence[Sequence[Episode]]) -> float:
    """Mean over starts of the entropy over the episodes from that start, in bits."""
    return float(
        np.mean(
            [entropy_bits([mode_of(one.states, one.contacts.tolist()) for one in same]) for same in by_start]
        )
    )
