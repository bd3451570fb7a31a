"""The benchmark measures what it says, and says what it did not measure."""

import json
import time
from pathlib import Path

import pytest
import torch

from immiscible_diffusion.benchmark import bench_pairing, bench_waiting
from immiscible_diffusion.benchmark.measurement import Row, measure, peak_bytes
from immiscible_diffusion.benchmark.methods import Method, methods
from immiscible_diffusion.benchmark.tables import markdown, number, table_5
from immiscible_diffusion.pairing import Independent

CLEAN = torch.randn((8, 3, 32, 32), generator=torch.Generator().manual_seed(0))


def sleeping(seconds: float):
    def draw(clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        time.sleep(seconds)
        return torch.randn_like(clean)

    return draw


def test_the_whole_table_is_written(tmp_path: Path) -> None:
    said: list[str] = []
    before = torch.get_num_threads()
    rows = bench_pairing(
        tmp_path,
        ["CIFAR-10", "video"],
        [2, 128],
        repeats=1,
        seconds=1,
        memory=1.5,
        threads=1,
        report=said.append,
    )
    assert torch.get_num_threads() == before
    assert len(rows) == 4 * len(methods(torch.device("cpu")))
    found = {(row.method, row.size, row.batch): row for row in rows}
    ours, literal = found["Nearest k=64", "CIFAR-10", 128], found["Algorithm 1, k=64, fp32", "CIFAR-10", 128]
    assert ours.milliseconds and literal.milliseconds and literal.milliseconds > 5 * ours.milliseconds
    assert ours.extra_batches is not None and ours.extra_batches < 1.1
    assert literal.extra_batches is not None and literal.extra_batches > 100
    assert ours.distance_change == pytest.approx(-2.6, abs=0.3) == literal.distance_change
    above = found["Nearest k=64 by dot, above a level", "CIFAR-10", 128].distance_change
    assert above == pytest.approx(-2.3 / 2, abs=0.3)  # every other row is paired, by the inner product
    assert found["Algorithm 1, k=64, fp32", "video", 2].not_run == "would hold 2 GiB"
    assert "the images alone are" in found["Nearest k=8", "video", 128].not_run
    assert found["Nearest k=8, fused", "CIFAR-10", 2].not_run == "no GPU"
    stored = json.loads((tmp_path / "pairing.json").read_text(encoding="utf-8"))
    assert len(stored["rows"]) == len(rows) and stored["conditions"]["GPU"] == "not run"
    assert said[-1] == (tmp_path / "pairing.md").read_text(encoding="utf-8")
    assert (tmp_path / "pairing.png").read_bytes().startswith(b"\x89PNG")


def test_times_ratios_and_turns() -> None:
    compared = [Method("one", sleeping(0.01)), Method("three", sleeping(0.03)), Method("slow", sleeping(0.2))]
    one, three, slow = measure(compared, CLEAN, "x", repeats=5, seconds=0.25, memory=1e9)
    assert one.ratio == 1 and three.ratio == pytest.approx(3, rel=0.3)
    assert (one.runs, three.runs, slow.runs) == (5, 5, 2)
    assert one.milliseconds == pytest.approx(10, rel=0.5)


def test_peak_memory_counts_what_lives_at_once() -> None:
    def call() -> torch.Tensor:
        first = CLEAN * 2
        del first
        second = CLEAN * 3
        return second * second

    peak, _ = peak_bytes(call, torch.device("cpu"))
    assert peak == 2 * CLEAN.numel() * 4


def test_every_method_pairs_every_image_with_noise() -> None:
    generator = torch.Generator().manual_seed(1)
    for method in methods(torch.device("cpu")):
        if not method.unavailable:
            noise = method.draw(CLEAN, generator)
            assert noise.shape == CLEAN.shape and abs(float(noise.std()) - 1) < 0.05, method.name


def test_table_5_has_the_papers_layout() -> None:
    rows = [
        Row(name, "CIFAR-10", batch, milliseconds=time)
        for batch in (128, 256, 512, 1024)
        for name, time in [("scipy on Euclidean cdist", 20.0), ("Assigned", 4.0), ("Nearest k=8", 0.5)]
    ]
    lines = table_5(rows).splitlines()
    assert lines[0] == "| ms | 128 | 256 | 512 | 1024 |"
    assert "| authors' KNN, k=8 | not run | not run | not run | not run |" in lines
    assert "| authors' assignment / ours | 5.0× | 5.0× | 5.0× | 5.0× |" in lines
    assert "| authors' assignment / our nearest | 40.0× | 40.0× | 40.0× | 40.0× |" in lines


def test_what_was_not_run_is_in_the_table() -> None:
    text = markdown([Row("Assigned", "SDXL", 4096, not_run="would hold 9 GiB")], {"device": "none"})
    assert "| 4096 | Assigned | not run |  |  | would hold 9 GiB |" in text


def test_numbers_have_three_digits() -> None:
    assert [number(value) for value in (0.01234, 1.234, 12.34, 123.4, 12345.6)] == [
        "0.0123",
        "1.23",
        "12.3",
        "123",
        "12,346",
    ]


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sizes must be some of CIFAR-10, SD, SDXL, video, got cifar"):
        bench_pairing(tmp_path, ["cifar"])
    with pytest.raises(ValueError, match=r"batches must be sizes of 1 or more, got \[0\]"):
        bench_pairing(tmp_path, batches=[0])


def test_waiting_is_hidden_behind_the_step() -> None:
    class Slow(Independent):
        def __call__(self, clean, **given):
            time.sleep(0.05)
            return super().__call__(clean, **given)

    front, back = bench_waiting(Slow(), lambda *_: time.sleep(0.1), CLEAN, steps=4)
    assert front.ahead == 0 and front.share == pytest.approx(1 / 3, abs=0.08)
    assert back.ahead == 1 and back.share < 0.1
    assert back.first > 0.04
