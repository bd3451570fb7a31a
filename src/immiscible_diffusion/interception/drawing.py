"""Finds the one line that draws the training step's noise, while a script runs, and answers it.

A `TorchFunctionMode` sees every call of torch on this thread, so nothing is patched. A draw is the training
noise where it is of the user's own code, says which images it is for (`randn_like(images)`, or `randn` of a
shape that was read off them), is drawn with gradients on, and for images that are data: no activation, no
noise. Two such lines in the first step are an error, which asks for the line.
"""

import os
import sys
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from immiscible_diffusion.interception.findings import Drawn, Interception, Sighting
from immiscible_diffusion.interception.places import Call, Place, calling_place, installed, named_place
from immiscible_diffusion.pairing import Above, Pairing, Staged

SHAPE: Any = torch.Tensor.shape.__get__  # type: ignore[attr-defined]
LOSSES = (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss)
WITHOUT_STEP = 1_000  # draws after which a step is taken to be over, if none was seen to end
REMEMBERED = 256  # shapes that were read off tensors last


class _Enough(BaseException):
    """Ends a script that was only to be watched."""


@contextmanager
def paired_noise(
    pairing: Pairing | None,
    *,
    at: str | None = None,
    generator: torch.Generator | None = None,
    stop_after: int | None = None,
) -> Iterator[Interception]:
    """Answer the training step's `torch.randn_like(images)` with `pairing(images)`, whoever calls it.

    pairing: called with the images that the noise is drawn for, in the dtype and on the device asked for;
        None watches and replaces nothing.
    at: FILE:LINE of the draw, where there is more than one or it is not found; FILE may be a path's end.
    generator: used where the script passes none; None is torch's own, as for `torch.randn_like`.
    stop_after: leave the block once so many images were paired (their targets too where the loss is seen).
    Holds for the thread that enters it, and not in its data loader's workers.
    Yields the record, which `print` reports and whose `diagnose()` proves it.
    Raises ValueError where a second line draws noise for images in the first step, or `at` is no place, and
    for a pairing of some noise levels or of a part of training, which that line does not know.
    """
    if isinstance(pairing, Above | Staged):
        raise ValueError(
            f"pairing {type(pairing).__name__} needs the noise level of every row or the step of training, "
            "which the line that draws the noise does not know; give the pairing that is inside it, or "
            "change the line by hand: noise = Above(pairing, level).at(sigmas)(images)"
        )
    record = Interception(pairing)
    mode = _Answering(record, None if at is None else named_place(at), generator, stop_after)
    try:
        with mode:
            yield record
    except _Enough:
        pass


def ambiguous(error: BaseException) -> bool:
    """Whether an error is `paired_noise` asking for the line, and not the script's own."""
    return isinstance(error, _AmbiguousError)


class _AmbiguousError(ValueError):
    pass


