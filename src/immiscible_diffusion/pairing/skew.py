"""How much the noise alone tells of the class it was paired with; sampling noise tells nothing.

A linear probe that never saw the row guesses its class from its noise. What it gains over guessing blindly
is a lower bound of the mutual information I(noise; class), whatever the probe.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from immiscible_diffusion.pairing.checks import as_rows

DIRECTIONS = 32  # the most that class means are told apart along
ROWS_A_CLASS = 64  # fewer, and classes are merged: a bound on merged ones is one on all
ERRORS = 3.0  # standard errors by which a skew must stand out
LEAST_BITS = 0.01  # below this nobody could learn from it
RIDGE = 1.0


@dataclass(frozen=True)
class Skew:
    """What a probe makes of noise alone."""

    accuracy: float  # share of rows whose class the probe guessed
    chance: float  # the same of always guessing the commonest class
    bits: float  # lower bound of I(noise; class); at no skew about 0, of either sign
    error: float  # its standard error
    entropy: float  # of the class, in bits: the most that noise could tell
    classes: int  # told apart, after merging
    told: float | None = None  # `told_variance` of embeddings that the classes are groups of

    @property
    def stands_out(self) -> bool:
        """Whether the noise tells the class by more than chance would show."""
        return self.bits > max(LEAST_BITS, ERRORS * self.error)

    def __str__(self) -> str:
        told = "" if self.told is None else f", {self.told:.1%} of the embeddings' variance told"
        return (
            f"{self.bits:.3f} ± {self.error:.3f} of {self.entropy:.2f} bits, class guessed from noise alone "
            f"{self.accuracy:.1%} (chance {self.chance:.1%}){told}"
        )


@torch.no_grad()
def measure_skew(clean: Tensor, noise: Tensor, labels: Tensor) -> Skew:
    """Probe paired noise for its class, each half of the rows with a probe from the other half.

    clean, noise: [N, ...], as paired. labels: int64 [N]. N of 1,000 and more says something.
    The probe is a linear discriminant along the directions in which the other half's class mean images
    differ, and the noise's squared length. Classes of fewer than 64 rows are merged with like ones.
    Raises ValueError where shapes differ, or there are fewer than 128 rows or 2 classes.
    """
    if clean.shape != noise.shape or labels.shape != clean.shape[:1]:
        raise ValueError(
            f"clean, noise and labels must agree, got shapes {tuple(clean.shape)}, {tuple(noise.shape)} and "
            f"{tuple(labels.shape)}"
        )
    names, labels = labels.unique(return_inverse=True)
    if len(clean) < 2 * ROWS_A_CLASS or len(names) < 2:
        raise ValueError(
            f"skew needs at least {2 * ROWS_A_CLASS} rows and 2 classes, got {len(clean)} and {len(names)}"
        )
    clean_rows, noise_rows = as_rows(clean), as_rows(noise)
    # Every second row of a class, so that both halves know every class.
    half = torch.empty(len(clean), dtype=torch.bool, device=clean.device)
    half[labels.argsort(stable=True)] = torch.arange(len(clean), device=clean.device) % 2 == 0
    merged = _merged(clean_rows, labels, len(names), len(clean) // (2 * ROWS_A_CLASS))
    labels = merged[labels]
    classes = int(merged.max()) + 1
    shares = torch.bincount(labels, minlength=classes).double() / len(labels)
    log_likelihoods, right = [], 0
    for training in (half, ~half):
        scores = _scores(clean_rows, noise_rows, labels, classes, training)  # [N, C], log p(class | noise)
        truth = labels[~training]
        log_likelihoods.append(scores.gather(1, truth[:, None])[:, 0])
        right += int((scores.argmax(1) == truth).sum())
    # What each row's noise added to the log of its class's share, in bits.
    order = torch.cat([labels[~half], labels[half]])
    gains = (torch.cat(log_likelihoods) - shares[order].log()) / math.log(2)
    entropy = -(shares * shares.clamp(min=1e-300).log2()).sum()
    return Skew(
        right / len(labels),
        float(shares.max()),
        float(gains.mean()),
        float(gains.std() / math.sqrt(len(gains))),
        float(entropy),
        classes,
    )


@torch.no_grad()
def told_variance(clean: Tensor, noise: Tensor, condition: Tensor) -> float:
    """Share of a condition's variance that the noise alone tells: held-out R² of a ridge regression.

    clean, noise: [N, ...], as paired. condition: float [N, ...], such as embeddings or observations.
    Fitted on the first half of the rows, judged on the second; 1 is all, 0 or slightly below is nothing
    (linearly). Noise of more elements than 64 is seen along the 32 directions in which images vary most with
    the condition; these come from a third of the rows of their own, as their noises lean as they do.
    Raises ValueError where rows differ in number or are fewer than 6.
    """
    if not len(clean) == len(noise) == len(condition) or len(clean) < 6:
        raise ValueError(
            f"clean, noise and condition must have the same 6 rows or more, got {len(clean)}, {len(noise)} "
            f"and {len(condition)}"
        )
    seen, wanted = as_rows(noise).double(), as_rows(condition).double()
    if seen.shape[1] > 2 * DIRECTIONS:
        third = len(clean) // 3
        images, own = as_rows(clean)[:third].double(), wanted[:third]
        shared = (images - images.mean(0)).T @ (own - own.mean(0))  # [D, Q]
        directions = torch.linalg.svd(shared, full_matrices=False)[0][:, :DIRECTIONS]
        seen, wanted = seen[third:] @ directions, wanted[third:]
    half = len(seen) // 2
    seen, wanted = seen - seen[:half].mean(0), wanted - wanted[:half].mean(0)
    gram = seen[:half].T @ seen[:half]
    gram.diagonal().add_(RIDGE)
    weights = torch.linalg.solve(gram, seen[:half].T @ wanted[:half])
    error = (seen[half:] @ weights - wanted[half:]).square().sum()
    return float(1 - error / (wanted[half:] - wanted[half:].mean(0)).square().sum())


def _merged(clean: Tensor, labels: Tensor, classes: int, most: int) -> Tensor:
    """Which of at most `most` groups each class belongs to: neighbours along the classes' main direction."""
    if classes <= max(2, most):
        return torch.arange(classes, device=clean.device)
    means = _means(clean, labels, classes)
    main = torch.linalg.svd(means - means.mean(0), full_matrices=False)[2][0]
    rank: Tensor = (means @ main).argsort().argsort()
    return rank * max(2, most) // classes


