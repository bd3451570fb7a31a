"""Run the command many times in real processes, killed where a test says, for a start-up paid once.

Run as a script: reads one JSON request a line, forks a process that has everything imported, answers in JSON.
"""

import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}

Command = Callable[..., "subprocess.CompletedProcess[str]"]
SECONDS = 600  # that one process may take


class Forks:
    """The other end: `run` asks for one process and waits for it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # One thread: only such a process can be forked.
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def run(self, *arguments: str, folder: Path, **request: Any) -> dict[str, Any]:
        """Run `immiscible *arguments` in `folder`; returns its exit code and what it said.

        after: seconds to SIGKILL it after. events: file operations in the folder's runs that it may begin
        before it kills itself. signals: [[file pattern to wait for, signal, seconds after that], ...].
        file_bytes: the largest file that it may write. variables: of its environment, besides ours.
        processes: so many at once as ranks of one run, without a launcher that would end those left over;
        codes, stdouts and stderrs are then lists by rank, and what is done is done to the rank `of` alone,
        which has the variables of `only` besides.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps({"arguments": arguments, "folder": str(folder), **request}), file=self.process.stdin)
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def command(
        self, *arguments: str, folder: Path, ok: bool = True, **request: Any
    ) -> "subprocess.CompletedProcess[str]":
        """The same, for one process that must succeed, or (ok false) must not."""
        done = self.run(*arguments, folder=folder, **request)
        assert (done["code"] == 0) == ok, f"{arguments}\n{done['stdout']}\n{done['stderr']}"
        return subprocess.CompletedProcess(arguments, done["code"], done["stdout"], done["stderr"])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


# What commands import when they get to it: half of a short command's time.
IMPORTED = (
    "datasets",
    "diffusers.models.unets.unet_2d",
    "immiscible_diffusion.cli.main",
    "immiscible_diffusion.comparison",
    "immiscible_diffusion.policy.runs",
    "immiscible_diffusion.runs.images",
    "immiscible_diffusion.scoring",
    "immiscible_diffusion.text_to_image.runs",
    "matplotlib.pyplot",
    "sklearn.datasets",
    "tensorboard.summary.writer.event_file_writer",
    "torch._dynamo",
    "torch.utils.tensorboard",
)


def serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as said:
            count = request.pop("processes", 1)
            if count == 1:
                answer = _answer(request, Path(said))
            else:
                answer = _ranks(request, Path(said), count)
            print(json.dumps(answer), flush=True)


def _answer(request: dict[str, Any], said: Path) -> dict[str, Any]:
    child = os.fork()
    if child == 0:
        _become(request, said)
    code, reached = _watch(child, request)
    return {"code": code, "reached": reached, **_read(said)}


def _ranks(request: dict[str, Any], said: Path, count: int) -> dict[str, Any]:
    """Run so many ranks at once, each watched by a process of its own; what they answer, in lists."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked, everyone = request.pop("of", 0), ("arguments", "folder", "variables")
    watchers = []
    for rank in range(count):
        own = said / str(rank)
        own.mkdir()
        mine = request if rank == asked else {name: request[name] for name in everyone if name in request}
        launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        launched |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            **mine.get("variables", {}),
            **mine.get("only", {}),
        }
        mine = {**mine, "variables": launched}
        watchers.append(os.fork())
        if watchers[-1] == 0:
            (own / "answer").write_text(json.dumps(_answer(mine, own)))
            os._exit(0)
    for watcher in watchers:
        os.waitpid(watcher, 0)
    answers = [json.loads((said / str(rank) / "answer").read_text()) for rank in range(count)]
    return {f"{name}s": [answer[name] for answer in answers] for name in answers[0]}


def _become(request: dict[str, Any], said: Path) -> None:
    """In the new process: be `immiscible ...`."""
    code = 1
    try:
        os.chdir(request["folder"])
        os.environ.update({name: str(value) for name, value in request.get("variables", {}).items()})
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(said / name, os.O_CREAT | os.O_WRONLY), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if "file_bytes" in request:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error, as a full disk is, not the end
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"],) * 2)
        if "events" in request:
            _die_at(request["events"], request["folder"])
        sys.argv = ["immiscible", *request["arguments"]]
        from immiscible_diffusion.cli.main import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_at(events: int, folder: str) -> None:
    """Kill this process when it begins its so-manieth operation on files below a folder."""
    left = events

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal left
        if event in FILE_EVENTS and isinstance(given[0], str | os.PathLike):
            path = os.fspath(given[0])
            # Reading is no event: only what opens to write can be torn.
            if event == "open" and not given[2] & (os.O_WRONLY | os.O_RDWR):
                return
            if os.path.abspath(path).startswith(folder):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _watch(child: int, request: dict[str, Any]) -> tuple[int, int]:
    """Do to the process what was asked; its exit code, and how many of the signals reached it."""
    deadline, reached = time.monotonic() + SECONDS, 0
    if "after" in request:
        time.sleep(request["after"])
        os.kill(child, signal.SIGKILL)
    for pattern, number, seconds in request.get("signals", ()):
        while not list(Path(request["folder"]).glob(pattern)) and time.monotonic() < deadline:
            time.sleep(0.0005)
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
        else:
            time.sleep(seconds)
            os.kill(child, number)
            reached += 1
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), reached
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 124, reached


def _read(said: Path) -> dict[str, str]:
    return {
        name: (said / name).read_text() if (said / name).exists() else "" for name in ("stdout", "stderr")
    }


if __name__ == "__main__":
    serve()
