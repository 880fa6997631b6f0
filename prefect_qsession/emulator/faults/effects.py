"""What can go wrong with a request: the effects that a fault may have."""

from dataclasses import KW_ONLY
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from prefect_qsession.emulator.rules.errors import UNPUBLISHED
from prefect_qsession.emulator.rules.reasons import InjectedFailure, reason_of

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

STRICT = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True, config=STRICT)
class Answer:
    """
    An error of this status takes the place of the reply, in IBM's form.

    With *after_work* the request has had its effect: a gateway that fails on the way back.
    """

    status: Annotated[int, Field(ge=400, le=599)]
    _: KW_ONLY
    code: int = UNPUBLISHED
    retry_after_seconds: Annotated[int, Field(ge=0)] | None = None
    after_work: bool = False
    kind: Literal["answer"] = "answer"


@dataclass(frozen=True, config=STRICT)
class Drop:
    """
    The request is read and its connection cut, without a reply.

    With *after_work* the request has had its effect: it is the reply that is lost.
    """

    _: KW_ONLY
    after_work: bool = False
    kind: Literal["drop"] = "drop"


@dataclass(frozen=True, config=STRICT)
class Delay:
    """
    The work begins late, or with *after_work* the reply comes late.

    *seconds* pass on the service's clock, from the arrival of the request. Once it has arrived the
    work is done, whether or not the client waits for it.
    """

    seconds: Seconds
    _: KW_ONLY
    after_work: bool = False
    kind: Literal["delay"] = "delay"


@dataclass(frozen=True, config=STRICT)
class Stall:
    """
    The work is done and the reply begins, but half of its body is missing.

    It comes when *seconds* have passed on the service's clock; `None` is for ever. A reply without
    a body does not begin.
    """

    seconds: Seconds | None = None
    _: KW_ONLY
    kind: Literal["stall"] = "stall"


@dataclass(frozen=True, config=STRICT)
class FailJob:
    """
    The job is accepted, and fails with a reason code of the service.

    It holds the QPU as long as it would have, and pays for that unless the code says that the
    service is at fault; with *at_once* it fails as it comes in, and never runs. With code 1305 it
    is cancelled, as the service does with a job that ran too long. Only submissions are struck.

    Args:
        code: IBM's reason code, such as 1517, 9707 or 1305.
        reason: The words that go with it; the service's own if left out.
        at_once: Whether it fails without having run.
    """

    code: int
    _: KW_ONLY
    reason: str | None = None
    at_once: bool = False
    kind: Literal["fail_job"] = "fail_job"

    def failure(self) -> InjectedFailure:
        """Return what the job takes with it."""
        return InjectedFailure(reason_of(self.code, self.reason), self.at_once)


AnyEffect = Answer | Drop | Delay | Stall | FailJob