class _Answering(TorchFunctionMode):
    def __init__(
        self,
        record: Interception,
        named: Place | None,
        generator: torch.Generator | None,
        stop_after: int | None,
    ) -> None:
        super().__init__()
        self.record, self.named, self.generator, self.stop_after = record, named, generator, stop_after
        self.process, self.thread = os.getpid(), threading.get_ident()
        self.chosen: Call | None = None
        self.stepped = False  # whether the first step is over
        self.sizes: OrderedDict[int, tuple[torch.Size, weakref.ref[Tensor]]] = OrderedDict()
        # Kept by identity: tensors have no equality that a set could use.
        self.noises: dict[int, weakref.ref[Tensor]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.randn_like or func is torch.randn:
            return self._draw(func, args, kwargs)
        answer = func(*args, **kwargs)
        if func == SHAPE or func is torch.Tensor.size:
            if isinstance(answer, torch.Size) and len(answer) > 1:
                self._remember(answer, args[0])
        elif func in LOSSES:
            self._see_target(*args[:2])
        elif func is torch.Tensor.backward:
            self.stepped = True
        return answer

    def _draw(self, func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        call = calling_place(sys._getframe(2))
        images = self._images(func, args, kwargs)
        shape = tuple(images.shape) if images is not None else _asked(args)
        why_not = self._why_not(call, images, shape, kwargs)
        if why_not is not None or images is None:
            noise = func(*args, **kwargs)
            if why_not:
                self._pass_by(call, shape, why_not)
        else:
            noise = self._answer(call, func, images, args, kwargs)
        if noise.ndim > 2:
            key = id(noise)
            self.noises[key] = weakref.ref(noise, lambda _: self.noises.pop(key, None))
        return noise

    def _why_not(
        self, call: Call, images: Tensor | None, shape: tuple[int, ...], kwargs: dict[str, Any]
    ) -> str | None:
        """Why a draw is left alone: a reason, "" for one that nobody need hear of, None to pair it."""
        if (
            torch.compiler.is_compiling()
            or os.getpid() != self.process
            or threading.get_ident() != self.thread
        ):
            return ""
        if self.named is not None:
            if not call.place.is_named(self.named):
                return "" if installed(call.place.file) or len(shape) < 3 else "not the place named"
            if images is None or kwargs.get("out") is not None:
                raise _AmbiguousError(
                    f"the draw at {call.place} does not say which images it is for; there, write "
                    "torch.randn_like(images) or noise = pairing(images)"
                )
            return None if images.is_floating_point() else "no floats"
        if len(shape) < 3:
            return ""
        if call.ours:
            return "a pairing of this package: the script pairs already"
        if installed(call.place.file):
            return "in an installed package"
        if shape[2:].count(1) == len(shape[2:]):
            return "one number a channel: a noise offset"
        if not torch.is_grad_enabled():
            return "gradients are off: sampling or evaluation"
        if images is None:
            return "does not say which images it is for"
        if not images.is_floating_point() or kwargs.get("out") is not None or kwargs.get("requires_grad"):
            return "no plain noise"
        known = self.noises.get(id(images))
        if known is not None and known() is images:
            return "noise for a noise: a perturbation"
        if images.requires_grad:
            return "for a tensor with a gradient: an activation"
        return self._second_place(call)

    def _second_place(self, call: Call) -> str | None:
        if self.chosen is None or self.chosen == call:
            return None
        if self.stepped or self.record.times > WITHOUT_STEP:
            if (call.place, SECOND) not in self.record.passed_by:
                warnings.warn(
                    f"noise for images is also drawn at {call.place}; only {self.chosen.place} is paired",
                    stacklevel=5,
                )
            return SECOND
        lines = f"{self.chosen.place} and {call.place}"
        raise _AmbiguousError(
            f"two draws of noise could be the training step's: {lines}; name the one to pair: "
            f"--at {os.path.basename(call.place.file)}:{call.place.line} (paired_noise(at=...))"
            + ("; they stand on one line, so first give each a line of its own" if _one_line(lines) else "")
        )

    def _answer(
        self, call: Call, func: Any, images: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        record = self.record
        if self.stop_after is not None and record.rows >= self.stop_after:
            raise _Enough
        if record.pairing is None:
            noise: Tensor = func(*args, **kwargs)
        else:
            like = func is torch.randn_like
            dtype = kwargs.get("dtype") or (images.dtype if like else torch.get_default_dtype())
            device = kwargs.get("device") or (images.device if like else torch.get_default_device())
            clean = images.detach().to(device, torch.promote_types(images.dtype, dtype))
            noise = record.pairing(clean, generator=kwargs.get("generator") or self.generator).to(dtype)
        self.chosen = call
        record.place, record.times = call.place, record.times + 1
        record.shape = record.shape or tuple(noise.shape)
        if not record.full:
            # Copied now: trainers add a noise offset in place.
            kept = (tensor.detach().to("cpu", copy=True) for tensor in (images, noise))
            record.drawn.append(Drawn(*kept))
        return noise

    def _images(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """The tensor that noise is drawn for, if the call says so."""
        if func is torch.randn_like:
            given = args[0] if args else kwargs.get("input")
            return given if isinstance(given, Tensor) else None
        size = args[0] if args else kwargs.get("size")
        if not isinstance(size, torch.Size) or id(size) not in self.sizes:
            return None
        remembered, tensor = self.sizes[id(size)]
        return tensor() if remembered is size else None

    def _remember(self, size: torch.Size, tensor: Tensor) -> None:
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            return
        self.sizes[id(size)] = size, weakref.ref(tensor)
        if len(self.sizes) > REMEMBERED:
            self.sizes.popitem(last=False)

    def _see_target(self, *compared: Any) -> None:
        """Keep what the network is compared with, once for each batch that is kept."""
        last = self.record.drawn[-1] if self.record.drawn else None
        if last is None or last.target is not None or self.record.times != len(self.record.drawn):
            return
        targets = [one for one in compared if isinstance(one, Tensor) and not one.requires_grad]
        if len(targets) == 1 and targets[0].shape == last.clean.shape:
            last.target = targets[0].detach().to("cpu", copy=True)

    def _pass_by(self, call: Call, shape: tuple[int, ...], reason: str) -> None:
        sighting = self.record.passed_by.setdefault((call.place, reason), Sighting(call.place, shape, reason))
        sighting.times += 1


SECOND = "a second place, found after the first step"


def _asked(args: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape that `torch.randn` was asked for, in any of its forms."""
    sizes = args[0] if args and isinstance(args[0], (tuple, list)) else args
    return tuple(int(side) for side in sizes if isinstance(side, int))


def _one_line(lines: str) -> bool:
    first, second = lines.split(" and ")
    return first == second
