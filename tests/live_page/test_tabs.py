"""A newcomer's way through every tab, in Chromium, on runs trained from the page itself."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser import chromium, contrast
from tests.live_page.conftest import STEPS, Served, end, serve
from tests.policy.conftest import recorded  # noqa: F401

pytest.importorskip("gradio")
LONGEST = 120_000  # milliseconds to wait for anything, on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def opened(browser: Any, served: Served, **context: Any) -> tuple[Any, list[str]]:
    page = browser.new_page(viewport={"width": 1200, "height": 900}, **context)
    page.set_default_timeout(LONGEST)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served.address)
    page.get_by_role("tab", name="Robot").wait_for()
    return page, asked


def press(page: Any, tab: str, button: str, picture: str) -> Any:
    """Press a tab's button; wait for the picture whose words begin so, and give its figure."""
    page.get_by_role("tab", name=tab, exact=True).click()
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_role("img", name=re.compile(f"^{picture}")).first.wait_for()
    return page.locator("figure:visible")


def test_every_tab_shows_something_real(browser: Any, served: Served) -> None:
    page, asked = opened(browser, served)
    assert "nothing yet" in page.get_by_text("Found in").inner_text()

    # Nothing to look at yet: in words, and the page goes on.
    page.get_by_role("tab", name="Sample").click()
    page.get_by_role("button", name="Sample", exact=True).click()
    page.get_by_text("there is no run yet; train the digits").wait_for()

    page.get_by_role("tab", name="Start").click()
    page.get_by_role("button", name="Train the digits").click()
    page.get_by_role("status").filter(has_text="Done.").wait_for()
    page.get_by_text("image runs 2, comparisons 1").wait_for()
    assert (served.folder / "runs" / "first-look" / "report.html").exists()

    both = press(page, "Sample", "Sample", "Grid of 16 generated images")
    assert both.count() == 2
    captions = both.locator("figcaption").all_inner_texts()
    assert captions[0].startswith(f"independent, {STEPS} training steps; 16 images, 20 steps, seed 0")
    assert captions[1].startswith(f"assigned:within:above, {STEPS} training steps")
    sources = both.locator("img").evaluate_all("images => images.map(image => image.src)")
    assert sources[0] != sources[1]

    moved = press(page, "Perturb", "Perturb", "Rows of images")
    assert re.search(
        r"W = 0.1 .*independent: [\d.]+ of 255; assigned:within:above: [\d.]+", moved.inner_text()
    )
    page.get_by_role("spinbutton", name="W, how far").fill("0.5")
    page.get_by_role("button", name="Perturb", exact=True).click()
    page.get_by_text("change of pixels at W = 0.5").wait_for()

    assert "3 noises (rows)" in press(page, "Denoise", "Denoise", "Film strips").inner_text()

    edit(page)

    page.get_by_role("tab", name="Noise", exact=True).click()
    assert "6.00 of 6 images still in play" in page.locator("figure:visible").inner_text()
    slider = page.get_by_role("slider", name=re.compile("k: each image"))
    slider.focus()
    slider.press("End")  # by keyboard: k = 64
    page.get_by_text("at k = 64").wait_for()
    left = re.search(r"has ([\d.]+) of 6", page.locator("figure:visible").inner_text())
    assert left and float(left[1]) < 4  # territories have separated
    press(page, "Noise", "Measure the miscibility of these images", "Entropy against time")

    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Show the report").click()
    report = page.frame_locator("iframe.report")
    report.get_by_role("heading", name="Did pairing save training steps?").wait_for()
    assert report.get_by_role("table").count() >= 4
    assert report.get_by_text("ran with one seed, which cannot tell").count() >= 1
    assert report.get_by_role("img", name=re.compile("^Grids of")).count() == 1

    page.get_by_role("button", name="Show the curves").click()
    page.get_by_role("img", name=re.compile(rf"^Line charts .*independent.* at step {STEPS}")).wait_for()
    page.get_by_text("No distance was measured while these runs trained").wait_for()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download runs.csv").click()
    assert Path(started.value.path()).read_text().startswith("run,step,quantity,value,how\n")
    with page.expect_download() as started:
        report.get_by_role("link", name="Download results.csv").click()
    assert Path(started.value.path()).read_text().startswith("pairing,seed,step,")

    page.get_by_role("tab", name="Robot").click()
    page.get_by_text("immiscible train pusht-small").wait_for()

    elsewhere = [url for url in asked if not re.match(rf"({served.address}|data:|blob:|about:)", url)]
    assert elsewhere == []
    page.close()


