"""
What an operator sets for every session flow of a deployment, work pool or machine, without its
code.

Read as Prefect's integrations read theirs: from `PREFECT_INTEGRATIONS_QSESSION_...` in the
environment, or from the table `[integrations.qsession]` in `prefect.toml`. What a flow's code says
wins.
"""

from prefect.settings.base import PrefectBaseSettings, build_settings_config
from pydantic import Field

DEFAULT_MAX_TIME = "1h"
"""Long enough for a few hundred iterations; short enough that the worst accident costs an hour."""


class QSessionSettings(PrefectBaseSettings):
    """Defaults for what a `SessionTaskRunner` was not told in code."""

    model_config = build_settings_config(("integrations", "qsession"))

    credentials: str | None = Field(
        default=None, description="Name of the QiskitRuntimeCredentials block to use."
    )
    backend: str | None = Field(
        default=None, description="Name of the backend; the least busy one if not set."
    )
    max_time: str | int = Field(
        default=DEFAULT_MAX_TIME,
        description="The service ends a session after this time, whatever happens here.",
    )
