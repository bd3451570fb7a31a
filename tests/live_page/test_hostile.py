"""What a careless or hostile request gets: a message. The server lives on, on this machine alone."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.live_page.conftest import Served

httpx = pytest.importorskip("httpx")
SAMPLE = ["run", "run", 5, 4, 0, "each in turn", "", 1]


@pytest.fixture(autouse=True)
def lives_on(served: Served) -> Iterator[None]:
    yield
    assert served.process.poll() is None
    assert httpx.get(f"{served.address}/config").status_code == 200


def ask(served: Served, name: str, data: Any) -> tuple[str, Any]:
    """Call an endpoint; "complete" or "error", and what it said."""
    address = f"{served.address}/gradio_api/call/{name}"
    content = json.dumps({"data": data}).encode()  # NaN as Python writes it, which JSON forbids
    begun = httpx.post(address, content=content, headers={"content-type": "application/json"})
    if begun.status_code != 200:
        return "error", begun.text
    said = httpx.get(f"{address}/{begun.json()['event_id']}", timeout=60).text
    event, held = said.strip().split("\n")[-2:]
    return event.removeprefix("event: "), json.loads(held.removeprefix("data: "))


def upload(served: Served, name: str, content: bytes) -> Any:
    return httpx.post(f"{served.address}/gradio_api/upload", files={"files": (name, content)}, timeout=60)


def edit_with(served: Served, path: str) -> tuple[str, Any]:
    held = {"path": path, "meta": {"_type": "gradio.FileData"}}
    image = {"background": held, "layers": [held], "composite": held}
    return ask(served, "edit", [None, None, image, "Fill", 0.5, 0.5, 0.5, 5, 1, 0, "", "", 1])


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (2, 10**9, "maximum|100"),
        (2, "many", "not supported|number"),
        (2, float("nan"), "steps must be a whole number"),
        (3, 1.5, "images must be a whole number from 1 to 64"),
        (4, -1, "seed must be a whole number"),
        (4, None, "seed must be a whole number"),
        (4, 1e300, "seed must be a whole number"),
        (7, float("inf"), "maximum|guidance"),
        (6, "x" * 5000, "prompt must be a text of at most 1000"),
        (0, "../../../etc", "not in the list|is no run"),
        (0, {"a": 1}, "not in the list|is no run|unhashable"),
    ],
)
def test_a_bad_value_is_named(served: Served, place: int, value: Any, words: str) -> None:
    data = [*SAMPLE]
    if place != 0:
        data[:2] = [None, None]
    data[place] = value
    event, said = ask(served, "sample", data)
    assert event == "error"
    assert any(word in json.dumps(said) for word in words.split("|")), said


@pytest.mark.parametrize(
    "place",
    [
        "gradio_api/file=/etc/passwd",
        "file=/etc/passwd",
        "gradio_api/file=../../../../../../etc/passwd",
        "gradio_api/file=/proc/self/environ",
        "gradio_api/file=runs/first-look/results.json",
        "static/..%2f..%2f..%2f..%2fetc/passwd",
        "assets/../../../../../../../etc/passwd",
        "gradio_api/proxy=http://example.com/",
        "gradio_api/theme.css/../../etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_page(served: Served, place: str) -> None:
    answer = httpx.get(f"{served.address}/{place}")
    assert "root:" not in answer.text and "PATH=" not in answer.text and "judged_at" not in answer.text
    assert answer.status_code >= 400 or "<!doctype html>" in answer.text.lower()


def test_a_file_that_was_not_uploaded_is_not_read(served: Served, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    for path in ("/etc/passwd", str(tmp_path / "private.png")):
        event, said = edit_with(served, path)
        assert event == "error" and "was not uploaded by a user" in json.dumps(said)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("edit", {11: "x" * 2000}, "prompt must be a text of at most 1000 characters"),
        ("edit", {12: float("nan")}, "guidance must be a number from 0 to 15"),
        ("edit", {8: 10**6}, "maximum"),
        ("curves", {0: ["../../etc"]}, "is no run|there is no run"),
        ("curves", {0: 3}, "choose 1 to 7 runs"),
        ("curves", {0: [{"a": 1}]}, "is no run|there is no run"),
    ],
)
def test_a_bad_value_of_other_tabs_is_named(
    served: Served, name: str, data: dict[int, Any], words: str
) -> None:
    usual = (
        [None, None, None, "Fill what is brushed (in-paint)", 0.5, 0.5, 0.5, 5, 1, 0, "", "", 1]
        if name == "edit"
        else [[]]
    )
    event, said = ask(served, name, [data.get(place, value) for place, value in enumerate(usual)])
    assert event == "error"
    assert any(word in json.dumps(said) for word in words.split("|")), said


@pytest.mark.parametrize(
    "dropped", [None, [1], {"across": "x", "down": 1}, {"across": 0.5, "down": 1e9}, {"across": float("nan")}]
)
def test_a_frame_dropped_nowhere_gets_a_message(served: Served, dropped: Any) -> None:
    made = httpx.get(f"{served.address}/config").json()["dependencies"]
    (number,) = [
        one["id"] for one in made if not one["inputs"] and [kind for _, kind in one["targets"]] == ["release"]
    ]
    sent = {"data": [], "event_data": dropped, "fn_index": number, "session_hash": "someone"}
    begun = httpx.post(
        f"{served.address}/gradio_api/queue/join",
        content=json.dumps(sent).encode(),
        headers={"content-type": "application/json"},
    )
    assert begun.status_code == 200
    with httpx.stream("GET", f"{served.address}/gradio_api/queue/data?session_hash=someone") as heard:
        said = next(line for line in heard.iter_lines() if "process_completed" in line)
    assert '"success":false' in said and "That did not work" in said


def test_what_is_no_image_gets_a_message(served: Served) -> None:
    (path,) = upload(served, "image.png", b"<html><script>alert(1)</script>").json()
    event, said = edit_with(served, path)
    assert event == "error" and "cannot identify image" in json.dumps(said)


@pytest.mark.parametrize("side", [3_000, 20_000])  # over our limit alone, and over pillow's own too
def test_a_huge_image_is_refused_before_it_is_decoded(served: Served, side: int) -> None:
    packed = io.BytesIO()
    Image.new("1", (side, side)).save(packed, "PNG")
    assert len(packed.getvalue()) < 2**20  # small to send, the larger 1.6 GB as colours
    (path,) = upload(served, "bomb.png", packed.getvalue()).json()
    event, said = edit_with(served, path)
    assert event == "error" and "exceeds limit" in json.dumps(said)
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 3 * 2**20  # KiB


def test_too_many_bytes_are_refused(served: Served) -> None:
    assert upload(served, "large.png", b"x" * (9 * 2**20)).status_code == 413
    long = httpx.post(f"{served.address}/gradio_api/call/sample", content=b"x" * (13 * 2**20))
    assert long.status_code == 413 and "bytes at most" in long.text


def test_bytes_sent_in_pieces_are_counted_too(served: Served) -> None:
    # A request that would be answered if it were shorter.
    request = json.dumps({"data": SAMPLE}).encode()
    pieces = (request[:-1], *(b" " * 2**20 for _ in range(13)), request[-1:])
    kind = {"content-type": "application/json"}
    address = f"{served.address}/gradio_api/call/sample"
    assert (
        httpx.post(address, content=iter([request[:-1], b" ", request[-1:]]), headers=kind).status_code == 200
    )
    try:
        answer = httpx.post(address, content=iter(pieces), headers=kind, timeout=60)
    except httpx.TransportError:
        return  # cut off
    assert answer.status_code >= 400


def test_another_name_for_this_machine_is_refused(served: Served) -> None:
    answer = httpx.get(served.address, headers={"host": "evil.example:80"})
    assert answer.status_code == 421 and "127.0.0.1" in answer.text


def test_it_listens_on_this_machine_alone(served: Served) -> None:
    known = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    lines = [line.split() for line in known.splitlines()]
    listening = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{served.port:04X}")]
    assert listening == [f"0100007F:{served.port:04X}"]


def test_pages_say_what_they_may_load(served: Served) -> None:
    answer = httpx.get(served.address)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert '"analytics_enabled":false' in answer.text.replace(" ", "")
