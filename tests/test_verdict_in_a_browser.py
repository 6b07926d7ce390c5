"""The page of a verdict fits every screen, is readable in light and dark, and complains of nothing."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page
from verdict_toys import TOYS

from pipeline.reporting.verdict_page import verdict_page

_TEXTS = """() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  // Chromium gives mixed colors as color(srgb 0.1 0.2 0.3 / 0.4).
  const rgba = text => {
    const parts = parse(text.replace('srgb', ''));
    const scale = text.startsWith('color(') ? 255 : 1;
    return [...parts.slice(0, 3).map(part => part * scale), parts.length > 3 ? parts[3] : 1];
  };
  const over = (top, below) => top.slice(0, 3).map((part, n) => part * top[3] + below[n] * (1 - top[3]));
  const light = color => {
    const [r, g, b] = color.map(part => part / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.getClientRects().length || element.closest('title')) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    const ink = over(rgba(element instanceof SVGElement ? style.fill : style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.push([text.slice(0, 40), ratio.toFixed(2)]);
  }
  return poor;
}"""

_OVERLAPS = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
  if (svg.parentElement.closest('svg')) return [];
  const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  return texts.flatMap(([one, a], n) => texts.slice(n + 1)
    .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
    .map(([other]) => [one, other]));
})"""


def opened(page: Page, name: str, folder: Path) -> Page:
    toy = TOYS[name]()
    file = folder / "verdict.html"
    file.write_bytes(verdict_page(toy.task, toy.record, toy.found))
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    return page


@pytest.mark.parametrize("width", [360, 400, 760, 1280])
@pytest.mark.parametrize("name", TOYS)
def test_the_page_fits_the_screen_without_a_complaint(browser: Browser, tmp_path: Path, name: str, width: int) -> None:
    complaints: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if "http" in request.url else None)
        opened(page, name, tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(_OVERLAPS) == []
        for text in page.locator("svg text").all()[:200]:
            box = text.bounding_box()
            assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= width), text.text_content()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", TOYS)
def test_every_text_stands_out_from_its_ground(
    browser: Browser, tmp_path: Path, name: str, scheme: Literal["light", "dark"]
) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme) as context:
        assert opened(context.new_page(), name, tmp_path).evaluate(_TEXTS) == []


def test_texts_of_plots_keep_their_size_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    heights = []
    for width in (400, 1280):
        with browser.new_context(viewport={"width": width, "height": 800}) as context:
            page = opened(context.new_page(), "tuning", tmp_path)
            found = page.locator("#costs text.name").evaluate_all(
                "all => all.map(one => one.getBoundingClientRect().height)"
            )
            heights.append(found)
    assert heights[0] == pytest.approx(heights[1], abs=0.5) and min(heights[0]) >= 11


@pytest.mark.parametrize(("width", "is_cut"), [(360, True), (560, True), (1280, False)])
def test_a_table_that_is_cut_off_on_a_phone_says_that_it_scrolls(
    browser: Browser, tmp_path: Path, width: int, is_cut: bool
) -> None:
    with browser.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        for name in TOYS:
            numbers = opened(page, name, tmp_path).locator(".scroll[aria-label='All numbers']")
            assert numbers.evaluate("one => one.scrollWidth > one.clientWidth + 1") == is_cut, name
            assert page.get_by_text("scroll sideways for all columns").is_visible() == is_cut, name
            assert "local" in numbers.evaluate("one => getComputedStyle(one).backgroundAttachment"), "the shade's cover"


def test_plots_have_words_for_those_who_do_not_see_them(browser: Browser, tmp_path: Path) -> None:
    with browser.new_context() as context:
        page = opened(context.new_page(), "tuning", tmp_path)
        told = page.locator("svg[role=img]").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
        assert len(told) == 2 and "The adapter: 93" in told[0] and "The adapter by training rows" in told[1]
