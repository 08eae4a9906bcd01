"""The page as a person has it: a server of its own, and a real browser that is led through it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pytest

import genzoo
from genzoo_web import ratings

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = "there is no chromium to drive; on Debian: apt-get install chromium"
SERVE = """
import os, sys
def audit(event, arguments):
    place = arguments[1] if event == "socket.connect" else None
    if isinstance(place, tuple) and place[0] not in ("127.0.0.1", "::1", "localhost"):
        open(os.environ["LEFT"], "a").write(f"{arguments[1]}\\n")
sys.addaudithook(audit)
from genzoo.cli import main
sys.argv = ["genzoo", "serve", "--no-open", "--port", "0", *sys.argv[1:]]
main()
"""  # what leaves this machine is written down
SCREENSHOTS = os.environ.get("GENZOO_SCREENSHOTS")  # a folder that pictures of the page go to


class Server:
    """`genzoo serve` in a process of its own."""

    def __init__(self, folder, *arguments):
        self.folder, self.left = folder, folder / "left.txt"
        environment = {**os.environ, "LEFT": str(self.left), "GENZOO_BLOCK": "tensorboard", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", SERVE, "--runs-dir", str(folder / "runs"), *arguments]
        self.errors = (folder / "errors.txt").open("w")
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=folder,
            env=environment,
        )
        self.url = self.process.stdout.readline().split()[1].split("?")[0]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urlopen(self.url).close()
                return
            except OSError as error:
                if getattr(error, "code", None) == 401:
                    return
                time.sleep(0.2)
        raise AssertionError((folder / "errors.txt").read_text())

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.process.stdout.close()
        self.errors.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A page of runs of images, of text and of sound."""
    folder = tmp_path_factory.mktemp("page")
    runs = folder / "runs"
    for name in ("vae", "diffusion", "transformer"):
        shutil.copytree(ROOT / "tests" / "kept" / "0.1" / name, runs / name)
    tones = genzoo.modality_of("audio").example(folder)
    options = {"steps": 1, "batch_size": 4, "sample_every": 0, "device": "cpu", "runs_dir": str(runs)}
    genzoo.train("mel-diffusion", name="tones", preset="tiny", **tones, **options)
    os.chdir(folder)  # where the text of the kept run would be
    (folder / "kept.txt").write_text("the quick brown fox jumps over the lazy dog;\n" * 40, "utf-8")
    serving = Server(folder)
    yield serving
    serving.end()
    assert "Traceback" not in (folder / "errors.txt").read_text()
    assert not serving.left.exists(), serving.left.read_text()  # the server asked nobody anything


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(server, browser):
    """The page in a new window; afterwards nothing has asked another machine, and nothing was wrong in it."""
    yield from opened(server, browser)


def opened(server, browser, **how):
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **how})
    page, problems = context.new_page(), []
    page.set_default_timeout(20_000)
    context.on("request", lambda request: problems.append(request.url) if not is_here(request.url, server) else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "response", lambda answer: problems.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
    )
    page.goto(server.url)
    page.wait_for_selector("#genzoo-draw", timeout=60_000)
    yield page
    assert problems == []
    context.close()


def is_here(url, server):
    return url.startswith(("data:", "blob:")) or urlsplit(url).netloc == urlsplit(server.url).netloc


def choose(page, label, value):
    """Choose from a dropdown with the keyboard."""
    box = page.get_by_label(label, exact=True).first
    box.click()
    box.fill(value)
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.wait_for_timeout(1500)


def field(page, label):
    """What is seen under a label: of a slider the field with its number."""
    return page.get_by_label(label).locator("visible=true").first


def picture(page, selector):
    """Where a picture is, when it is there and has pixels."""
    page.wait_for_selector(f"{selector} img", timeout=60_000)
    page.wait_for_function(f"document.querySelector('{selector} img').naturalWidth > 0")
    return page.locator(f"{selector} img").first.get_attribute("src")


def shot(page, name):
    if SCREENSHOTS:
        page.wait_for_timeout(300)
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


def test_pictures_are_drawn_and_taken_away_with_their_provenance(page, server, tmp_path):
    choose(page, "Run", "vae")
    field(page, "seed").fill("7")
    page.click("#genzoo-draw")
    first = picture(page, "#genzoo-samples")
    with page.expect_download() as download:
        page.locator("#genzoo-samples a[download]").first.click()
    path = tmp_path / "vae.png"
    download.value.save_as(path)
    facts = genzoo.read_provenance(path)["genzoo"]
    assert (facts["run"], facts["seed"]) == ("vae", 7)
    expected = genzoo.sample(server.folder / "runs" / "vae", 64, seed=7, device="cpu")
    genzoo.write_samples(server.folder / "runs" / "vae", expected, tmp_path / "same.png", seed=7)
    assert genzoo.read_picture(path).equal(genzoo.read_picture(tmp_path / "same.png"))
    field(page, "seed").fill("8")
    page.click("#genzoo-draw")
    page.wait_for_function(f"document.querySelector('#genzoo-samples img').getAttribute('src') != '{first}'")
    shot(page, "samples")


