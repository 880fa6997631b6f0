"""A Sphinx extension: the directive `commands`, which shows every command of `qsession`."""

import argparse
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from prefect_qsession.cli import command_line


class Commands(SphinxDirective):
    """Show each command with its arguments, read from the parser that the program has."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each command."""
        lines = [line for words, parser in commands(command_line()) for line in told(words, parser)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command that does something, with what it says of itself where it is listed."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to look into a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            about = {choice.dest: choice.help for choice in action._choices_actions}  # noqa: SLF001
            for name, command in action.choices.items():
                if command.get_default("run"):
                    yield command.description or about.get(name) or "", command
                yield from commands(command)


def told(about: str, command: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the lines of a command's section: what it does, and a table of its arguments."""
    yield from (f"## {command.prog}", "", sentence(about), "", "| argument | |", "|---|---|")
    for argument in command._actions:  # noqa: SLF001 - as above
        if not isinstance(argument, argparse._HelpAction):  # noqa: SLF001
            yield f"| `{form_of(argument)}` | {help_of(argument)} |"
    yield ""


def form_of(argument: argparse.Action) -> str:
    """Return how an argument is written."""
    value = argument.metavar or (
        "{" + " , ".join(argument.choices) + "}" if argument.choices else None
    )
    if not argument.option_strings:
        return str(value or argument.dest)
    takes_value = argument.nargs != 0
    return " ".join(
        [
            argument.option_strings[-1],
            *([str(value or argument.dest.upper())] if takes_value else []),
        ]
    )


def help_of(argument: argparse.Action) -> str:
    """Return what an argument says of itself, its default filled in."""
    values: dict[str, Any] = vars(argument)
    return sentence((argument.help or "") % values).replace("|", "\\|")


def sentence(text: str) -> str:
    """Return the text with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
