"""KNN noise selection (paper §3.3.2, Algorithm 1), exact in O(D) time and memory for any k.

Algorithm 1 draws k noises n for an image x and keeps the one nearest to x. Here one noise z is drawn; the
projection and the length that the winner of k would have are drawn beside it (`closest.py`), and z is moved
to them: n = a x/‖x‖ + √(c/c₀) (z − a₀ x/‖x‖). The distribution is the same, exactly.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from immiscible_diffusion.pairing.alongside import draw_alongside
from immiscible_diffusion.pairing.checks import (
    as_rows,
    check_clean,
    less_centre,
    mask_rows,
    measured,
    move_rows,
    row_dots,
    row_norms,
)
from immiscible_diffusion.pairing.independent import gaussian_like
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.pairing.views import check_pooled, check_view, pooled, spread
from immiscible_diffusion.pairing.winner import Contender, draw_contender, winning_move
from immiscible_diffusion.pairing.winner import Rule as Rule


@dataclass(frozen=True, eq=False)
class Nearest:
    """Give every row the nearest of k Gaussian noises, without drawing k of them.

    k: candidates; a whole number from 1 (plain Gaussian noise) up. For "dot" any real number from 1 up.
    rule: "l2" keeps the smallest ‖(clean − centre) − noise‖ (the paper's), "dot" the largest
        ⟨clean − centre, noise⟩, which does not favour short noises.
    centre: what is subtracted from the images before choosing: None (the paper), a tensor that broadcasts to
        one image (the data set's mean image, or its mean per channel), or "batch" (the batch's mean).
        Images that share a mean otherwise pull every noise the same way.
    view: None, or the side of the blocks that [B, C, ..., H, W] is pooled by before choosing. Only what the
        pooled image sees of the noise is moved (`views.py`). A masked view is the call's `mask`.
    fused: draw and move in a Triton kernel (`kernels.py`), for images on an NVIDIA GPU. The same law, but not
        the same numbers: the kernel draws its own noise, from a seed that the generator gives.
    whitening: [D, D], or None: choose against (clean − centre) times it, in the data set's principal axes
        scaled to unit variance (`whitening.py`).
    Raises ValueError for a k under 1 or NaN, an unknown rule, and a centre or view that does not fit.
    """

    k: float = 8
    rule: Rule = "l2"
    centre: Tensor | Literal["batch"] | None = None
    fused: bool = False
    view: int | None = None
    whitening: Tensor | None = None

    def __post_init__(self) -> None:
        rules = get_args(Rule)
        if self.rule not in rules:
            raise ValueError(unknown("rule", str(self.rule), rules))
        if isinstance(self.k, bool) or not isinstance(self.k, (int, float)):
            raise TypeError(f"k must be a number, got {self.k!r}; e.g. Nearest(k=8)")
        if not 1 <= self.k < math.inf:
            raise ValueError(
                f"k must be a finite number of candidates from 1 up, got {self.k}; k=1 is plain noise"
            )
        if self.rule == "l2" and self.k != int(self.k):
            raise ValueError(
                f"k must be a whole number for rule='l2', got {self.k}; rule='dot' takes any real k"
            )
        if isinstance(self.centre, str) and self.centre != "batch":
            raise ValueError(
                f"centre must be None, a tensor or 'batch', got {self.centre!r}; did you mean 'batch'?"
            )
        if isinstance(self.centre, Tensor) and not bool(torch.isfinite(self.centre).all()):
            raise ValueError("centre has a NaN or infinite value; pass the mean of finite images")
        check_view(self.view)
        if self.fused and self.view is not None:
            raise ValueError(f"view={self.view} is not supported by the fused kernel; use fused=False")
        if self.whitening is not None and (self.fused or self.view is not None):
            raise ValueError("whitening cannot be combined with view or fused; leave one out")

    @property
    def chooses_on_images(self) -> bool:
        """Whether it chooses on the images as they are: the closed forms of the noise's law are for these."""
        return self.view is None and self.whitening is None

    def __repr__(self) -> str:
        centre = f"tensor{list(self.centre.shape)}" if isinstance(self.centre, Tensor) else repr(self.centre)
        fused = ", fused=True" if self.fused else ""
        view = "" if self.view is None else f", view={self.view}"
        axes = "" if self.whitening is None else f", whitening=tensor{list(self.whitening.shape)}"
        return f"Nearest(k={self.k}, rule={self.rule!r}, centre={centre}{fused}{view}{axes})"

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`. Starts from the draw that `Independent` makes."""
        check_clean(clean, generator)
        counts = mask_rows(mask, clean)
        if self.view is not None:
            check_pooled(clean, self.view)
            if counts is not None:
                raise ValueError(f"mask cannot be combined with view={self.view}; use Nearest(view=None)")
        if self.whitening is not None:
            size = clean[0].numel() if len(clean) else self.whitening.shape[0]
            if tuple(self.whitening.shape) != (size, size):
                raise ValueError(
                    f"whitening has shape {tuple(self.whitening.shape)}, images have {size} values; pass "
                    "whitening(images) of this data set"
                )
            if counts is not None:
                raise ValueError("mask cannot be combined with whitening; use Nearest(whitening=None)")
        if self.k == 1 or clean.numel() == 0:
            return gaussian_like(clean, generator).to(clean.dtype)
        with torch.autocast(clean.device.type, enabled=False):
            if self.fused:
                if counts is not None:
                    raise ValueError("mask is not supported by the fused kernel; use Nearest(fused=False)")
                return self._fused(clean, generator)
            return self._move(clean, counts, generator)

    def _fused(self, clean: Tensor, generator: torch.Generator | None) -> Tensor:
        """`_move` in two passes of a Triton kernel, which draws its own noise."""
        from immiscible_diffusion.pairing.kernels import fused_noise

        def move(norm: Tensor, product: Tensor, squares: Tensor, dimension: Tensor) -> tuple[Tensor, Tensor]:
            contender = draw_contender(self.k, self.rule, norm, dimension, generator)
            return winning_move(self.rule, contender, norm, product, squares)

        return fused_noise(clean, move, generator, self._centre_of(clean))

    def _move(self, clean: Tensor, counts: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Move a Gaussian draw, or what the view sees of it, to where the winner of k would be."""
        wide = torch.float32 if clean.device.type == "mps" else torch.float64

        def choose(source: torch.Generator | None) -> tuple[Tensor, Tensor, Contender]:
            rows = self._centred(clean, counts)
            if self.view is not None:
                rows = pooled(rows.view(clean.shape), self.view)
            if self.whitening is not None:
                rows = rows.float() @ self.whitening.to(rows.device)
            rows, norm = measured(rows, "clean")  # x, [B, D], or [B, D/f²] on a view
            norm = norm.to(wide)
            space = torch.full_like(norm, rows.shape[1]) if counts is None else counts.sum(1).to(wide)
            return rows, norm, draw_contender(self.k, self.rule, norm, space, source)

        noise, (rows, norm, contender) = draw_alongside(clean, generator, choose)
        moved = as_rows(noise)  # z, [B, D]
        if self.view is not None:
            moved = pooled(moved.view(clean.shape), self.view)  # [B, D/f²]
            seen = moved.clone()
        product = row_dots(moved.to(rows.dtype), rows).to(wide)
        squares = row_norms(moved if counts is None else moved * counts).to(wide).square()
        stretch, along = winning_move(self.rule, contender, norm, product, squares)
        factor = stretch.to(moved.dtype)[:, None]
        # z keeps its Gaussian values wherever the mask excludes them: there x is 0.
        factor = factor if counts is None else torch.where(counts, factor, 1.0)
        moved = move_rows(moved, factor, rows.to(moved.dtype), along.to(moved.dtype)[:, None])
        if self.view is not None:
            return (noise + spread(moved - seen, clean, self.view)).to(clean.dtype)
        return moved.view(clean.shape).to(clean.dtype)

    def _centred(self, clean: Tensor, counts: Tensor | None) -> Tensor:
        """The images that the choice is made against: centred, zero where masked; [B, D]."""
        rows = as_rows(clean)
        if counts is not None:  # padding may hold anything, NaN too
            rows = rows.masked_fill(~counts, 0.0)
        centre = self._centre_of(clean, rows, counts)
        if centre is None:
            return rows
        rows = less_centre(rows, centre)
        return rows if counts is None else rows.masked_fill(~counts, 0.0)

    def _centre_of(
        self, clean: Tensor, rows: Tensor | None = None, counts: Tensor | None = None
    ) -> Tensor | None:
        """What is subtracted from every row, [D]; rows: those of `clean`, zero where masked."""
        rows = as_rows(clean) if rows is None and isinstance(self.centre, str) else rows
        if isinstance(self.centre, Tensor):
            try:
                centre = self.centre.detach().to(clean.device).expand(clean.shape[1:])
            except RuntimeError:
                raise ValueError(
                    f"centre has shape {tuple(self.centre.shape)}, which does not broadcast to one image of "
                    f"shape {tuple(clean.shape[1:])}; pass the mean image, or its mean per channel"
                ) from None
            return centre.to(torch.float32 if rows is None else rows.dtype).reshape(-1)
        if self.centre is None or rows is None:
            return None
        if len(clean) == 1:
            raise ValueError(
                "centre='batch' needs at least 2 rows, got batch size 1, which its own mean would erase; "
                "pass the data set's mean image as centre, or None"
            )
        if counts is None:
            return rows.mean(dim=0)
        return rows.sum(dim=0) / counts.sum(dim=0).clamp(min=1)
