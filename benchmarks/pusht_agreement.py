"""Does our PushT agree with Diffusion Policy's recordings, and what do simple controllers score?

    .venv/bin/python -m benchmarks.pusht_agreement --data ../shared/data/pusht.npz

Replays every recorded action from the recorded start (about 8 s), measures how far the simulator's states are
from the recorded ones, and scores the demonstrations, standing still, a scripted pusher and the nearest
demonstration on the published start states. Writes benchmarks/results/pusht_agreement.json.
"""

import argparse
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from immiscible_diffusion.comparison.statistics import student_t_interval
from immiscible_diffusion.environment import describe_environment
from immiscible_diffusion.policy.chunks import load_chunks
from immiscible_diffusion.policy.demonstrations import Demonstrations, Floats, load_demonstrations
from immiscible_diffusion.policy.environment import keypoints, observe, published_starts
from immiscible_diffusion.policy.modes import mode_of
from immiscible_diffusion.policy.rollouts import Controller, Episode, run_episodes
from immiscible_diffusion.policy.scripted import scripted_pusher, standing_still

RESULTS = Path(__file__).parent / "results" / "pusht_agreement.json"


def replayed(recorded: Demonstrations, rows: slice) -> Episode:
    """Do one demonstration's actions in the simulator, from its recorded first state."""

    def replay(numbers: list[int], histories: list[list[Floats]], decision: int) -> Floats:
        return recorded.action[None, rows]

    steps = rows.stop - rows.start
    start = recorded.state[None, rows.start]
    return run_episodes(replay, start, legacy=False, most_steps=steps, stop_at_success=False)[0]


def nearest_demonstration(source: str) -> Controller:
    """Do what was done after the most similar two observations in the demonstrations."""
    chunks = load_chunks(source, "keypoint", horizon=16, observation_steps=2, action_steps=8)
    known = chunks.observation.flatten(1)

    def act(numbers: list[int], histories: list[list[Floats]], decision: int) -> Floats:
        last = [([one[0]] + one)[-2:] for one in histories]
        seen = np.stack([[observe(state, "keypoint") for state in one] for one in last])
        rows = torch.cdist(chunks.observation_limits.normalise(seen).flatten(1), known).argmin(dim=1)
        return chunks.action_limits.restore(chunks.action[rows][:, 1:9]).numpy()

    return act


def scored(episodes: list[Episode]) -> dict[str, Any]:
    interval = student_t_interval([one.score for one in episodes])
    return {
        "episodes": len(episodes),
        "mean_score": float(np.mean([one.score for one in episodes])),
        "interval": None if interval is None else [interval.low, interval.high],
        "mean_max_coverage": float(np.mean([one.max_coverage for one in episodes])),
        "success_rate": float(np.mean([one.success for one in episodes])),
        "modes": dict(Counter(mode_of(one.states, one.contacts.tolist()) for one in episodes)),
    }


def agreement(source: str, starts: int) -> dict[str, Any]:
    recorded = load_demonstrations(source)
    episodes = [replayed(recorded, rows) for rows in recorded.episodes]
    found = np.concatenate([one.states[:-1] for one in episodes])
    turn = np.abs((found[:, 4] - recorded.state[:, 4] + math.pi) % (2 * math.pi) - math.pi)
    agent = np.linalg.norm(found[:, :2] - recorded.state[:, :2], axis=1)
    block = np.linalg.norm(found[:, 2:4] - recorded.state[:, 2:4], axis=1)
    points = np.linalg.norm(
        np.stack([keypoints(state) for state in recorded.state]) - recorded.keypoint, axis=2
    )
    controllers = {
        "standing still": standing_still,
        "scripted pusher": scripted_pusher,
        "nearest demonstration": nearest_demonstration(source),
    }
    return {
        "steps": len(found),
        "agent_pixels": {"mean": float(agent.mean()), "max": float(agent.max())},
        "block_pixels": {"mean": float(block.mean()), "max": float(block.max())},
        "angle_radians": {"mean": float(turn.mean()), "max": float(turn.max())},
        "keypoint_pixels": {
            "median": float(np.median(points)),
            "share_over_0.1": float((points > 0.1).mean()),
            "max": float(points.max()),
        },
        "demonstrations": scored(episodes),
        "controllers": {
            name: scored(run_episodes(controller, published_starts(starts)))
            for name, controller in controllers.items()
        },
        "environment": describe_environment(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    result = agreement(given.data, given.starts)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "environment"}, indent=1))


if __name__ == "__main__":
    main()
