"""The page in a real headless Chromium: one click on an example to a finished video with sound."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.helpers.app_client import write_group, write_pair

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
SECONDS = 240_000  # milliseconds for one step on a busy machine
PLAYED = """() => {
    const video = document.querySelector('#result video');
    return {ready: video.readyState, seconds: video.duration, width: video.videoWidth,
            sound: video.webkitAudioDecodedByteCount, error: video.error && video.error.message};
}"""
CHANGED = "([name, before]) => document.querySelector(name)?.getAttribute('src') !== before"
CELL = (
    "(text) => document.querySelectorAll('#accents [role=gridcell]')[1]?.innerText.trim() === text"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """`python app.py`, as a user starts it, with the shipped model where it is complete, else a
    tiny one."""
    folder = tmp_path_factory.mktemp("browser")
    name = "mini"
    if not (ROOT / "checkpoints" / "mini" / "model_index.json").is_file():
        from tests.helpers.tiny import tiny_pipeline

        name = str(folder / "model")
        tiny_pipeline().save_pretrained(name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "APV_CACHE": str(folder / "cache"),
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
    }
    environment["OMP_NUM_THREADS"] = str(os.cpu_count())
    words = [sys.executable, "app.py", "--model", name, "--port", str(port)]
    with open(folder / "app.log", "w+") as log:
        server = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield _ready(f"http://127.0.0.1:{port}", server, Path(log.name))
        finally:
            server.terminate()
            server.wait(30)


def _ready(url: str, server: subprocess.Popen, log: Path) -> str:
    until = time.monotonic() + 300
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return url
        except OSError:
            time.sleep(1)
    pytest.fail(f"the app did not answer: {log.read_text()[-2000:]}")


@pytest.fixture
def page(address):
    """A page at 1440x900, with what it complained about and what it asked of other hosts."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed; apt-get install chromium")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(SECONDS)
        page.complaints, page.foreign = [], []
        page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on(
            "request", lambda r: page.foreign.append(r.url) if _elsewhere(r.url, address) else None
        )
        page.goto(address)
        page.wait_for_selector("#analyse")
        yield page
        browser.close()


def _elsewhere(url: str, address: str) -> bool:
    return not url.startswith((address, "data:", "blob:"))


def test_an_example_becomes_a_video_that_plays_with_sound(page) -> None:
    page.get_by_text("Pose-free, no driving video").click()
    page.wait_for_selector("#skeleton video")
    page.wait_for_selector("#draft video")
    page.click("#generate")
    page.wait_for_selector("#cancel:not([disabled])")
    page.wait_for_selector("#result video")
    page.wait_for_function("document.querySelector('#result video').readyState === 4")
    page.evaluate("document.querySelector('#result video').play()")
    page.wait_for_function(
        "document.querySelector('#result video').webkitAudioDecodedByteCount > 0"
    )
    page.wait_for_function("document.querySelector('#result video').currentTime > 0.2")
    seen = page.evaluate(PLAYED)
    assert (
        seen["error"] is None and seen["ready"] == 4 and seen["width"] >= 64 and seen["seconds"] > 1
    )
    assert "Done" in page.inner_text("#status")
    assert page.is_enabled("#generate") and not page.is_enabled("#cancel")
    page.get_by_role("tab", name="Side by side").click()
    page.wait_for_selector("#both video")
    assert page.complaints == [] and page.foreign == []


def strengthen(page, cell: int, text: str) -> None:
    """Types into a cell of the table of accents."""
    page.locator("#accents [role=gridcell]").nth(cell).dblclick()
    page.locator("#accents textarea").fill(text)
    page.keyboard.press("Enter")


