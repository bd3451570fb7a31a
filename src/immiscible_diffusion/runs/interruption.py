"""Ctrl-C that tears nothing: the step in hand is finished first, and nothing being saved is cut short."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (int(signal.SIGINT), int(signal.SIGTERM))


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a flag, so that no step is torn; a second one is immediate.

    (A second one of its kind: launchers send SIGTERM after the Ctrl-C that all processes have had.)
    """
    stop = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        stop.set()
        # SIGTERM's own default would end the process where it is, cleaning up nothing.
        signal.signal(number, _raise_interrupt)

    with _handlers(request):
        yield stop


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is left; the last one then arrives as it would have."""
    held: list[int] = []
    with _handlers(lambda number, frame: held.append(number)):
        yield
    if held:
        signal.raise_signal(held[-1])


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where Python delivers signals
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, own)


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