def _scores(clean: Tensor, noise: Tensor, labels: Tensor, classes: int, training: Tensor) -> Tensor:
    # Only the training half's images: a row's own noise leans towards its own image.
    means = _means(clean[training], labels[training], classes)
    directions = torch.linalg.svd(means - means.mean(0), full_matrices=False)[2][: min(DIRECTIONS, classes)]
    seen = torch.cat([noise @ directions.T, noise.square().mean(1, keepdim=True)], dim=1).double()  # [N, Q]
    seen = (seen - seen[training].mean(0)) / seen[training].std(0)
    centres = _means(seen[training], labels[training], classes)  # [C, Q]
    spread = torch.cov((seen[training] - centres[labels[training]]).T)
    spread.diagonal().add_(1e-3)
    inverse = torch.linalg.inv(spread)
    counts = torch.bincount(labels[training], minlength=classes).double().clamp(min=0.5)
    # The centres' own error would pass for information lost; shrink it away (James-Stein, positive part).
    noise_level = (len(spread) * (classes - 1)) / counts.sum()
    strength = (centres @ inverse * centres).sum(1) @ (counts / counts.sum())
    centres = centres * (1 - noise_level / strength.clamp(min=1e-12)).clamp(min=0)
    linear = seen[~training] @ inverse @ centres.T - (centres @ inverse * centres).sum(1) / 2
    return torch.log_softmax(linear + (counts / counts.sum()).log(), dim=1)


def _means(rows: Tensor, labels: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(labels, minlength=classes).clamp(min=1).to(rows.dtype)
    sums = torch.zeros(classes, rows.shape[1], dtype=rows.dtype, device=rows.device)
    return sums.index_add_(0, labels, rows) / counts[:, None]