def test_two_at_once_each_get_their_own(served: Served) -> None:
    from gradio_client import Client

    runs = found(served)
    if not runs:
        pytest.skip("the page has no runs: the test that trains them did not run here, or had no Chromium")
    assert len(runs) == 2

    def samples(client: Client, seed: int) -> str:
        return client.predict(*runs, 5, 4, seed, "each in turn", "", 1, api_name="/sample")

    first, second = (Client(served.address, verbose=False) for _ in range(2))
    alone = [samples(first, 1), samples(second, 2)]
    assert alone[0] != alone[1]
    jobs = [
        client.submit(*runs, 5, 4, seed, "each in turn", "", 1, api_name="/sample")
        for client, seed in ((first, 1), (second, 2), (first, 1), (second, 2))
    ]
    assert [job.result(timeout=120) for job in jobs] == alone * 2


def found(served: Served) -> list[str]:
    folders = [
        Path("runs/first-look/runs") / f"{name}-seed0" for name in ("independent", "assigned-within-above")
    ]
    named = zip(("independent", "assigned:within:above"), folders, strict=True)
    return [
        f"digits-flow · {pairing} · seed 0 · {folder}"
        for pairing, folder in named
        if (served.folder / folder).is_dir()
    ]


def edit(page: Any) -> None:
    page.get_by_role("tab", name="Edit", exact=True).click()
    page.get_by_role("button", name="Paint", exact=True).click()
    page.get_by_text("there is no image yet").first.wait_for()
    page.get_by_role("button", name="Take this image").click()
    label = page.get_by_role("textbox", name="Class of the image")
    page.wait_for_function("one => one.value === '0'", arg=label.element_handle())  # that of the first digit
    canvas = page.locator("canvas:visible").first
    page.wait_for_function("document.querySelector('.image-container canvas') !== null")
    page.wait_for_timeout(1500)  # the editor draws the image some frames after its canvas is there
    box = canvas.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] - 60, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 5, steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Paint", exact=True).click()
    page.get_by_role("img", name=re.compile("^Images side by side")).wait_for()
    said = page.locator("figure:visible").last.inner_text()
    assert said.startswith("From left: what is kept, independent, assigned:within:above.")
    share = re.search(r"(\d+)% of the pixels", said)
    assert share and 3 <= int(share[1]) <= 60

    frame = page.get_by_role("slider", name=re.compile("share of the side"))
    frame.focus()
    frame.press("ArrowLeft")
    page.get_by_text("grey is painted anew").wait_for()
    page.locator("label.selected", has_text="Keep the frame").wait_for()
    drag_the_frame(page)
    page.get_by_role("button", name="Paint", exact=True).click()
    page.get_by_text("75% of the pixels").wait_for()  # 4 × 4 of 8 × 8 stay


