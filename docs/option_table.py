"""Write the table of options into its page from the code: `python -m docs.option_table`."""

import re
from pathlib import Path

from prefect_qsession.config.options import OPTIONS, Option

PAGE = Path(__file__).parent / "options.md"
_TABLE = re.compile(r"(?<=\| option of sessions \| \| default \|\n\|---\|---\|---\|\n)(?:\|.*\n)*")


def with_table(page: str) -> str:
    """Return the page with its table written anew, in the order of the block's form."""
    rows = (f"| `{name}` | {said.about} | {_default(said)} |\n" for name, said in OPTIONS.items())
    return _TABLE.sub(lambda _: "".join(rows), page)


def _default(option: Option) -> str:
    match option.default:
        case None:
            return "none"
        case bool():
            return "yes" if option.default else "no"
        case tuple():
            return ", ".join(option.default)
        case _:
            return str(option.default)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
