"""A browser, where one is installed, and the emulator's page in it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_qsession.emulator import Emulator
from tests.emulator.conftest import bench, connect, make_bench
from tests.harness.waiting import wait_until
from tests.ui.browser import CHROMIUM, Browser, Page

__all__ = ["bench", "connect", "make_bench"]

VisitPage = Callable[[Emulator], Page]


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    """Start the browser once; without one its tests are skipped, or fail where it is required."""
    if CHROMIUM is None:
        missing = pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip
        missing("needs Chromium; on Debian: apt-get install chromium")
    home = tmp_path_factory.mktemp("browser")
    with Browser(home) as browser:
        yield browser
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def visit(browser) -> Iterator[VisitPage]:
    """Visit an emulator's page, as wide as a desktop, and wait until it is live."""
    page = browser.open_page()

    def visit_page_of(emulator: Emulator) -> Page:
        page.resize(1280, 800)
        page.visit(emulator.url)
        wait_until(lambda: page.text("#contact") == "live")
        return page

    yield visit_page_of
    page.close()


@pytest.fixture
def pictures(request) -> Path:
    """Return where the pictures of the last run are kept: .pytest_cache/d/pictures."""
    return Path(request.config.cache.mkdir("pictures"))
