"""The page in headless Chromium.

What a person does with mouse, keyboard and phone, and that nothing is loaded or complained about.
"""

import json
import os
import re
import shutil
import time

import pytest

from inverse.report.page import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CALIBRATION = {
    "levels": [0.1, 0.5, 0.9],
    "coverage": [0.08, 0.4, 0.77],
    "coverage_low": [0.05, 0.3, 0.7],
    "coverage_high": [0.1, 0.5, 0.85],
    "tarp": {"levels": [0.1, 0.5, 0.9], "coverage": [0.2, 0.5, 0.8]},
    "sbc": {"counts": [5, 2, 2, 6], "expected": 3.75, "band": [1, 8]},
    "spread_skill": {"spread": [0.01, 0.03], "error": [0.02, 0.05]},
    "says": ["90 % intervals hold <77 %>"],
    "per_item": [],
}


class Seen:
    """A page in a window of its own, and all that it asked for or complained about."""

    def __init__(self, browser, path, **window):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | window)
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.url = path.as_uri()

    def __enter__(self):
        self.page.goto(self.url)
        return self.page

    def __exit__(self, kind, *_):
        found = [url for url in self.requests if not url.startswith(("data:", self.url))]
        self.context.close()
        if kind is None:
            assert (found, self.complaints) == ([], [])


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def path(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown") / "run"
    shutil.copytree(run_folder, folder)
    (folder / "calibration.json").write_text(json.dumps(CALIBRATION))
    return write_report(folder, truth=run_folder.parent / "photos")


def slider(page):
    return int(page.get_by_role("slider").get_attribute("aria-valuenow"))


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_the_worst_what_is_wrong_and_how_it_was_made_in_three_clicks(browser, path):
    with Seen(browser, path) as page:
        page.get_by_role("link", name="See what is wrong").click()
        item = page.locator("#item-view")
        item.get_by_role("heading", name="What is wrong with it").wait_for()
        assert item.locator(".against li").count() >= 1
        assert "Worst of 3 by PSNR" in item.inner_text()
        item.get_by_role("link", name="How it was made").click()
        page.wait_for_function("document.activeElement.id === 'item-made-title'")
        assert "inverse restore recipe.yaml" in item.inner_text()
        item.get_by_role("link", name="the recipe of the run").click()
        sync_api.expect(page.locator("#run-view")).to_contain_text("operator: {kind: random-mask")
        sync_api.expect(page.locator("#run-view")).to_contain_text("Recipe hash")


def test_slider_is_dragged_and_moved_by_keys(browser, path):
    with Seen(browser, path) as page:
        page.goto(f"{path.as_uri()}#/item/1")
        page.locator(".compare").evaluate("box => box.scrollIntoView({block: 'start'})")
        box = page.locator(".compare").bounding_box()
        middle = box["y"] + 80
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.25 * box["width"], middle, steps=4)
        assert slider(page) == pytest.approx(25, abs=1)
        shown = page.locator(".compare .over").evaluate("image => getComputedStyle(image).clipPath")
        assert shown.startswith("inset(0")
        page.mouse.move(box["x"] - 500, middle)
        page.mouse.up()
        assert slider(page) == 0
        page.mouse.move(box["x"] + 100, middle)
        assert slider(page) == 0
        for key, value in (
            ("End", 100),
            ("ArrowLeft", 99),
            ("PageDown", 89),
            ("Home", 0),
            ("ArrowRight", 1),
            ("PageUp", 11),
        ):
            page.keyboard.press(key)
            assert slider(page) == value
        handle = page.get_by_role("slider")
        assert handle.get_attribute("aria-valuetext") == "11 % Measurement, 89 % Restored (posterior mean)"
        page.get_by_label("Right of it").select_option(label="Truth")
        assert "Truth" in handle.get_attribute("aria-label")


def test_samples_turn_by_keys_and_play(browser, path):
    with Seen(browser, path) as page:
        page.goto(f"{path.as_uri()}#/item/1")
        image = page.locator("#sample img")
        first = image.get_attribute("src")
        assert image.get_attribute("alt").startswith("Sample 1 of 3")
        page.locator("#sample").focus()
        page.keyboard.press("ArrowRight")
        assert image.get_attribute("alt").startswith("Sample 2 of 3")
        assert image.get_attribute("src") != first
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert image.get_attribute("alt").startswith("Sample 3 of 3")
        play = page.get_by_role("button", name="Play")
        play.click()
        sync_api.expect(image).not_to_have_attribute("alt", re.compile("^Sample 3 of 3"))
        page.get_by_role("button", name="Stop").click()
        stopped = image.get_attribute("alt")
        page.wait_for_timeout(600)
        assert image.get_attribute("alt") == stopped


