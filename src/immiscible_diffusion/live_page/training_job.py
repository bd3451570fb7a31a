"""The digits, trained twice in the background, vanilla and paired; measured on the way, stopped on demand."""

import dataclasses
import re
import threading
from pathlib import Path

from immiscible_diffusion.comparison import Plan, run_comparison, write_report
from immiscible_diffusion.experiments import named_experiment

PAIRINGS = ("independent", "assigned:within:above")
POINTS = 10  # measurements a run; the job also listens for a stop at each
STEP = re.compile(r"(\d+)/(\d+) .*: step (\d+)/(\d+)")


class StoppedError(Exception):
    """Someone asked the training to stop."""


class TrainingJob:
    """One training at a time, whoever asked for it; the rest of the page goes on."""

    def __init__(self, folder: Path, steps: int | None) -> None:
        experiment = dataclasses.replace(named_experiment("digits-flow"), class_conditional=True)
        self.experiment = dataclasses.replace(experiment, steps=steps or experiment.steps)
        self.folder = folder
        self.owner = ""
        self.share = 0.0  # that is done, 0 to 1
        self.said = ""
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, owner: str) -> None:
        """Begin, or go on where it was stopped. While it runs a second call only watches."""
        with self._lock:
            if not self.running:
                self.owner, self.share, self.said = owner, 0.0, "Starting …"
                self._stop.clear()
                self._thread = threading.Thread(target=self._train, name="training", daemon=True)
                self._thread.start()

    def stop(self, owner: str) -> None:
        """Stop at the next measurement; what was trained is kept. Raises ValueError for someone else's."""
        if self.running and owner != self.owner:
            raise ValueError("this training was started on another page; it can be stopped there")
        self._stop.set()

    def close(self) -> None:
        """Stop and wait until all is on disk."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=60)

    def _train(self) -> None:
        plan = Plan(PAIRINGS, seeds=1, points=min(POINTS, self.experiment.steps), count=500)
        try:
            comparison, samples = run_comparison(self.experiment, plan, self.folder, self._heard, jobs=1)
            report = write_report(comparison, samples, self.folder)
            self.said = f"Done. The comparison is on the Compare tab and in {report}."
            self.share = 1.0
        except StoppedError:
            self.said = "Stopped. What was trained is kept: start again to go on."
        except Exception as error:  # whatever it was, the page must say so
            self.said = f"The training failed: {error}"

    def _heard(self, line: str) -> None:
        self.said = line
        if found := STEP.match(line):
            run, runs, step, steps = map(int, found.groups())
            self.share = (run - 1 + step / steps) / runs
        if self._stop.is_set():
            raise StoppedError