def test_widgets_have_the_bounds_of_the_options(page):
    choose(page, "Run", "diffusion")
    for label, bounds in (("number of samples", ("1", "64")), ("num steps", ("1", "1000"))):
        slider = page.get_by_role("slider", name=re.compile(label))
        assert (slider.get_attribute("min"), slider.get_attribute("max")) == bounds
    offered = page.locator("label, span[data-testid=block-info]").all_inner_texts()
    names = {field.strip().split("\n")[0] for field in offered}
    assert {"sampler", "num steps"} <= names


def test_a_text_streams_behind_its_prompt(page):
    choose(page, "Run", "transformer")
    field(page, "prompt").fill("the quick")
    field(page, "max new tokens").fill("400")
    page.evaluate("""() => { window.lengths = new Set();
        new MutationObserver(() => { const text = document.querySelector('#genzoo-samples pre');
            if (text) window.lengths.add(text.innerText.length); }).observe(document.body,
            {subtree: true, childList: true, characterData: true}); }""")
    page.click("#genzoo-draw")
    page.wait_for_selector("#genzoo-samples a[download]", timeout=60_000)
    assert page.locator("#genzoo-samples pre").inner_text().startswith("the quick")
    assert page.evaluate("window.lengths.size") > 5  # it grew
    field(page, "prompt").fill("<img src=x onerror=alert(1)>&")
    page.click("#genzoo-draw")
    page.get_by_text(re.compile("never saw the character")).first.wait_for(timeout=30_000)
    assert page.locator("#genzoo-samples pre img").count() == 0


def test_sound_is_heard(page):
    choose(page, "Run", "tones")
    field(page, "number of samples").fill("2")
    page.click("#genzoo-draw")
    page.wait_for_selector("#genzoo-samples audio", timeout=60_000)
    page.wait_for_function("document.querySelector('#genzoo-samples audio').readyState >= 1")
    seconds = page.evaluate("document.querySelector('#genzoo-samples audio').duration")
    assert seconds == pytest.approx(2 * 1024 / 4000 + 0.25, abs=0.05)
    assert page.evaluate("document.querySelector('#genzoo-samples audio').error") is None


def test_a_latent_space_is_walked_by_the_keyboard(page):
    choose(page, "Run", "vae")
    page.get_by_role("tab", name="Latent space").click()
    page.click("#genzoo-latent-draw")
    first = picture(page, "#genzoo-latent")
    slider = page.get_by_role("slider", name=re.compile("direction")).first
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"document.querySelector('#genzoo-latent img').getAttribute('src') != '{first}'")
    page.get_by_text("Interpolation", exact=True).click()
    page.click("#genzoo-interpolate")
    page.get_by_text("ways between two held-out examples").wait_for(timeout=60_000)
    page.get_by_text("Reconstruction", exact=True).click()
    page.click("#genzoo-reconstruct")
    page.get_by_text("each row above what it gives back").wait_for(timeout=60_000)
    shot(page, "latents")


def test_a_picture_is_painted_on_and_filled_in(page, server):
    choose(page, "Run", "diffusion")
    page.get_by_role("tab", name="Latent space").click()
    page.get_by_text("Inpainting", exact=True).click()
    field(page, "steps from noise to image").fill("4")
    page.click("#genzoo-inpaint-show")
    page.wait_for_selector("#genzoo-canvas canvas")
    page.wait_for_timeout(3000)
    page.click("#genzoo-inpaint")
    page.get_by_text("paint over some of the picture").first.wait_for(timeout=30_000)
    box = page.locator("#genzoo-canvas canvas").first.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    for number in range(20):
        page.mouse.move(middle[0] + 2 * number, middle[1] + 20 * (number % 2))
    page.mouse.up()
    page.wait_for_timeout(1000)
    page.click("#genzoo-inpaint")
    source = picture(page, "#genzoo-inpainted")
    filled = genzoo.read_picture(Path(unquote(source.partition("file=")[2])))
    assert (
        0 < int((filled[0, 2:10, 2:10].int() - 127).abs().le(1).sum()) < 64
    )  # some of the picture was taken out, and not all
    shot(page, "inpainting")