def test_items_are_walked_by_keys_and_the_focus_comes_back(browser, path):
    with Seen(browser, path) as page:
        names = [link.inner_text() for link in page.locator(".items tbody a").all()]
        page.locator(".items tbody a").nth(1).focus()
        page.keyboard.press("Enter")
        title = page.locator("#item-title")
        sync_api.expect(title).to_have_text(names[1])
        page.wait_for_function("document.activeElement.id === 'item-title'")
        page.keyboard.press("n")
        assert title.inner_text() == names[2]
        event = "new KeyboardEvent('keydown', { key: 'p', bubbles: true })"
        twice = f"for (const _ of 'pp') document.body.dispatchEvent({event})"
        page.evaluate(twice)  # quicker than the browser says that the address has changed
        assert title.inner_text() == names[0]
        assert page.evaluate("document.activeElement.id") == "item-title"
        page.keyboard.press("Escape")
        assert page.locator("#run-view").is_visible()
        assert page.evaluate("document.activeElement.textContent") == names[0]
        page.go_back()
        sync_api.expect(title).to_have_text(names[0])


def test_map_values_are_read_back(browser, path):
    with Seen(browser, path) as page:
        page.goto(f"{path.as_uri()}#/item/1")
        page.locator('[data-map="data_share"] img').first.hover()
        text = page.locator('[data-map="data_share"] output').inner_text()
        value = float(text.split(": ")[1].split()[0])
        assert "row 20, column 16" in text or "row 19" in text
        assert 0 <= value <= 1


def test_every_picture_has_a_text_and_every_control_a_name(browser, path):
    with Seen(browser, path) as page:
        page.goto(f"{path.as_uri()}#/item/1")
        alone = "images => images.filter(image => !image.alt && !image.closest('[aria-hidden]')).length"
        assert page.locator("#item-view img").evaluate_all(alone) == 0
        assert "mean" in page.locator('[data-map="std"] .frame img').get_attribute("alt")
        nameless = (
            "nodes => nodes.filter(node => !(node.textContent.trim() || node.ariaLabel || node.labels?.length)).length"
        )
        assert page.locator("button, select, input").evaluate_all(nameless) == 0
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(node => node.id)")
        assert len(ids) == len(set(ids))


def test_names_that_are_markup_stay_names(browser, path, nasty):
    with Seen(browser, path) as page:
        page.get_by_placeholder("name or fault").fill("script")
        assert page.locator(".items tbody tr").count() == 1
        assert (
            page.get_by_role("status").first.inner_text() == "1 item"
            or "1 of" in page.get_by_role("status").first.inner_text()
        )
        page.get_by_role("link", name=nasty, exact=True).click()
        sync_api.expect(page.locator("#item-title")).to_have_text(nasty)


def test_light_dark_and_narrow(browser, path, tmp_path):
    looks = {
        "light": {"color_scheme": "light"},
        "dark": {"color_scheme": "dark"},
        "narrow": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "reduced_motion": "reduce"},
    }
    pages = {}
    for name, window in looks.items():
        with Seen(browser, path, **window) as page:
            for view, address in (("run", "#/"), ("item", "#/item/1")):
                page.goto(path.as_uri() + address)
                assert overflow(page) == 0, (name, view)
                page.screenshot(path=tmp_path / f"{name}_{view}.png", full_page=True)
            back = "getComputedStyle(document.body).backgroundColor"
            pages[name] = page.evaluate(back)
            assert (tmp_path / f"{name}_item.png").stat().st_size > 20_000
            if name == "light":
                page.get_by_role("button", name="Show in dark colours").click()
                assert page.evaluate(back) != pages["light"]
    assert pages["light"] == pages["narrow"] != pages["dark"]


def test_calibration_is_drawn(browser, path):
    with Seen(browser, path) as page:
        page.get_by_role("link", name="Calibration").click()
        drawn = page.locator("#calibration svg")
        assert drawn.count() == 4
        assert "too narrow" in drawn.first.get_attribute("aria-label")
        assert "<77 %>" in page.locator("#calibration").inner_text()


def test_thirty_items_open_in_two_seconds(browser, fabricate):
    path = write_report(fabricate(30))
    began = time.perf_counter()
    with Seen(browser, path) as page:
        assert page.locator(".items tbody tr").count() == 25
        assert time.perf_counter() - began < 2
        page.get_by_role("button", name="Next").click()
        assert page.locator(".items tbody tr").count() == 5
        assert page.evaluate("document.activeElement.textContent") != ""
        scores = "rows => rows.map(row => Number(row.querySelector('.number').textContent))"
        page.locator('[data-sort="psnr"]').click()
        rising = page.locator(".items tbody tr").evaluate_all(scores)
        page.locator('[data-sort="psnr"]').click()
        falling = page.locator(".items tbody tr").evaluate_all(scores)
        assert rising == sorted(rising)
        assert falling == sorted(falling, reverse=True)
        assert page.locator('th[aria-sort="descending"]').inner_text().startswith("PSNR")
        page.get_by_label("only what is doubted").check()
        assert page.locator(".items tbody tr").count() >= 1
