"""How Sphinx builds these pages: `make docs`, without network, into `docs/_build`."""

import logging
import re
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

project = "prefect-qsession"
release = version = installed_version("prefect-qsession")
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.commands"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

# Docstrings write `code` in single backticks, and Google's sections.
default_role = "code"
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"{project} {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

# Importing the client transpiles a circuit, and with Sphinx's handlers in place Qiskit tells of it.
logging.getLogger("qiskit").setLevel(logging.WARNING)

_FUNCTION = re.compile(r"<built-in function (\w+)>")
_LINK_OUT = re.compile(r"(?<!!)\[([^]]+)\]\((\.\./[^)#]*)\)")


def setup(app: Sphinx) -> None:
    """Read Markdown that is written for a code host, or for Prefect's UI, as Sphinx needs it."""
    app.connect("source-read", _with_downloads)
    app.connect("autodoc-process-signature", _with_names)
    app.connect("autodoc-process-docstring", _without_fences, priority=100)


def _with_downloads(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Let a link to a file of the repository be a download, and to a folder be its name."""

    def linked(found: re.Match[str]) -> str:
        words, target = found.groups()
        is_file = (Path(__file__).parent / target).is_file()
        return f"{{download}}`{words} <{target}>`" if is_file else f"`{words}`"

    source[0] = _LINK_OUT.sub(linked, source[0])


def _with_names(*told: Any) -> tuple[str, str] | None:
    """Name a function that is a default: Sphinx cannot read what Python writes of it."""
    *_, arguments, returned = told
    return (_FUNCTION.sub(r"\1", arguments), returned) if arguments else None


def _without_fences(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Read the example of a block, which Prefect's UI shows as Markdown."""
    for number, line in enumerate(lines):
        if line.strip() == "```python":
            lines[number] = line.replace("```python", ".. code-block:: python") + "\n"
        elif line.strip() == "```":
            lines[number] = ""
