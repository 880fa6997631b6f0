"""Saved blocks: fields for their forms, and loading them, with errors that say what to do."""

from typing import Annotated, Any, TypeVar

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import BeforeValidator, HttpUrl, WithJsonSchema

from prefect_qsession.exceptions import InvalidBlock, UnknownBlock

B = TypeVar("B", bound=Block)

# Of a field that may be null the UI asks first, by a switch, whether it is. So no schema of
# ours says it; a form then sends nothing of a field that was left empty, or something empty.
EMPTY_IS_NONE = BeforeValidator(lambda value: None if value in ("", []) else value)
OptionalUrl = Annotated[
    HttpUrl | None, EMPTY_IS_NONE, WithJsonSchema({"type": "string", "format": "uri"})
]


def load_block(kind: type[B], name: str) -> B:
    """
    Load a saved block; safe to call from async code, where it blocks for one request.

    Raises:
        UnknownBlock: No block of that kind and name is saved in this Prefect API.
        InvalidBlock: What is saved under that name is not such a block as this version needs.
    """
    # In async code `load` would return a coroutine; Prefect's types do not know the switch.
    load: Any = kind.load
    try:
        block: B = load(name, _sync=True)
    except ValueError as error:
        if isinstance(error.__cause__, ObjectNotFound):
            raise UnknownBlock(name, kind.__name__) from error
        raise
    except RuntimeError:
        # Not `from` it: its cause is a validation error, which carries what was saved.
        raise InvalidBlock(name, kind.__name__) from None
    return block


def saved_name(block: Block | str | None) -> str | None:
    """Return the name that a block was saved or loaded under, if it was; a name is one."""
    # Private, but what Prefect itself names a loaded block by; it offers no other way.
    return block._block_document_name if isinstance(block, Block) else block  # noqa: SLF001
