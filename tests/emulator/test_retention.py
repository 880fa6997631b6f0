"""What an emulator keeps of the jobs that were, and what it lets go."""

import tracemalloc

import pytest

from prefect_qsession.emulator import EmulatorSettings, TimingSettings
from prefect_qsession.emulator.rules.service import Service
from prefect_qsession.emulator.rules.simulation import Outcome
from prefect_qsession.emulator.running.device_data import load_device

from .conftest import one_bit

RESULT = b"x" * 20_000
KIBIBYTE = 1024


def test_only_the_latest_jobs_keep_their_parameters_and_results(make_bench):
    """Of those before, the state, the times and the charge stay."""
    bench = make_bench(kept_results=2)
    jobs = []
    for _ in range(4):
        jobs.append(bench.submit())
        bench.clock.advance(10)
    old, *_, latest = [bench.service.job(job.job_id()) for job in jobs]

    assert {"1": 4096} == latest.result()[0].data.c.get_counts()
    assert one_bit().num_qubits <= latest.inputs["pubs"][0][0].num_qubits
    assert ("DONE", 10, None) == (old.status(), old.usage(), old.result())
    assert {} == old.inputs


def test_a_job_that_is_not_over_forgets_nothing(make_bench):
    """However many come after it."""
    bench = make_bench(kept_results=0)
    jobs = [bench.submit() for _ in range(3)]
    bench.clock.advance(30)

    assert ["DONE"] * 3 == [job.status() for job in jobs]
    assert jobs[-1].result() is not None


def test_many_sessions_and_jobs_take_little_memory():
    """What is kept of a job that is over is no more than a record of it."""
    settings = EmulatorSettings(timing=TimingSettings.instant(), kept_results=100)
    service = service_of(settings)
    work(service, sessions=5)

    tracemalloc.start()
    work(service, sessions=5)
    before, _ = tracemalloc.get_traced_memory()
    work(service, sessions=50)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 60 * 40 == len(service.jobs)
    assert (after - before) / (50 * 40) < 2 * KIBIBYTE


def service_of(settings: EmulatorSettings) -> Service:
    """Return the rules of a service, without a server."""
    return Service(settings, [load_device(device) for device in settings.devices])


def work(service: Service, sessions: int) -> None:
    """Open sessions one after the other, with forty jobs each, at no time at all."""
    now = 0.0
    instance = service.settings.instances[0]
    for _ in range(sessions):
        session = service.create_session(instance, "ibm_manila", "dedicated", None, now)
        for _ in range(40):
            service.create_job(
                instance,
                backend="ibm_manila",
                program_id="sampler",
                body=bytes(bytearray(RESULT)),
                session_id=session.id,
                tags=(),
                max_seconds=None,
                private=False,
                now=now,
            )
            for job in service.take_started():
                service.computed(job, Outcome(bytes(bytearray(RESULT)), 1), now)
            service.timers.run_until(now)
        service.set_accepting_jobs(session, accepting=False, now=now)


def test_large_results_are_kept_as_far_as_they_fit():
    """Of eighty jobs with twenty kilobytes in and out, the latest ten fit into 400 kB."""
    service = service_of(EmulatorSettings(timing=TimingSettings.instant(), kept_bytes=400_000))
    work(service, sessions=2)

    kept = [bool(job.size) for job in service.jobs.values()]
    assert [False] * 70 + [True] * 10 == kept


@pytest.mark.parametrize("setting", ["kept_results", "kept_bytes"])
def test_less_than_nothing_cannot_be_kept(setting):
    """A number below zero is refused."""
    with pytest.raises(ValueError, match=setting):
        EmulatorSettings(**{setting: -1})
