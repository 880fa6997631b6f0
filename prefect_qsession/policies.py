"""
The Prefect block with which an operator says how sessions are opened, held and let go, and what
holds for a flow run in the end.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, cast

from prefect.blocks.core import Block
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    HttpUrl,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)

from prefect_qsession.config.durations import duration_seconds, window_seconds
from prefect_qsession.config.options import SessionOptions
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.exceptions import InvalidSetting
from prefect_qsession.prefect_api.blocks import EMPTY_IS_NONE, TEXT, OptionalText, load_block
from prefect_qsession.settings import QSessionSettings


def _as_text(value: object) -> object:
    """Write a duration that was given in Python as the form and the saved block have it."""
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds())}s"
    return f"{value}s" if isinstance(value, int) and not isinstance(value, bool) else value


def _yes_or_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _readable(value: str, info: ValidationInfo) -> str:
    try:
        duration_seconds(str(info.field_name), value)
    except InvalidSetting as error:
        # As pydantic has it, which tells all that is wrong at once.
        raise ValueError(str(error)) from None
    return value


def _window(value: str, info: ValidationInfo) -> str:
    try:
        window_seconds(str(info.field_name), value)
    except InvalidSetting as error:
        raise ValueError(str(error)) from None
    return value


OptionalDuration = Annotated[
    Annotated[str, BeforeValidator(_as_text), AfterValidator(_readable)] | None, EMPTY_IS_NONE, TEXT
]
OptionalWindow = Annotated[
    Annotated[str, BeforeValidator(_as_text), AfterValidator(_window)] | None, EMPTY_IS_NONE, TEXT
]


class SessionPolicy(Block):
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

    mode: Annotated[
        Literal["session", "batch", "job", "auto"] | None,
        EMPTY_IS_NONE,
        WithJsonSchema({"type": "string", "enum": ["session", "batch", "job", "auto"]}),
    ] = Field(
        default=None,
        description="How jobs run; auto takes a session, or the fallback if the plan has none.",
    )
    fallback: Annotated[
        list[Literal["batch", "job"]] | None,
        EMPTY_IS_NONE,
        WithJsonSchema({"type": "array", "items": {"type": "string", "enum": ["batch", "job"]}}),
    ] = Field(default=None, description="What auto tries after a session, in this order.")
    max_time: OptionalDuration = Field(
        default=None,
        title="Maximum time",
        description='The service ends a session so long after its first job began: "2h 30m", say.',
    )
    qpu_budget: OptionalDuration = Field(
        default=None,
        title="QPU budget",
        description='What all jobs of a flow run together may be charged: "10m", say.',
    )
    session_budget: OptionalDuration = Field(
        default=None,
        title="Session budget",
        description='What all sessions of a flow run together may be billed: "1h", say.',
    )
    idle_release: OptionalDuration = Field(
        default=None,
        title="Idle release",
        description="A session without a job for so long is closed; the next job opens another.",
    )
    concurrency_limit: OptionalText = Field(
        default=None,
        title="Concurrency limit",
        description="Name of the global concurrency limit that an open session takes a slot of.",
    )
    reopen: Annotated[int | None, EMPTY_IS_NONE, WithJsonSchema({"type": "integer"})] = Field(
        default=None,
        ge=0,
        title="Reopen sessions",
        description="How often a session that the service ended is opened anew.",
    )
    reattach: Annotated[
        bool | None,
        EMPTY_IS_NONE,
        # A form's switch that nobody has touched is off, which would say something.
        WithJsonSchema({"type": "string", "enum": ["yes", "no"]}),
        PlainSerializer(_yes_or_no, when_used="json"),
    ] = Field(
        default=None,
        title="Re-attach jobs",
        description="Whether a later attempt takes up the jobs of earlier ones.",
    )

    pack: OptionalWindow = Field(
        default=None,
        title="Packing window",
        description='Requests that tasks make within this time go together as one job: "50ms".',
    )

    def options(self) -> SessionOptions:
        """Return what the block says, as the options of the same names."""
        said = {name: getattr(self, name) for name in SessionOptions.__annotations__}
        return cast("SessionOptions", {k: value for k, value in said.items() if value is not None})


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