def test_an_accent_typed_into_the_table_moves_the_picture_and_the_skeleton(page) -> None:
    page.get_by_text("Pose-free, no driving video").click()
    page.wait_for_selector("#drawn:not([disabled])")
    page.wait_for_selector("#draft video")
    page.click("#accent_part button")
    cell = page.locator("#accents [role=gridcell]").nth(1)  # the strength of the first accent
    cell.wait_for()
    old = cell.inner_text()
    shown = [page.get_attribute(name, "src") for name in ("#wave img", "#skeleton video")]
    strengthen(page, 1, "0.05")
    for name, before in zip(("#wave img", "#skeleton video"), shown, strict=True):
        page.wait_for_function(CHANGED, arg=[name, before])
    assert page.locator("#accents [role=gridcell]").nth(1).inner_text().strip().startswith("0.05")
    strengthen(page, 1, "loud")
    page.wait_for_selector(".toast-body")
    assert (
        page.locator(".toast-body").inner_text().count("holds") == 1
    )  # though Gradio tells it twice
    page.click("#detected")
    page.wait_for_function(CELL, arg=old.strip())
    page.get_by_role("tab", name="Overlay clip").click()
    page.wait_for_selector("#clip video")
    assert page.complaints == []


def test_a_click_on_a_person_chooses_who_drives(page, tmp_path) -> None:
    page.set_input_files(
        "#reference input[type=file]", str(ROOT / "assets/reference/half_jacket.png")
    )
    page.set_input_files("#speech input[type=file]", str(ROOT / "assets/speech/accents_no.wav"))
    page.get_by_role("tab", name="Pose file").click()
    page.set_input_files("#pose input[type=file]", write_pair(tmp_path / "pair.json"))
    page.wait_for_selector("#pose .file-preview")
    page.wait_for_selector("#reference img")
    page.wait_for_selector("#speech #waveform")
    page.click("#analyse")
    page.wait_for_selector("#people img")
    page.wait_for_selector("#notes:has-text('number 1 is used')")
    picture = page.locator("#people img")
    box = picture.bounding_box()
    picture.click(position={"x": 0.75 * box["width"], "y": 0.5 * box["height"]})
    page.wait_for_selector("#notes:has-text('number 2 was asked for')")
    assert page.input_value("#person textarea, #person input") == "2"
    page.wait_for_selector("#skeleton video", state="visible")  # its tab is open again
    assert page.complaints == []


def test_a_click_on_the_reference_image_chooses_who_speaks(page, tmp_path) -> None:
    page.set_input_files("#reference input[type=file]", write_group(tmp_path / "group.png"))
    page.set_input_files("#speech input[type=file]", str(ROOT / "assets/speech/accents_no.wav"))
    page.wait_for_selector("#reference img")
    page.wait_for_selector("#speech #waveform")
    picture = page.locator("#reference img")
    box = picture.bounding_box()
    picture.click(position={"x": 0.75 * box["width"], "y": 0.5 * box["height"]})
    page.wait_for_selector("#speakers img")  # shown before anything is analysed
    assert page.input_value("#speaker textarea, #speaker input") == "2"
    page.click("#analyse")
    page.wait_for_selector("#notes:has-text('number 2 speaks')")
    page.get_by_role("tab", name="Who speaks?").click()
    picture = page.locator("#speakers img")  # the end of the analysis leaves its tab open
    box = picture.bounding_box()
    picture.click(position={"x": 0.25 * box["width"], "y": 0.5 * box["height"]})
    page.wait_for_selector("#notes:has-text('number 1 speaks')")
    page.wait_for_selector("#skeleton video", state="visible")
    assert page.input_value("#speaker textarea, #speaker input") == "1"
    assert page.complaints == []


def test_an_error_is_a_visible_sentence_and_the_buttons_recover(page) -> None:
    page.click("#generate")
    page.wait_for_selector("text=press 1 Analyse first")
    page.wait_for_selector("#generate:not([disabled])")
    assert not page.is_enabled("#cancel")


def test_everything_needed_is_on_the_first_screen(page) -> None:
    for name in (
        "reference",
        "speech",
        "driving",
        "analyse",
        "intensity",
        "skeleton",
        "generate",
        "result",
    ):
        box = page.locator(f"#{name}").bounding_box()
        assert box["y"] + box["height"] <= 900 and box["x"] + box["width"] <= 1440, (name, box)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
