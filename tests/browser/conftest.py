"""A headless Chromium of the system, driven by Playwright; whatever a page says or asks for is kept."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HANGS_S

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser. Raises ImportError, saying what is missing, where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise ImportError("there is no chromium here (Debian's package chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS, timeout=HANGS_S * 1000)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Skips with the reason where there is no browser, but fails where everything must be tested."""
    try:
        with chromium() as started:
            yield started
    except ImportError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@dataclass
class Heard:
    """What a page did besides being shown."""

    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


Opener = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Opener]:
    """Opens a file; at the end nothing may have left the page, complained in it, or asked the user anything."""
    contexts, heard = [], Heard()

    def open_it(file: Path, fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        context.set_default_timeout(HANGS_S * 1000)
        page = context.new_page()
        page.on("request", lambda request: heard.requests.append(request.url))
        page.on("console", lambda message: heard.said.append(message.text))
        page.on("pageerror", lambda error: heard.said.append(str(error)))
        page.on("dialog", lambda dialog: (heard.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(file.as_uri() + fragment)
        page.wait_for_selector("html[data-ready=true]")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert [url for url in heard.requests if not url.startswith("file://")] == []
    assert heard.said == []
    assert heard.dialogs == []
