"""
What an operator sets for every session flow of a deployment, work pool or machine, without its
code.

Read as Prefect's integrations read theirs: from `PREFECT_INTEGRATIONS_QSESSION_...` in the
environment, or from the table `[integrations.qsession]` in `prefect.toml`. What a flow's code says
wins, and what a `SessionPolicy` block says.
"""

from collections.abc import Mapping
from typing import Any

from prefect.settings.base import PrefectBaseSettings, build_settings_config
from pydantic import Field, create_model

from prefect_qsession.config.options import OPTIONS, Option, SessionOptions, policy_fields
from prefect_qsession.config.policy import ResolvedPolicy


def _setting(option: Option) -> Any:
    kept = option.values.in_settings
    kept = kept | None if option.default is None else kept
    return kept, Field(default=option.default, description=option.about)


_OptionSettings: Any = create_model(
    "_OptionSettings",
    __base__=PrefectBaseSettings,
    **{name: _setting(option) for name, option in OPTIONS.items()},
)


class QSessionSettings(_OptionSettings):
    """Defaults for what a `SessionTaskRunner` was not told in code."""

    model_config = build_settings_config(("integrations", "qsession"))

    credentials: str | None = Field(
        default=None, description="Name of the QiskitRuntimeCredentials block to use."
    )
    backend: str | None = Field(
        default=None, description="Name of the backend; the least busy one if not set."
    )
    policy: str | None = Field(
        default=None,
        description="Name of the SessionPolicy block to use; it wins over the settings below.",
    )
    keep_for_retry: float = Field(
        default=60.0,
        ge=0,
        description="Seconds that a session is kept open for the next attempt of its flow run; it "
        "is closed if that begins later.",
    )
    release_within: float = Field(
        default=20.0,
        gt=0,
        description="Seconds for which a release that fails is repeated in the flow's process.",
    )
    slot_within: float = Field(
        default=28_800.0,
        gt=0,
        description="Seconds that a flow run waits for a slot of its `concurrency_limit`.",
    )
    long_queue: float = Field(
        default=3600.0,
        gt=0,
        description="Seconds in the queue after which the event `qsession.queue.long` is emitted.",
    )
    questions_per_second: float = Field(
        default=200.0,
        gt=0,
        description="How often a second the jobs of a flow run, all together, are asked how they "
        "stand, at the most.",
    )
    monitor_every: float = Field(
        default=1.0,
        gt=0,
        description="Seconds between two looks whether the flow run was cancelled from outside.",
    )
    heartbeat_every: float = Field(
        default=20.0, gt=0, description="Seconds between two heartbeats of an open session."
    )
    require_ledger: bool = Field(
        default=True,
        description="Refuse to use a session that cannot be recorded in the Prefect API.",
    )

    def resolve(
        self, options: SessionOptions, block: Mapping[str, object] | None = None
    ) -> ResolvedPolicy:
        """
        Return the policy of a flow run: as its code says, then a block, and for the rest as set
        here.

        Raises:
            InvalidSetting: An option or a setting is not of the right kind.
        """
        set_here = {name: getattr(self, name) for name in OPTIONS}
        return ResolvedPolicy(
            **policy_fields(options, defaults=set_here | dict(block or {})),
            keep_for_retry_seconds=self.keep_for_retry,
            release_within_seconds=self.release_within,
            slot_within_seconds=self.slot_within,
            long_queue_seconds=self.long_queue,
            questions_per_second=self.questions_per_second,
            monitor_every_seconds=self.monitor_every,
            heartbeat_every_seconds=self.heartbeat_every,
            require_ledger=self.require_ledger,
        )
