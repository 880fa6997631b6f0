"""The JSON documents of the service, field by field as its API reference has them."""

import json
from typing import Any

from prefect_qsession.emulator.rules.listings import workload_mode, workload_status
from prefect_qsession.emulator.rules.qpus import Qpu
from prefect_qsession.emulator.rules.states import JobState
from prefect_qsession.emulator.rules.times import isoformat
from prefect_qsession.emulator.rules.workloads import Job, Session

Document = dict[str, Any]

_STATUS_WORDS = {
    "online": (True, "active", ""),
    "paused": (True, "maintenance", "The device is under maintenance; jobs stay queued."),
    "offline": (False, "offline", "The device is offline."),
}


def _moment(at: float | None) -> str | None:
    return None if at is None else isoformat(at)


def backend_summary(qpu: Qpu) -> Document:
    """Describe a device in the list of devices."""
    device = qpu.device
    summary = {
        "name": device.name,
        "status": {
            "name": device.status,
            "reason": "active" if device.status == "online" else _STATUS_WORDS[device.status][1],
        },
        "is_simulator": False,
        "qubits": device.num_qubits,
        "physical_qubits": device.num_qubits,
        "queue_length": qpu.queue_length(),
        "processor_type": device.processor,
    }
    if device.is_mock:
        summary["class"] = "mock"
    if device.clops is not None:
        summary["clops"] = {"type": "hardware", "value": device.clops}
    return summary


def backend_status(qpu: Qpu) -> Document:
    """Describe a device's status."""
    works, status, message = _STATUS_WORDS[qpu.device.status]
    return {
        "state": works,
        "status": status,
        "message": message,
        "length_queue": qpu.queue_length(),
        "backend_version": qpu.device.version,
    }


def session_document(session: Session, now: float) -> Document:
    """Describe a session or batch."""
    return {
        "id": session.id,
        "backend_name": session.backend,
        "interactive_ttl": _whole(session.interactive_ttl_seconds),
        "max_ttl": session.max_ttl_seconds,
        "active_ttl": int(session.active_ttl_seconds(now)),
        "state": session.state,
        "state_reason": session.reason,
        "accepting_jobs": session.accepting_jobs,
        "mode": session.mode,
        "last_job_started": _moment(session.last_job_started),
        "last_job_completed": _moment(session.last_job_completed),
        "started_at": _moment(session.started),
        "activated_at": _moment(session.activated),
        "closed_at": _moment(session.closed),
        "elapsed_time": None if session.started is None else session.usage_seconds(now),
        "timestamps": [
            {"status": transition.state, "timestamp": isoformat(transition.at)}
            for transition in session.transitions
        ],
        "user_id": USER_ID,
    }


def _whole(seconds: float) -> float | int:
    return int(seconds) if seconds == int(seconds) else seconds


USER_ID = "IBMid-000000EMUL"


def job_document(job: Job, *, with_params: bool = False) -> Document:
    """Describe a job; its parameters only on request, as they may be large."""
    state: Document = {"status": job.state}
    if job.reason.text is not None:
        state["reason"] = job.reason.text
        state["reason_code"] = job.reason.code
        if job.reason.solution is not None:
            state["reason_solution"] = job.reason.solution
    document: Document = {
        "id": job.id,
        "backend": job.backend,
        "state": state,
        "status": job.state,
        "program": {"id": job.program_id},
        "created": isoformat(job.created),
        "cost": job.max_seconds,
        "tags": job.tags,
        "user_id": USER_ID,
        "usage": usage(job),
        "estimated_running_time_seconds": job.qpu_seconds,
        "private": job.private,
    }
    if job.session is not None:
        document["session_id"] = job.session.id
    if with_params and job.body and not job.private:
        document["params"] = json.loads(job.body)["params"]
    return document


def usage(job: Job) -> Document:
    """Describe what a job is charged, and whether that is final."""
    return {
        "qpu_charge_time_seconds": job.charged_seconds or 0,
        "status": "complete" if job.is_final else "pending",
    }


def metrics(job: Job, *, with_quantum_seconds: bool) -> Document:
    """Describe a job's times."""
    used = usage(job)
    if with_quantum_seconds:
        used["quantum_seconds"] = used["qpu_charge_time_seconds"]
    executing_seconds = job.qpu_seconds if job.state is JobState.COMPLETED else None
    return {
        "timestamps": {
            "created": isoformat(job.created),
            "running": _moment(job.started),
            "finished": _moment(job.finished),
        },
        "usage": used,
        "circuits_execution_time_ns": (
            None if executing_seconds is None else int(executing_seconds * 1e9)
        ),
        "executions": 0 if job.outcome is None else job.outcome.executions,
        "qiskit_version": job.client.qiskit_version,
        "caller": job.client.caller,
    }


def workload_document(workload: Job | Session, now: float) -> Document:
    """Describe a session, a batch or a job in the list of workloads."""
    document: Document = {
        "id": workload.id,
        "created": isoformat(workload.created),
        "backend": workload.backend,
        "instance": workload.instance,
        "user_id": USER_ID,
        "mode": workload_mode(workload),
        "status": workload_status(workload),
    }
    if isinstance(workload, Session):
        return document | {
            "ended": _moment(workload.closed),
            "accepting_jobs": workload.accepting_jobs,
            "usage_seconds": None if workload.started is None else workload.usage_seconds(now),
        }
    return document | {
        "ended": _moment(workload.finished),
        "status_reason": workload.reason.text,
        "tags": workload.tags,
        "usage_seconds": workload.charged_seconds,
    }
