"""Robot: a trained policy pushes the T from a start state that nobody chose."""

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from immiscible_diffusion.live_page.choosing import Chooser, two_choosers
from immiscible_diffusion.live_page.found_runs import Found, Library, chosen
from immiscible_diffusion.live_page.inputs import answered, whole
from immiscible_diffusion.live_page.shown import figure, side_by_side

FRAME, MOST_STARTS, MOST_STEPS = 160, 50, 100
HOW = """
No policy was given, so there is none to watch. Train one on demonstrations of PushT and start again with it:

```bash
immiscible train pusht-small --data ../shared/data/pusht.npz --pairing nearest --k 2
immiscible demo runs/pusht-small-nearest-2-seed0
```
"""


def robot_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    if not library.found().policies:
        gr.Markdown(HOW)
        return []
    gr.Markdown(
        "The policy sees the scene and draws its next actions from noise, the same for both runs. The "
        "score is the greatest "
        "coverage of the goal divided by 0.95, at most 1."
    )
    choosers = two_choosers(library, policies)
    with gr.Row():
        start = gr.Slider(0, MOST_STARTS - 1, 0, step=1, label="Start state (of the published ones)")
        steps = gr.Slider(1, MOST_STEPS, 10, step=1, label="Sampler steps a decision")
        length = gr.Slider(10, 300, 150, step=10, label="Longest episode, in steps of a tenth of a second")
    button = gr.Button("Let it push", variant="primary")
    shown = gr.HTML(label="Episodes")

    @answered
    def push(left: Any, right: Any, *given: Any) -> str:
        return episodes(library.found(), [left, right], *given)

    inputs = [*(one.component for one in choosers), start, steps, length]
    button.click(push, inputs, shown, api_name="push", concurrency_limit=1)
    return list(choosers)


def policies(found: Found) -> list[str]:
    """Names of the policies' runs."""
    return list(found.policies)


def episodes(found: Found, names: list[Any], start: Any, steps: Any, length: Any) -> str:
    """Run one episode under one or two policies, as HTML."""
    from immiscible_diffusion.policy.environment import published_starts
    from immiscible_diffusion.policy.kept import kept_policies, load_policy
    from immiscible_diffusion.policy.rollouts import policy_controller, run_episodes
    from immiscible_diffusion.policy.videos import save_gif

    number = whole("start state", start, 0, MOST_STARTS - 1)
    evaluations = whole("steps", steps, 1, MOST_STEPS)
    longest = whole("longest episode", length, 1, 300)
    figures = []
    for name in dict.fromkeys(names):
        folder = chosen("policy", name, found.policies)
        policy = load_policy(folder, kept_policies(folder)[-1])
        controller = policy_controller(policy, evaluations, policy.experiment.seed, [number])
        state = published_starts(number + 1)[-1:]
        (episode,) = run_episodes(controller, state, most_steps=longest, frame_side=FRAME)
        with tempfile.TemporaryDirectory() as aside:
            film = save_gif(episode, Path(aside) / "episode.gif").read_bytes()
        said = f"{policy.experiment.pairing}: score {episode.score:.2f} after {len(episode.actions)} steps"
        figures.append(figure(film, f"Film of a robot pushing a T. {said}", said, kind="gif"))
    return side_by_side(figures)