def test_a_training_is_begun_watched_and_stopped(page, server):
    page.get_by_role("tab", name="Training").click()
    page.get_by_text("Begin a training").click()
    choose(page, "model", "vae")
    choose(page, "data", "digits-8x8")
    page.get_by_role("textbox", name=re.compile("^steps")).locator("visible=true").first.fill("50000")
    page.click("#genzoo-train")
    page.get_by_text(re.compile("running, step .*(left|begun to learn)")).wait_for(timeout=120_000)
    page.wait_for_selector("#genzoo-watched svg.curve", timeout=60_000)
    begun = page.get_by_label("Run", exact=True).first.input_value()
    page.click("#genzoo-train")
    page.get_by_text("is being trained; stop it first").first.wait_for(timeout=30_000)
    page.get_by_role("button", name="Stop the training").click()
    page.get_by_text("interrupted, step").wait_for(timeout=60_000)
    run = genzoo.find_run(server.folder / "runs" / begun)
    assert run.status == "interrupted"
    assert 0 < run.step < 50_000
    shot(page, "training")


def test_runs_are_compared(page):
    page.get_by_role("tab", name="Compare").click()
    for name in ("vae", "diffusion"):
        box = page.get_by_label("Runs", exact=True)
        box.fill(name)
        page.wait_for_timeout(300)
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    field(page, "samples to measure").fill("32")
    page.click("#genzoo-side-by-side")
    page.wait_for_function("document.querySelectorAll('#genzoo-sides img').length == 2", timeout=60_000)
    page.click("#genzoo-measure")
    page.wait_for_selector("#genzoo-measures table", timeout=180_000)
    head = page.locator("#genzoo-measures thead th").all_inner_texts()
    assert head[:4] == ["MEASURE", "vae", "diffusion", "REAL DATA"]
    assert "precision" in page.locator("#genzoo-measures table").inner_text()
    shot(page, "compare")


def test_pairs_are_judged_with_the_keyboard_alone(page, server):
    page.get_by_role("tab", name="Rate").click()
    choose(page, "samples of", "vae")
    field(page, "pairs").fill("4")
    field(page, "your name").fill("amber")
    page.keyboard.press("1")  # which is written, and answers nothing
    page.focus("#genzoo-begin")
    page.keyboard.press("Enter")
    for number, key in enumerate("1020", 1):
        page.get_by_text(f"Pair {number} of 4").wait_for(timeout=60_000)
        assert "vae" not in page.locator("#genzoo-pair").inner_html()
        if number == 1:
            shot(page, "rate")
        page.keyboard.press(key)
    page.get_by_text("Thank you, amber1: 4 answers are kept").wait_for(timeout=30_000)
    said = [rating for rating in ratings.read(server.folder / "runs") if rating.who == "amber1"]
    assert [rating.answer for rating in said] == ["left", "neither", "right", "neither"]
    assert sum(rating.is_control for rating in said) == 1
    assert genzoo.compare([server.folder / "runs" / "vae"], 32)[0].measures[-1].name == "judgements"


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_is_narrow_dark_and_light_and_all_has_a_name(server, browser, scheme):
    pages = opened(server, browser, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = next(pages)
    choose(page, "Run", "vae")
    page.click("#genzoo-draw")
    picture(page, "#genzoo-samples")
    for tab in ("Samples", "Latent space", "Training", "Compare", "Rate"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(700)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
        assert unnamed(page) == [], tab
        shot(page, f"narrow-{scheme}-{tab.lower().replace(' ', '-')}")
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
    )
    assert (red + green + blue < 200) == (scheme == "dark")
    next(pages, None)


def unnamed(page):
    """What a person can come to by the keyboard, and a screen reader has no name for."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "checkbox", "combobox", "link", "slider", "spinbutton", "tab", "textbox", "switch"}
    return [
        node["role"]["value"]
        for node in tree
        if not node["ignored"] and node["role"]["value"] in roles and not node.get("name", {}).get("value", "").strip()
    ]


def test_two_at_once_have_each_their_own(server, browser):
    """Two windows draw at the same time, each with its own seed and number."""
    one, other = (opened(server, browser) for _ in range(2))
    pages = [next(one), next(other)]
    for seed, page in enumerate(pages, 41):
        choose(page, "Run", "vae")
        field(page, "seed").fill(str(seed))
    for page in pages:
        page.evaluate("document.querySelector('#genzoo-draw').click()")
    for seed, page in enumerate(pages, 41):
        page.get_by_text(f"64 samples of vae, seed {seed}, AI-generated").wait_for(timeout=60_000)
    for pages in (one, other):
        next(pages, None)


def test_a_token_is_asked_for_elsewhere(tmp_path, browser):
    shutil.copytree(ROOT / "tests" / "kept" / "0.1" / "vae", tmp_path / "runs" / "vae")
    serving = Server(tmp_path, "--host", "0.0.0.0")
    try:
        port = urlsplit(serving.url).port
        page = browser.new_context().new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_text("A token is needed").wait_for()
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token").wait_for()
    finally:
        serving.end()
