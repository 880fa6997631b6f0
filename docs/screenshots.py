"""
Take the pictures of the pages anew, from real runs in a real browser.

    python -m docs.screenshots [--latest]

The tests of `tests/ui` start the servers, run the flows and photograph what they look at; this runs
them, and takes over the pictures that the pages show. With `--latest` it takes those of the last
time that they ran. It needs Chromium.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"
TAKEN = Path(__file__).parents[1] / ".pytest_cache" / "d" / "pictures"

SHOWN = {
    "block_form_v2.png": "block_form.png",
    "policy_form_v2.png": "policy_form.png",
    "run_after_v2.png": "run.png",
    "report_light_v2.png": "report_light.png",
    "report_dark_v2.png": "report_dark.png",
    "events_v2.png": "events.png",
    "jobs_v2.png": "jobs.png",
    "desktop.png": "emulator_page.png",
    "terminal.svg": "terminal.svg",
}
"""What the tests call a picture, and what the pages do."""

_WEB_FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def take_over() -> None:
    """Copy the pictures that the pages show; none of them asks anything of the network."""
    for taken, shown in SHOWN.items():
        shutil.copyfile(TAKEN / taken, PICTURES / shown)
    terminal = PICTURES / SHOWN["terminal.svg"]
    terminal.write_text(_WEB_FONTS.sub("", terminal.read_text()))


if __name__ == "__main__":
    if "--latest" not in sys.argv:
        subprocess.run([sys.executable, "-m", "pytest", "tests/ui"], check=True)
    take_over()
