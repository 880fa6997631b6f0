"""
The one place that talks to the Runtime service, through `qiskit_ibm_runtime`, and the one
translator of its errors into ours. It knows nothing of Prefect. Importing it is slow: import it
when it is needed.
"""

from prefect_qsession.adapters.gateway.access import service_access
from prefect_qsession.adapters.gateway.charges import JobCharge, charges, run_charges
from prefect_qsession.adapters.gateway.circuits import each_circuit_seen_once
from prefect_qsession.adapters.gateway.examination import (
    ahead_of_service,
    instance_details,
    pause_of,
)
from prefect_qsession.adapters.gateway.fingerprints import fingerprint
from prefect_qsession.adapters.gateway.isa import check_isa
from prefect_qsession.adapters.gateway.jobs import (
    cancel_job,
    job_result,
    job_standing,
    jobs_tagged,
    qpu_seconds,
)
from prefect_qsession.adapters.gateway.primitives import ClientPrimitive
from prefect_qsession.adapters.gateway.released import (
    ServiceInstance,
    active_instance,
    find_session,
)
from prefect_qsession.adapters.gateway.service import Runtime, connect, find_backend
from prefect_qsession.adapters.gateway.sessions import GatewaySession, Workload
from prefect_qsession.adapters.gateway.transport import may_submit_twice

__all__ = [
    "ClientPrimitive",
    "GatewaySession",
    "JobCharge",
    "Runtime",
    "ServiceInstance",
    "Workload",
    "active_instance",
    "ahead_of_service",
    "cancel_job",
    "charges",
    "check_isa",
    "connect",
    "each_circuit_seen_once",
    "find_backend",
    "find_session",
    "fingerprint",
    "instance_details",
    "job_result",
    "job_standing",
    "jobs_tagged",
    "may_submit_twice",
    "pause_of",
    "qpu_seconds",
    "run_charges",
    "service_access",
]
