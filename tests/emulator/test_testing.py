"""The pytest plugin, and the page that shows how to use it."""

import re
import subprocess
import sys
import tomllib

import pytest

from .conftest import REPOSITORY

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "prefect_qsession.testing")
"""As pytest loads it where the package is installed; it is the same plugin if it did already."""


def files_of_the_page() -> dict[str, str]:
    """Return the programs of docs/testing.md that name the file they are to be saved in."""
    page = (REPOSITORY / "docs" / "testing.md").read_text()
    programs = re.findall(r"```python\n(# (\w+)\.py\n.*?)```", page, re.DOTALL)
    return {name: program for program, name in programs}


@pytest.mark.slow
def test_the_page_about_testing_shows_tests_that_pass(pytester):
    """The flow and its tests, saved as the page says and run by pytest alone."""
    files = files_of_the_page()
    pytester.makepyfile(**files)

    ran = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:cacheprovider", timeout=240)

    assert {"flip", "test_flip"} == set(files)
    ran.assert_outcomes(passed=2)


def test_time_passes_for_jobs_and_for_whoever_moves_it(pytester):
    """On the plugin's clock a job's wait and work are skipped, and a session's idle time is not."""
    pytester.makepyfile(
        """
        import pytest
        from prefect_qsession.emulator import EmulatorSettings, QueueSettings, TimingSettings
        from qiskit import QuantumCircuit
        from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2, Session

        @pytest.fixture
        def qsession_emulator_settings():
            return EmulatorSettings(
                hand_clock=True,
                skip_waits=True,
                queue=QueueSettings(jobs_ahead=2, seconds_each=100),
                timing=TimingSettings(fixed_seconds=10),
            )

        @pytest.fixture
        def backend(qsession_emulator, monkeypatch):
            for name, value in qsession_emulator.environment().items():
                monkeypatch.setenv(name, value)
            return QiskitRuntimeService().backend("ibm_manila")

        def run(mode):
            circuit = QuantumCircuit(1)
            circuit.measure_all()
            with pytest.warns(DeprecationWarning):
                sampler = SamplerV2(mode)
            sampler.run([circuit]).result()

        def test_jobs(backend, qsession_emulator, qsession_clock):
            start = qsession_clock.now()
            session = Session(backend=backend)
            run(session)
            run(session)
            assert qsession_clock.now() == pytest.approx(start + 220, abs=1e-5)
            qsession_clock.advance(5)
            session.close()
            [record] = qsession_emulator.sessions
            assert (record.qpu_seconds, record.usage_seconds) == (20, 25)
            assert [job.queue_seconds for job in qsession_emulator.jobs] == [200, 0]

        def test_the_next_has_an_emulator_of_its_own(qsession_emulator, qsession_faults):
            assert qsession_emulator.sessions == []
            assert qsession_faults.standing == ()
        """
    )

    pytester.runpytest_subprocess(*PLUGIN, timeout=120).assert_outcomes(passed=2)


def test_the_plugin_imports_nothing_heavy():
    """It is loaded in every run of pytest, also in those that do not use it."""
    program = (
        "import sys, prefect_qsession.testing; "
        "sys.exit(any(x in sys.modules for x in ('prefect', 'qiskit', 'fastapi', 'uvicorn')))"
    )
    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode


def test_the_plugin_is_announced_under_the_name_of_its_module():
    """So that naming it by `-p` loads it once, whether or not the package is installed."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

    assert {PLUGIN[1]: PLUGIN[1]} == project["entry-points"]["pytest11"]


def test_its_fixtures_have_names_of_their_own():
    """In a user's tests they are in the way of nobody's."""
    from prefect_qsession import testing  # noqa: PLC0415

    fixtures = [
        name for name, x in vars(testing).items() if type(x).__name__ == "FixtureFunctionDefinition"
    ]
    assert 6 == len(fixtures)
    assert all("qsession_" in name for name in fixtures)