def drag_the_frame(page: Any) -> None:
    """Pull it to the bottom left, and further; the sliders must follow."""
    frame = page.locator(".frame")
    box = frame.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 300, box["y"] + 500, steps=6)
    page.mouse.up()
    for name, value in (("left", "0"), ("top", "1")):
        slider = page.get_by_role("spinbutton", name=re.compile(f"Frame: {name} "))
        page.wait_for_function(f"one => one.value === '{value}'", arg=slider.element_handle())
    page.wait_for_function("document.querySelector('.frame').style.cssText.startsWith('top: 50%; left: 0%')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_used_by_ear_and_keyboard(browser: Any, served: Served, scheme: str) -> None:
    page, _ = opened(browser, served, color_scheme=scheme)
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title() == "Immiscible diffusion: see it and touch it"
    assert page.get_by_role("heading", level=1).count() == 1
    bright = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(bright[:3]) > 600) == (scheme == "light")
    for selector in ("h1", "p", "[role=tab]", "[role=tab][aria-selected=true]", "button.primary"):
        assert contrast(page, selector) >= 4.5, selector
    tabs = page.get_by_role("tab")
    names = tabs.all_inner_texts()
    assert names == ["Start", "Sample", "Perturb", "Denoise", "Edit", "Noise", "Compare", "Robot"]
    tabs.nth(1).focus()
    page.keyboard.press("Enter")
    assert tabs.nth(1).get_attribute("aria-selected") == "true"
    unnamed = page.evaluate(
        """[...document.querySelectorAll('input, textarea, select, button')]
            .filter(one => one.checkVisibility())
            .filter(one => !(one.labels?.length || one.ariaLabel || one.title || one.textContent.trim()
                || one.getAttribute('aria-labelledby')))
            .map(one => one.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []
    page.close()


def test_text_to_image_runs_are_told_what_to_make(browser: Any, prompted: Path, tmp_path: Path) -> None:
    served = serve(tmp_path, prompted)
    page, _ = opened(browser, served)
    page.get_by_text("text-to-image runs 2").wait_for()
    page.get_by_role("tab", name="Sample", exact=True).click()
    page.get_by_role("textbox", name="Prompt (text-to-image runs)").fill("kind 2")
    both = press(page, "Sample", "Sample", "Grid of 9 generated images").locator("figcaption")
    assert [said.split(",")[0] for said in both.all_inner_texts()] == ["independent", "assigned:within:above"]
    assert all("“kind 2”, guidance 1" in said for said in both.all_inner_texts())

    page.get_by_role("tab", name="Edit", exact=True).click()
    page.get_by_role("button", name="Take this image").click()
    prompt = page.get_by_role("textbox", name=re.compile("^Prompt: what to paint"))
    page.wait_for_function("one => one.value === 'kind 0'", arg=prompt.element_handle())
    page.locator(".frame").wait_for()
    drag_the_frame(page)
    page.locator("label.selected", has_text="Keep the frame").wait_for()
    page.get_by_role("button", name="Paint", exact=True).click()
    page.get_by_role("img", name=re.compile("^Images side by side")).wait_for()
    assert page.locator("figure:visible").last.inner_text() == (
        "From left: what is kept, independent, assigned:within:above. 75% of the pixels painted, from the "
        "same noise, “kind 0”, guidance 1."
    )
    page.get_by_role("tab", name="Perturb", exact=True).click()
    page.get_by_role("button", name="Perturb", exact=True).click()
    page.get_by_text("there is no run on images yet").wait_for()
    page.close()
    assert end(served) == 0


def test_a_policy_pushes_the_t(browser: Any, recorded: Path, tmp_path: Path) -> None:  # noqa: F811
    from immiscible_diffusion.experiments import any_experiment
    from immiscible_diffusion.policy.runs import advance_policy, open_policy_run

    named = any_experiment("pusht-small")
    for pairing in ("independent", "nearest:2"):
        settings = {"data": str(recorded), "steps": 4, "batch_size": 16, "pairing": pairing}
        run = open_policy_run(dataclasses.replace(named, **settings), tmp_path / pairing.replace(":", "-"))
        assert len(list(advance_policy(run))) == 4
    served = serve(tmp_path, tmp_path / "independent", tmp_path / "nearest-2")
    page, _ = opened(browser, served)
    page.get_by_role("tab", name="Robot").click()
    page.get_by_role("spinbutton", name=re.compile("Longest episode")).fill("20")
    page.get_by_role("button", name="Let it push").click()
    page.get_by_role("img", name=re.compile("^Film of a robot")).nth(1).wait_for()
    said = page.locator("figure:visible").all_inner_texts()
    assert said[0].startswith("independent: score 0.") and said[1].startswith("nearest:2: score 0.")
    assert all("after 20 steps" in one for one in said)
    page.close()
    assert end(served) == 0
