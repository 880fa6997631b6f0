"""What the session report asks about a flow run that nobody tells it."""

import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol

from prefect_qsession.budget.rules import BudgetKind
from prefect_qsession.budget.spending import Spending
from prefect_qsession.config.modes import Mode
from prefect_qsession.ibm.records import WorkloadDetails
from prefect_qsession.jobs.reattachment import run_tag
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.reporting.report.histories import BudgetUse

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend

    from prefect_qsession.release.safeguards import SafeguardedWorkload

NAMES = {BudgetKind.QPU: "QPU budget", BudgetKind.SESSION: "Session budget"}


class Held(Protocol):
    """What holds the session."""

    owner: Owner | None
    spending: Spending

    @property
    def session(self) -> "SafeguardedWorkload | None":
        """The latest session, if the service has opened one."""
        ...

    def backend(self) -> "IBMBackend":
        """Return the backend; this opens no session."""
        ...


class FlowRunReportSource:
    """Answer a report's questions about a managed session."""

    def __init__(self, manager: Held) -> None:
        self._manager = manager

    def budgets(self) -> list[BudgetUse]:
        """Return how much of the flow run's budgets is spent, as far as it is known here."""
        now, spending = time.monotonic(), self._manager.spending
        return [
            BudgetUse(name, spending.spent_seconds(kind, now), cap)
            for kind, name in NAMES.items()
            if (cap := spending.cap_seconds(kind)) is not None
        ]

    def details(self) -> WorkloadDetails | None:
        """Ask how the latest session stands; None if there is none whose time is counted."""
        session = self._manager.session
        return session.details() if session and session.mode is not Mode.JOB else None

    def charges(self, job_ids: Collection[str]) -> Mapping[str, float]:
        """Ask what these jobs were charged; those whose charge is not final are left out."""
        from prefect_qsession.ibm.charges import charges  # noqa: PLC0415 - slow to import

        owner = self._manager.owner
        if owner is None:
            return {}
        found = charges(self._manager.backend().service, job_ids, run_tag(owner.flow_run_id))
        # Those of workers, too, which the budgets of this process know in no other way.
        self._manager.spending.learn(found)
        return found
