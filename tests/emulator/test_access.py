"""Who gets at an emulator: loopback, or the network with a key of its operator."""

import re
import signal
import subprocess
import sys

import pytest
import requests
from qiskit_ibm_runtime import QiskitRuntimeService

from prefect_qsession.emulator import Emulator, EmulatorSettings, InstanceSettings, serve
from tests.programs import started

from .conftest import REPOSITORY

EVERYWHERE = "0.0.0.0"
OWN = InstanceSettings(api_keys=("a-key-of-the-operator",))
EMULATOR = [sys.executable, "-m", "prefect_qsession.cli", "emulator"]
CONTROL = ["/", "/emulator/overview", "/emulator/record", "/emulator/faults"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever that is."""
    return subprocess.run(
        command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def open_emulator(simulators):
    """Start an emulator that listens on every address of the machine."""
    settings = EmulatorSettings(instances=(OWN,))
    with Emulator(settings, host=EVERYWHERE, simulators=simulators) as emulator:
        yield emulator


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.1", "emulator.example"])
@pytest.mark.parametrize("start", [Emulator, serve])
def test_with_the_key_that_everybody_knows_only_loopback_is_served(host, start):
    """Refused before anything listens, also if only one of several instances has that key."""
    for instances in ((InstanceSettings(),), (OWN, InstanceSettings(crn="crn:v1:x::"))):
        with pytest.raises(ValueError, match="API keys of your own"):
            start(EmulatorSettings(instances=instances), host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_loopback_needs_no_key_of_its_own(simulators, host):
    """What only this machine can reach may have the default key, and its page asks for none."""
    with Emulator(host=host, simulators=simulators) as emulator:
        assert requests.get(emulator.url, timeout=5).ok


def test_an_open_emulator_serves_the_client_with_its_key_and_no_other(open_emulator, monkeypatch):
    """The unmodified client connects with the operator's key; the default key is nobody's."""
    for name, value in open_emulator.environment().items():
        monkeypatch.setenv(name, value)
    url = f"{open_emulator.runtime_url}/backends"
    headers = {"Authorization": "apikey emulator-api-key", "Service-CRN": OWN.crn}

    assert "ibm_manila" in [backend.name for backend in QiskitRuntimeService().backends()]
    assert 401 == requests.get(url, headers=headers, timeout=5).status_code


@pytest.mark.parametrize("path", CONTROL)
def test_what_an_open_emulator_shows_and_lets_change_needs_a_key(open_emulator, path):
    """The page and the control routes take the client's header, or a browser's password."""
    url = open_emulator.url + path
    [key] = OWN.api_keys

    refused = requests.get(url, timeout=5)
    assert 401 == refused.status_code
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    for wrong in ("Basic !", "Basic YTpi", "apikey x", "Bearer x.y.z", "nonsense"):
        headers = {"Authorization": wrong}
        assert 401 == requests.get(url, headers=headers, timeout=5).status_code
    assert requests.get(url, headers={"Authorization": f"apikey {key}"}, timeout=5).ok
    assert requests.get(url, auth=("anybody", key), timeout=5).ok


def test_the_command_line_takes_its_key_from_the_environment_and_does_not_print_it(monkeypatch):
    """`--host` without a key is refused; with one, what is printed names the variable."""
    start = [*EMULATOR, "start", "--host", EVERYWHERE]
    refused = run(start)
    monkeypatch.setenv("QSESSION_EMULATOR_API_KEY", "a-key-of-the-operator")
    with started(start, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as emulator:
        printed = ""
        for line in emulator.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        [url] = re.findall(r"export IAM_URL='(.*)'", printed)
        monkeypatch.setenv("QISKIT_IBM_TOKEN", "a-key-of-the-operator")
        asked = run([*EMULATOR, "faults", "--url", url])
        emulator.send_signal(signal.SIGTERM)

    assert 1 == refused.returncode
    assert "API keys of your own" in refused.stderr
    assert 'export QISKIT_IBM_TOKEN="$QSESSION_EMULATOR_API_KEY"' in printed
    assert "a-key-of-the-operator" not in printed
    assert ("Nothing goes wrong here.\n", 0) == (asked.stdout, asked.returncode)
