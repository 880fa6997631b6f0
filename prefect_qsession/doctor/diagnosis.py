"""Everything looked at, in the order in which one thing needs the other."""

from collections.abc import Generator, Iterator
from datetime import timedelta

from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.doctor.findings import Finding, judge_clocks, skipped
from prefect_qsession.doctor.prefect_side import (
    check_api,
    check_block,
    check_policy,
    check_settings,
    check_watch,
)
from prefect_qsession.doctor.service_side import (
    ahead_of_service,
    check_account,
    check_backend,
    check_instance,
)
from prefect_qsession.doctor.versions import check_versions

BY_THE_API = ("policy", "block")
BY_THE_BLOCK = ("credentials", "instance", "usage", "modes", "backend")
BY_WATCH = ("clock", "ledger", "reaper", "lost heartbeats")


def diagnose(block_name: str | None = None, backend: str | None = None) -> Iterator[Finding]:
    """
    Look at all that a session flow on this machine needs; opens nothing and changes nothing.

    A part that cannot be looked at, because of another, is told as skipped. No finding holds a
    secret.

    Args:
        block_name: The credentials block; that of the settings, or the only one saved, if left out.
        backend: The backend; that of the settings, or the least busy one, if left out.
    """
    yield from check_versions()
    clocks = yield from check_api()
    if clocks is None:
        yield from _skipped((*BY_THE_API, *BY_THE_BLOCK, *BY_WATCH), "needs the Prefect API")
        return
    settings = yield from check_settings()
    policy = (yield from check_policy()) if settings else None
    block = yield from check_block(block_name or (settings.credentials if settings else None))
    if block is None:
        yield from _skipped(BY_THE_BLOCK, "needs the block")
    else:
        wanted = backend or (settings.backend if settings else None)
        clocks |= yield from _check_service(block, policy, wanted)
    yield judge_clocks(clocks)
    yield from check_watch()


def _check_service(
    block: QiskitRuntimeCredentials, policy: ResolvedPolicy | None, backend: str | None
) -> Generator[Finding, None, dict[str, timedelta]]:
    """Look at the service's side; return by how much this clock is ahead of its, if it tells."""
    service = yield from check_account(block)
    if service is None:
        yield from _skipped(BY_THE_BLOCK[2:], "needs the credentials")
        return {}
    yield from check_instance(service, policy)
    yield from check_backend(service, backend)
    return ahead_of_service(service, block)


def _skipped(checks: tuple[str, ...], because: str) -> Iterator[Finding]:
    for check in checks:
        yield skipped(check, because)
