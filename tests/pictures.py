"""Retake the pictures of the guides: ``make pictures``, after ``make demo`` has made a report to show."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from pydantic import SecretStr
from support import SAMPLES

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from flows.settings import Settings

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"


def photograph_form(page: Page, folder: Path) -> None:
    """The form as annotators of the sample clauses see it, at the first question."""
    settings = Settings()
    with LocalStudio(settings.goldleaf_label_studio_venv, folder / "studio", settings.goldleaf_cache) as studio:
        here = settings.model_copy(
            update={
                "goldleaf_home": str(folder / "home"),
                "label_studio_url": studio.url,
                "label_studio_api_key": SecretStr(studio.token),
            }
        )
        curated = curate(Context.load(SAMPLES / "clauses" / "dataset.yaml", here), Inline())
        page.set_viewport_size({"width": 1280, "height": 880})
        page.goto(f"{studio.url}/user/login")
        page.fill("#email", studio.username)
        page.fill("#password", studio.password)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{studio.url}/")
        page.goto(f"{curated.review.url}?labeling=1")
        page.locator(".goldleaf-field input:checked").wait_for(state="attached")
        page.wait_for_timeout(1000)  # the panels at the edge fold in late
        page.screenshot(path=IMAGES / "form.png")


def photograph_report(page: Page) -> None:
    """The head of the report that ``make demo`` left."""
    report = Settings().home / "clauses" / "report.html"
    if not report.is_file():
        raise SystemExit(f"there is no {report}; run make demo first")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(report.as_uri())
    page.screenshot(path=IMAGES / "report.png")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(locale="en-US")
        photograph_report(page)
        photograph_form(page, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
