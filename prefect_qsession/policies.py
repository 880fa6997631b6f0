"""
The Prefect block with which an operator says how sessions are opened, held and let go, and what
holds for a flow run in the end.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Unpack, cast

from prefect.blocks.core import Block
from pydantic import (
    AfterValidator,
    Field,
    HttpUrl,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)

from prefect_qsession.config.options import OPTIONS, Option, SessionOptions, policy_fields
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.exceptions import InvalidSetting
from prefect_qsession.prefect_api.blocks import EMPTY_IS_NONE, load_block
from prefect_qsession.settings import QSessionSettings


def _readable(value: object, info: ValidationInfo) -> object:
    """Refuse what a flow run could not read."""
    try:
        policy_fields({str(info.field_name): value})
    except InvalidSetting as error:
        # As pydantic has it, which tells all that is wrong at once.
        raise ValueError(str(error)) from None
    return value


def _field(name: str, option: Option) -> Any:
    kept = option.values.in_block
    schema = WithJsonSchema(TypeAdapter(kept).json_schema())
    title = option.title or name.capitalize().replace("_", " ")
    return (
        Annotated[kept | None, EMPTY_IS_NONE, AfterValidator(_readable), schema],
        Field(default=None, title=title, description=option.about),
    )


_Form: Any = create_model("_Form", **{name: _field(name, said) for name, said in OPTIONS.items()})


class SessionPolicy(Block, _Form):
    """
    Say how the sessions of flow runs are opened, held and let go, without the code of their flows.

    A flow names it, `session_flow("ibm", policy="careful")`, or an operator does, for all flows of
    a deployment, work pool or machine: `PREFECT_INTEGRATIONS_QSESSION_POLICY=careful`. What a
    flow's code says itself wins over the block, and the block over other settings; what is left out
    here is left to them. It is read when a flow run begins, so a change holds from the next one on.

    Example:
        Load a stored policy:
        ```python
        from prefect_qsession import SessionPolicy, session_flow

        policy = SessionPolicy.load("BLOCK_NAME")

        @session_flow("ibm", policy=policy)
        def vqe(): ...
        ```
    """

    _block_type_name: ClassVar[str | None] = "Qiskit Session Policy"
    _block_type_slug: ClassVar[str | None] = "qiskit-session-policy"
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://quantum.cloud.ibm.com/docs/guides/execution-modes"
    )
    _description: ClassVar[str | None] = (
        "How flow runs open, hold and let go Qiskit Runtime sessions: mode, time limit, budgets."
    )

    if TYPE_CHECKING:

        def __init__(self, **options: Unpack[SessionOptions]) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    def options(self) -> SessionOptions:
        """Return what the block says, as the options of the same names."""
        said = {name: getattr(self, name) for name in OPTIONS if getattr(self, name) is not None}
        return cast("SessionOptions", said)


def resolve_policy(options: SessionOptions, policy: str | SessionPolicy | None) -> ResolvedPolicy:
    """
    Return what holds for a flow run: as its code says, then a block, then the settings.

    Args:
        options: What the code says.
        policy: The block, or its name, that the code says; the one of the settings if it says none.

    Raises:
        UnknownBlock: There is no such block.
        InvalidBlock: What is saved is not such a block.
        InvalidSetting: An option or a setting is not of the right kind.
    """
    settings = QSessionSettings()
    chosen = policy or settings.policy
    block = load_block(SessionPolicy, chosen) if isinstance(chosen, str) else chosen
    return settings.resolve(options, block.options() if block else {})
