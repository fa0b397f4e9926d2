"""One browser with the page from the disk, for all tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowsolve.explorer.page import page
from flowsolve.explorer.plans import export
from flowsolve.explorer.sprites import shipped

if TYPE_CHECKING:
    from tests.explorer.browser import Browser

STEPS = (1, 2, 4, 6, 12, 24)  # numbers of steps of the page under test


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    path.write_text(page({**export(steps=STEPS), "sprites": shipped()}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Browser]:
    pytest.importorskip("selenium", reason="needs selenium: make browser")
    from tests.explorer.browser import BROWSER, DRIVER, chromium

    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(request.getfixturevalue("file"))  # made only now, when nothing was skipped
        yield browser


@pytest.fixture
def browser(shared: Browser) -> Iterator[Browser]:
    """The page as one finds it. Whatever a test does, it leaves no error in the console."""
    shared.size(1280, 900)
    shared.media(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    shared.go()
    yield shared
    assert shared.errors() == []
