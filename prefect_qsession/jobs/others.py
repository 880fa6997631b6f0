"""The jobs that other processes have submitted for a flow run, for its budget."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_qsession.budget.spending import Charge, ReadOthers
from prefect_qsession.jobs.reattachment import JobIdentity, run_tag

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend


def others_of(flow_run_id: UUID, backend: "Callable[[], IBMBackend]") -> ReadOthers:
    """Return what asks for the jobs of this flow run, wherever they were submitted."""

    def read(is_known: Callable[[str], bool], awaited: Collection[str]) -> list[Charge]:
        from prefect_qsession.ibm.charges import run_charges  # noqa: PLC0415 - slow to import

        found = run_charges(backend().service, run_tag(flow_run_id), is_known, awaited)
        known = [(job, JobIdentity.from_tags(job.tags), seconds) for job, seconds in found]
        return [Charge(job.job_id, it.request if it else None, at) for job, it, at in known]

    return read
