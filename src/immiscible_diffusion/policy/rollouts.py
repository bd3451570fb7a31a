"""Let a policy act in the simulator from given start states; groups of starts side by side."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from immiscible_diffusion.policy.acting import Policy
from immiscible_diffusion.policy.demonstrations import Floats
from immiscible_diffusion.policy.environment import (
    EPISODE_STEPS,
    SUCCESS,
    coverage_of,
    make_environment,
    observe,
    reset_to,
)
from immiscible_diffusion.randomness import derived_seed

SMALLEST_FRAME = 96  # gym-pusht cannot draw smaller ones


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode in the simulator; row t of `states` is before action t, the last row after the last."""

    states: Floats  # [T + 1, 5]
    actions: Floats  # [T, 2]
    coverages: Floats  # [T + 1], of the goal
    contacts: NDArray[np.bool_]  # [T], whether the agent touched the block
    frames: NDArray[np.uint8] | None = None  # [T + 1, side, side, 3]

    @property
    def score(self) -> float:
        """The published metric: the greatest clip(coverage / 0.95, 0, 1) after an action."""
        return float(np.clip(self.coverages[1:].max(initial=0.0) / SUCCESS, 0, 1))

    @property
    def max_coverage(self) -> float:
        """The greatest coverage after an action, 0 to 1, unclipped."""
        return float(self.coverages[1:].max(initial=0.0))

    @property
    def success(self) -> bool:
        return self.max_coverage > SUCCESS


class Controller(Protocol):
    """Anything that acts: a policy with its noise, a script, a recording."""

    def __call__(self, numbers: list[int], histories: list[list[Floats]], decision: int) -> Floats:
        """Choose actions [len(numbers), A, 2] for the episodes `numbers`, given their states so far."""
        ...


def run_episodes(
    controller: Controller,
    starts: Floats,
    *,
    legacy: bool = True,
    most_steps: int = EPISODE_STEPS,
    stop_at_success: bool = True,
    frame_side: int | None = None,
) -> list[Episode]:
    """Act from every start state [N, 5] until success or `most_steps`; all of them ask for actions together.

    legacy: as in `reset_to`; the published starts need it. frame_side: also draw every step, in pixels, 96 or
    more. Raises ValueError for a smaller one.
    """
    if frame_side is not None and frame_side < SMALLEST_FRAME:
        raise ValueError(f"frame_side must be {SMALLEST_FRAME} pixels or more, got {frame_side}")
    running = [_Running(start, legacy, frame_side) for start in starts]
    decision = 0
    while active := [
        number
        for number, one in enumerate(running)
        if len(one.actions) < most_steps and not (stop_at_success and one.coverages[-1] > SUCCESS)
    ]:
        chosen = controller(active, [running[number].states for number in active], decision)
        for number, actions in zip(active, chosen, strict=True):
            for action in actions[: most_steps - len(running[number].actions)]:
                running[number].do(action)
                if stop_at_success and running[number].coverages[-1] > SUCCESS:
                    break
        decision += 1
    return [one.episode() for one in running]


class _Running:
    """An episode under way."""

    def __init__(self, start: Floats, legacy: bool, frame_side: int | None) -> None:
        self.environment: Any = make_environment()
        if frame_side is not None:
            self.environment.visualization_width = self.environment.visualization_height = frame_side
        self.states: list[Floats] = [reset_to(self.environment, start, legacy=legacy)]
        self.actions: list[Floats] = []
        self.coverages: list[float] = [coverage_of(self.environment)]
        self.contacts: list[bool] = []
        self.frames: list[NDArray[np.uint8]] | None = None if frame_side is None else [self._draw()]

    def do(self, action: Floats) -> None:
        observed, _, _, _, info = self.environment.step(np.asarray(action, np.float64))
        self.states.append(np.asarray(observed, np.float64))
        self.actions.append(np.asarray(action, np.float64))
        self.coverages.append(float(info["coverage"]))
        self.contacts.append(bool(info["n_contacts"] > 0))
        if self.frames is not None:
            self.frames.append(self._draw())

    def _draw(self) -> NDArray[np.uint8]:
        drawn: NDArray[np.uint8] = self.environment.render()
        return drawn.copy()

    def episode(self) -> Episode:
        frames = None if self.frames is None else np.stack(self.frames)
        return Episode(
            np.stack(self.states),
            np.array(self.actions, np.float64).reshape(-1, 2),
            np.array(self.coverages),
            np.array(self.contacts, bool),
            frames,
        )


def policy_controller(policy: Policy, evaluations: int, seed: int, episodes: list[int]) -> Controller:
    """Act by a policy; the noise of a decision depends on (seed, episode, decision) alone.

    episodes: the number that each start of this group has among all, so that groups can be cut anyhow.
    """
    experiment = policy.experiment
    shape = (experiment.horizon, len(policy.action_limits.low))

    def act(numbers: list[int], histories: list[list[Floats]], decision: int) -> Floats:
        noise = torch.stack(
            [torch.randn(shape, generator=_generator(seed, episodes[number], decision)) for number in numbers]
        )
        seen = np.stack([_last(history, policy) for history in histories])
        return policy.act(torch.from_numpy(seen), noise, evaluations).numpy()

    return act


def _generator(seed: int, episode: int, decision: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(seed, "evaluation", decision, episode))


def _last(history: list[Floats], policy: Policy) -> Floats:
    """The newest observations, the first one repeated where there are too few (as published)."""
    wanted = policy.experiment.observation_steps
    padded = [history[0]] * (wanted - len(history)) + history[-wanted:]
    return np.stack([observe(state, policy.experiment.observations) for state in padded])
