"""The input checks and views that the pairings share."""

import numpy as np
import torch
from scipy.linalg.blas import daxpy, dscal, saxpy, sscal
from torch import Tensor

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Up to this many elements a row, cancellation in ‖z‖² − a² is worth float64.
SHORT_ROW = 64
# Beyond this many, a float32 norm drifts: at 30 million ‖z‖² by 0.3 %, ten times what it varies by.
LONG_ROW = 65_536
PIECE = 8_192  # elements that BLAS does not think worth a second thread, and that fit in the first cache
LONG_ENOUGH = 512  # elements a row from which a call of BLAS a row is quicker than NumPy on all rows


def check_clean(clean: Tensor, generator: torch.Generator | None) -> None:
    """Refuse what no pairing can work on, before anything is drawn."""
    if not isinstance(clean, Tensor):
        raise TypeError(f"clean must be a torch.Tensor, got {type(clean).__name__}; convert it first")
    if clean.ndim < 2:
        raise ValueError(
            f"clean must have a batch dimension and at least one more, got shape {tuple(clean.shape)}; "
            "for a single image use clean[None]"
        )
    if clean.dtype not in FLOATS:
        raise TypeError(
            f"clean must be float16, bfloat16, float32 or float64, got {clean.dtype}; "
            "scale the images to floats first, e.g. images.float() / 127.5 - 1"
        )
    if generator is not None and not _same_place(generator.device, clean.device):
        raise ValueError(
            f"generator is on {generator.device} but clean is on {clean.device}; "
            f"make it with torch.Generator({str(clean.device)!r})"
        )


def _same_place(one: torch.device, other: torch.device) -> bool:
    """An index is compared only where both name one: "cuda" and "cuda:0" are the same place."""
    return one.type == other.type and (None in (one.index, other.index) or one.index == other.index)


def as_rows(clean: Tensor) -> Tensor:
    """View a batch as [B, D] in the precision that distances are accumulated in: never under float32."""
    short = clean.shape[1:].numel() <= SHORT_ROW and clean.device.type != "mps"
    precise = torch.float64 if clean.dtype == torch.float64 or short else torch.float32
    return clean.detach().flatten(1).to(precise)


def row_norms(rows: Tensor) -> Tensor:
    """‖row‖ of every row of [B, D], long ones summed in parts; non-finite wherever the row is."""
    if _numpy_reduces(rows):
        # torch's own root wakes its threads.
        return torch.from_numpy(np.sqrt(row_dots(rows, rows).numpy()))
    norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in rows.split(LONG_ROW, dim=1)])
    together: Tensor = torch.linalg.vector_norm(norms, dim=0)
    return together


def row_dots(one: Tensor, other: Tensor) -> Tensor:
    """⟨one, other⟩ of every row of [B, D], without a tensor of the products where that can be helped."""
    if not _numpy_reduces(one):
        products: Tensor = torch.linalg.vecdot(one, other)
        return products
    # torch's vecdot writes the products out, and its bmm may round its operands to bfloat16.
    pairs = zip(one.split(LONG_ROW, dim=1), other.split(LONG_ROW, dim=1), strict=True)
    parts = [np.einsum("bd,bd->b", left.numpy(), right.numpy()) for left, right in pairs]
    return torch.from_numpy(parts[0] if len(parts) == 1 else np.sum(parts, axis=0))


def less_centre(rows: Tensor, centre: Tensor) -> Tensor:
    """[B, D] − [D]."""
    if not _numpy_reduces(rows):
        return rows - centre
    return torch.from_numpy(np.subtract(rows.numpy(), centre.numpy()))


def _numpy_reduces(rows: Tensor) -> bool:
    """In one thread: torch would wake a second one for each pass, which costs more than the pass where that
    one has other work, and drawing the noise is in one thread anyway."""
    return rows.device.type == "cpu" and not torch.compiler.is_compiling()


def move_rows(noise: Tensor, stretch: Tensor, clean: Tensor, along: Tensor) -> Tensor:
    """Turn noise [B, D] into stretch · noise + along · clean, in place.

    stretch: [B, 1] or [B, D]. along: [B, 1].
    """
    if torch.compiler.is_compiling() or noise.device.type != "cpu":
        return noise.mul_(stretch).addcmul_(clean, along)
    if stretch.shape[1] > 1:
        np.multiply(noise.numpy(), stretch.numpy(), out=noise.numpy())
        stretch = torch.ones_like(along)
    if noise.shape[1] < LONG_ENOUGH:
        np.multiply(noise.numpy(), stretch.numpy(), out=noise.numpy())
        np.add(noise.numpy(), np.multiply(clean.numpy(), along.numpy()), out=noise.numpy())
        return noise
    # BLAS needs no thread, no temporary, and half of the time that NumPy's or torch's pieces take.
    scale, add = (sscal, saxpy) if noise.dtype == torch.float32 else (dscal, daxpy)
    weights = zip(stretch[:, 0].tolist(), along[:, 0].tolist(), strict=True)
    for row, towards, (factor, weight) in zip(noise.numpy(), clean.numpy(), weights, strict=True):
        for start in range(0, len(row), PIECE):
            part = row[start : start + PIECE]
            scale(factor, part)
            add(towards[start : start + PIECE], part, a=weight)
    return noise


def measured(rows: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Rows [B, D] and their norms [B], in float64 where float32 cannot hold the norms.

    Raises ValueError for a value that is not finite, or whose square is not even in float64.
    """
    norms = row_norms(rows)
    check_finite(rows, norms, name)
    if not torch.compiler.is_compiling() and not bool(torch.isfinite(norms).all()):
        rows = rows.double()
        norms = row_norms(rows)
        if not bool(torch.isfinite(norms).all()):
            row = int((~torch.isfinite(norms)).nonzero()[0])
            raise ValueError(
                f"{name} is so large in row {row} that its squared norm overflows; scale it down"
            )
    return rows, norms


def mask_rows(mask: Tensor | None, clean: Tensor) -> Tensor | None:
    """View a mask as bool [B, D], or None where there is none.

    Raises ValueError where its sizes are not those of the leading dimensions of `clean` (or 1).
    """
    if mask is None:
        return None
    fits = mask.ndim <= clean.ndim and all(m in (1, c) for m, c in zip(mask.shape, clean.shape, strict=False))
    if mask.ndim < 1 or not fits:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}, which does not fit clean of shape {tuple(clean.shape)}; "
            "its sizes must be those of clean's leading dimensions, or 1"
        )
    if mask.dtype != torch.bool:
        raise TypeError(
            f"mask must be bool (True where an element counts), got {mask.dtype}; use mask.bool()"
        )
    if mask.device != clean.device:
        raise ValueError(
            f"mask is on {mask.device} but clean is on {clean.device}; use mask.to(clean.device)"
        )
    trailing = (1,) * (clean.ndim - mask.ndim)
    return mask.reshape(mask.shape + trailing).expand(clean.shape).flatten(1)


def check_finite(rows: Tensor, summaries: Tensor, name: str) -> None:
    """Name the first row that holds a NaN or an infinity; `summaries` [B] is non-finite wherever `rows` is.

    Reading a summary that was needed anyway makes the check free; compiled code cannot raise, and skips it.
    """
    if torch.compiler.is_compiling() or bool(torch.isfinite(summaries).all()):
        return
    bad = (~torch.isfinite(rows)).any(dim=1).nonzero()
    if len(bad):
        raise ValueError(
            f"{name} has a NaN or infinite value in row {int(bad[0])} "
            f"({len(bad)} of {len(rows)} rows are bad); remove or repair these images"
        )
