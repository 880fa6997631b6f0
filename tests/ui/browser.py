"""
A real browser, driven by the protocol of its own developer tools.

Chromium speaks it over a websocket, and a client for those is here already: Prefect uses it. So no
driver has to be installed that must fit the browser's version.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from tests.harness.waiting import wait_until

_FINDING = """
const visible = (element) => element.getClientRects().length > 0;
const said = (element, words) => [words, `${words} (Optional)`, `${words}\n(Optional)`].includes(
  element.innerText?.trim());
const all = (selector, root = document) => [...root.querySelectorAll(selector)].filter(visible);
const around = (label, selector, fits = () => true) => {
  const labels = all('label, legend, span, p, div, h2, h3, h4');
  let area = labels.findLast((element) => said(element, label));
  while (area && !all(selector, area).some(fits)) area = area.parentElement;
  return area && all(selector, area).find(fits);
};
const field = (label) => around(label, 'input, textarea, select');
const button = (words, label) => {
  const selector = 'button, a, [role=menuitem], [role=tab], [role=option]';
  const fits = (element) => said(element, words) || element.ariaLabel === words;
  return label ? around(label, selector, fits) : all(selector).findLast(fits);
};
"""
"""How a reader finds things on a page: by the words that stand on them or beside them."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ANSWER_SECONDS = 180.0
CLICK_SECONDS = 180.0
"""A busy machine takes its time to draw a page."""


class Browser:
    """Chromium without a window, for as long as the context lasts; its profile is in *home*."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ids = itertools.count()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                str(CHROMIUM),
                "--headless",
                # Its sandbox does not start as root, which is who tests are in a container.
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-quic",
                "--disable-sync",
                "--no-first-run",
                "--no-proxy-server",
                "--hide-scrollbars",
                f"--user-data-dir={self._home}",
                "--remote-debugging-port=0",
            ],
            env=os.environ | {"HOME": str(self._home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        address = self._home / "DevToolsActivePort"
        wait_until(lambda: address.exists() and len(address.read_text().split()) > 1)
        port, path = address.read_text().split()
        self._socket: ClientConnection = connect(
            f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.call("Browser.close")
        self._socket.close()
        self._process.wait(ANSWER_SECONDS)

    def open_page(self) -> "Page":
        """Open an empty tab."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        return Page(self, target, attached["sessionId"])

    def call(self, method: str, tab: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Have the browser, or a tab of it, do something; fail if it says that it cannot."""
        wanted = next(self._ids)
        message = {"id": wanted, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": tab} if tab else {})))
        while True:
            reply = json.loads(self._socket.recv(ANSWER_SECONDS))
            if reply.get("id") == wanted:
                assert "error" not in reply, reply
                result: dict[str, Any] = reply["result"]
                return result


class Page:
    """A tab."""

    def __init__(self, browser: Browser, target: str, tab: str) -> None:
        self._browser = browser
        self._target = target
        self._tab = tab

    def visit(self, url: str) -> None:
        """Go to a page and wait until it is there."""
        self._call("Page.navigate", url=url)
        wait_until(lambda: self.evaluate("document.readyState === 'complete'"))

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript; promises are waited for."""
        reply = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def resize(self, width: int, height: int, *, is_phone: bool = False) -> None:
        """Make the tab as large as a screen, in CSS pixels."""
        scale = 2 if is_phone else 1
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=is_phone,
        )

    def prefer(self, scheme: str) -> None:
        """Have its reader prefer a colour scheme, `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._call("Emulation.setEmulatedMedia", features=[feature])

    def text(self, selector: str) -> str:
        """Return what a reader sees in the first element that fits."""
        text: str = self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return text

    def rows(self, table: str) -> list[list[str]]:
        """Return what a reader sees in the rows of a table, cell by cell."""
        cells = "[...row.cells].map((cell) => cell.innerText)"
        rows: list[list[str]] = self.evaluate(
            f"[...document.querySelector('#{table} tbody').rows].map((row) => {cells})"
        )
        return rows

    def shows(self, words: str) -> bool:
        """Whether a reader finds these words on the page."""
        shown: bool = self.evaluate(f"document.body.innerText.includes({json.dumps(words)})")
        return shown

    def scroll_to(self, words: str) -> None:
        """Bring the last element with these words to the middle of the screen."""
        last = f"all('span, p, div').findLast((element) => said(element, {json.dumps(words)}))"
        scroll = f"(() => {{{_FINDING} const at = {last}; at?.scrollIntoView({{block: 'center'}});"
        # A live page takes away what it draws anew.
        wait_until(lambda: self.evaluate(f"{scroll} return Boolean(at); }})()"))

    def has(self, selector: str) -> bool:
        """Whether there is an element that fits."""
        found: bool = self.evaluate(f"document.querySelector({json.dumps(selector)}) !== null")
        return found

    def pictures(self) -> list[int]:
        """Return how wide each picture of the page is that the browser could draw."""
        drawn = "[...document.images].map((image) => image.complete && image.naturalWidth)"
        widths: list[int] = self.evaluate(f"{drawn}.filter(Boolean)")
        return widths

    def press(self, words: str, beside: str | None = None) -> None:
        """Click the button or link with these words, of several that beside a label, by mouse."""
        self._click(f"button({json.dumps(words)}, {json.dumps(beside)})")

    def fill(self, label: str, text: str) -> None:
        """Type into the field beside a label, over what is there."""
        self._click(f"field({json.dumps(label)})")
        self.evaluate("document.activeElement.select()")
        self._call("Input.insertText", text=text)

    def _click(self, element: str) -> None:
        """Click an element in its middle, until it has heard it: a page that is drawn moves."""
        wait_until(lambda: self._is_clicked(element), CLICK_SECONDS)

    def _is_clicked(self, element: str) -> bool:
        """Click an element if it is there and lies still; return whether it has heard the click."""
        place = self.evaluate(
            f"(async () => {{{_FINDING} const found = {element}; if (!found) return null;"
            "found.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const where = () => { const box = found.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; };"
            "const before = where();"
            "await new Promise((next) => setTimeout(next, 100));"
            "if (before.join() !== where().join() || found.disabled) return null;"
            "window.missed = true;"
            # A menu is gone before there is a click.
            "document.addEventListener('pointerdown', ({target}) => { window.missed = "
            "!found.contains(target); }, {capture: true, once: true});"
            "return before; })()"
        )
        if place is None:
            return False
        x, y = place
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        # A page that was left with the click knows nothing of it, and has not missed it.
        return not self.evaluate("window.missed")

    def photograph(self, file: Path) -> None:
        """Save what is on the screen as a PNG file."""
        picture = self._call("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(picture))

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._tab, **parameters)
