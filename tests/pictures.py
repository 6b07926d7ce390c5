"""Retake the pictures of the guides: ``make pictures``, after ``make demo`` and ``KIND=rewriting make demo``.

``python tests/pictures.py team`` takes only those of a team at work, which need no demo; the others are ``report``,
``verdict`` and ``forms``.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from browser_desk import log_in
from playwright.sync_api import Page, sync_playwright
from pydantic import SecretStr
from support import SAMPLES
from team_scene import play

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from flows.settings import Settings
from pipeline.ladder.assessment import PAGE, find_assessed
from pipeline.reporting.write_report import write_report

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
# Of each sample, what the question to be shown has.
FORMS = {
    "clauses": ".goldleaf-why :text('same input')",
    "support": ".goldleaf-why :text('seems to be missing')",
    "plain": ".goldleaf:has(.goldleaf-changes del) .goldleaf-why :text('Numbers of the original')",
    "assistant": ".goldleaf-why :text('break the function')",
}


def photograph_forms(page: Page, folder: Path) -> None:
    """The forms as annotators of the samples see them, each at the first question that has what is to be shown."""
    settings = Settings()
    with LocalStudio(settings.goldleaf_label_studio_venv, folder / "studio", settings.goldleaf_cache) as studio:
        here = settings.model_copy(
            update={
                "goldleaf_home": str(folder / "home"),
                "label_studio_url": studio.url,
                "label_studio_api_key": SecretStr(studio.token),
            }
        )
        page.set_viewport_size({"width": 1280, "height": 800})
        log_in(page, studio)
        for name, shown in FORMS.items():
            curated = curate(Context.load(SAMPLES / name / "dataset.yaml", here), Inline())
            page.goto(f"{curated.review.url}?labeling=1")
            page.locator(".goldleaf-field").first.wait_for()
            while not page.locator(shown).count():
                page.get_by_role("button", name="Skip").click()
                page.wait_for_timeout(1500)
            page.get_by_text("Task skipped").first.wait_for(state="hidden")
            page.wait_for_timeout(1000)  # the panels at the edge fold in late
            page.screenshot(path=IMAGES / f"form-{name}.png")


def photograph_report(page: Page) -> None:
    """The head of the report that ``make demo`` left."""
    report = Settings().home / "clauses" / "report.html"
    if not report.is_file():
        raise SystemExit(f"there is no {report}; run make demo first")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(report.as_uri())
    page.screenshot(path=IMAGES / "report.png")


def photograph_verdict(page: Page, name: str, image: str) -> None:
    """The head of the page about the adapter that a demo left."""
    folder = find_assessed(Settings().home / name / "models")
    if folder is None:
        raise SystemExit(f"there is no adapter in {Settings().home / name}; run make demo and KIND=rewriting make demo")
    page.set_viewport_size({"width": 1280, "height": 960})
    page.goto((folder / PAGE).as_uri())
    # With all bars, whatever the number of arms.
    box = page.locator("#arms .chart").last.bounding_box()
    assert box is not None
    height = round(box["y"] + box["height"]) + 24
    page.set_viewport_size({"width": 1280, "height": height})
    page.screenshot(path=IMAGES / image)


def photograph_team(page: Page, folder: Path) -> None:
    """What the report says of a team that has worked for a week."""
    folder.mkdir()
    report = write_report(play(folder).context)
    page.set_viewport_size({"width": 1160, "height": 860})
    page.goto(report.as_uri())
    for section in ("team", "errors"):
        page.locator(f"#{section}").screenshot(path=IMAGES / f"report-{section}.png")


def main(chosen: list[str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(locale="en-US")
        if "report" in chosen:
            photograph_report(page)
        if "verdict" in chosen:
            photograph_verdict(page, "clauses", "verdict.png")
            photograph_verdict(page, "plain", "verdict-plain.png")
        if "team" in chosen:
            photograph_team(page, Path(folder) / "team")
        if "forms" in chosen:
            photograph_forms(page, Path(folder))
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:] or ["report", "verdict", "team", "forms"])
