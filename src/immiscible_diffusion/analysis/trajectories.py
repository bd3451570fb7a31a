"""What a network predicts at each step from noise to image, and pictures of its ways there."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from torch import Tensor

from immiscible_diffusion.analysis.trained_runs import equal_renoising
from immiscible_diffusion.data.images import to_pixels
from immiscible_diffusion.figures import FONT_SIZE, LIGHT, footnote, literal, new_figure, to_png
from immiscible_diffusion.randomness import derived_seed
from immiscible_diffusion.runs.trained_model import TrainedModel
from immiscible_diffusion.sampling import sampling_steps

COMPONENTS = 50  # kept before t-SNE, as its authors do
PERPLEXITY = 30
MAP_COLOURS = "cividis"  # told apart by every kind of colour vision, and in grey


def predicted_images(
    model: TrainedModel, noise: Tensor, evaluations: int, labels: Tensor | None = None, batch_size: int = 256
) -> tuple[list[float], Tensor]:
    """Predict the clean image at every step of the objective's own sampler (Eq. 2, x_pred,0).

    noise: [N, C, H, W]. Returns the times of the steps, noisiest first, and uint8 [S, N, C, H, W], brought
    back from the scale of training and cut to what an image can show.
    """
    device = next(model.network.parameters()).device
    times: list[float] = []
    parts = []
    for start in range(0, len(noise), batch_size):
        rows = slice(start, start + batch_size)
        steps = list(
            sampling_steps(
                model.experiment.objective,
                model.network,
                noise[rows].to(device),
                evaluations,
                condition=None if labels is None else labels[rows].to(device),
                generator=equal_renoising(model, len(noise[rows])),
            )
        )
        times = [step.time for step in steps]
        parts.append(torch.stack([to_pixels(step.clean, model.experiment.image_std).cpu() for step in steps]))
    return times, torch.cat(parts, dim=1)


def as_points(images: Tensor) -> Tensor:
    """Images as points: uint8 [S, N, C, H, W] -> float32 [S, N, D] in [−1, 1]."""
    return images.flatten(2).float() / 127.5 - 1


def shared_map(trajectories: Sequence[Tensor], seed: int) -> list[NDArray[np.float32]]:
    """Lay the ways of several networks out on one plane: principal components, then t-SNE.

    trajectories: [S, N, D] each. One map for all, so that equal places are equal images in every panel.
    Returns [S, N, 2] each. Source: van der Maaten & Hinton 2008, by way of scikit-learn.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    points = torch.cat([one.flatten(0, 1) for one in trajectories]).numpy()
    state = derived_seed(seed, "evaluation", 3) % 2**32
    count = min(COMPONENTS, *points.shape)
    components = PCA(count, random_state=state).fit_transform(points)
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    places = TSNE(init="pca", perplexity=perplexity, random_state=state).fit_transform(components)
    ends = np.cumsum([one.shape[0] * one.shape[1] for one in trajectories])[:-1]
    return [
        part.reshape(*one.shape[:2], 2)
        for part, one in zip(np.split(places, ends), trajectories, strict=True)
    ]


def plot_map(places: dict[str, NDArray[np.float32]], notes: dict[str, str], foot: str) -> bytes:
    """Draw the ways on their shared map, one panel a network, as PNG bytes.

    places: [S, N, 2] by name, as `shared_map` gives them. notes: a second line of each title.
    """
    columns = min(3, len(places))
    rows = -(-len(places) // columns)
    figure = new_figure(max(4.6 * columns, 6.5), 5.1 * rows + 1.1, LIGHT)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    steps = next(iter(places.values())).shape[0]
    shade = Normalize(0, 1)
    for axes, (name, path) in zip(panels, places.items(), strict=False):
        # [N, S, 2] -> segments [N · (S − 1), 2, 2], coloured by the share of the way behind them.
        ways = path.transpose(1, 0, 2)
        segments = np.stack([ways[:, :-1], ways[:, 1:]], axis=2).reshape(-1, 2, 2)
        behind = np.tile(np.linspace(0, 1, steps - 1), len(ways))
        axes.add_collection(
            LineCollection(
                list(segments), array=behind, cmap=MAP_COLOURS, norm=shade, linewidth=1.1, alpha=0.8
            )
        )
        axes.plot(*path[0].T, "o", color=LIGHT.faint, markersize=2.5, linestyle="none")
        axes.plot(*path[-1].T, "D", color="#D55E00", markersize=3.5, linestyle="none")
        axes.set_title(literal(f"{name}\n{notes[name]}"), fontsize=FONT_SIZE, color=LIGHT.ink, loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.autoscale_view()
    for axes in list(panels):
        axes.set_axis_off()
    top, low = 1 - 0.1 / (5.1 * rows + 1.1), 0.95 / (5.1 * rows + 1.1)
    figure.tight_layout(rect=(0, low, 1, top))
    bar = figure.add_axes((0.3, low * 0.72, 0.4, 0.16 / (5.1 * rows + 1.1)))
    figure.colorbar(ScalarMappable(shade, MAP_COLOURS), cax=bar, orientation="horizontal", ticks=[0, 1])
    bar.set_xticklabels(["pure noise (grey dot)", "image (orange diamond)"], fontsize=FONT_SIZE - 2)
    footnote(figure, foot, LIGHT)
    return to_png(figure)
