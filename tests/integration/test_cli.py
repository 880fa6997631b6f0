"""The `qsession` command."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from prefect_qsession import cli
from tests.programs import started


def test_the_emulator_starts_prints_its_environment_and_ends_by_a_signal():
    """What it prints is enough for a client, and SIGTERM is a clean end."""
    command = [sys.executable, "-m", "prefect_qsession.cli", "emulator", "start"]
    with started(command, stdout=subprocess.PIPE, text=True) as emulator:
        printed = ""
        for line in emulator.stdout or ():
            printed += line
            if "Ctrl-C" in line:
                break
        [url] = re.findall(r"export IAM_URL='(.*)'", printed)
        with urllib.request.urlopen(f"{url}/emulator/record") as reply:
            status = reply.status
        emulator.send_signal(signal.SIGTERM)

    assert 200 == status
    assert 0 == emulator.returncode
    assert {"QISKIT_IBM_TOKEN", "QISKIT_IBM_URL", "QISKIT_IBM_INSTANCE"} < set(
        re.findall(r"export (\w+)=", printed)
    )


def test_without_its_extra_the_emulator_says_what_to_install(monkeypatch, capsys):
    """It does not start and fail later."""
    monkeypatch.setattr(cli.emulator, "EMULATOR_NEEDS", ("a_package_that_is_not_there",))

    assert 1 == cli.main(["emulator", "start"])
    assert "prefect-qsession[emulator]" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--time-scale", "0"], ["--jobs-ahead", "-1"]])
def test_settings_that_cannot_be_are_refused_in_a_line(wrong, capsys):
    """A wrong number is no traceback."""
    assert 1 == cli.main(["emulator", "start", *wrong])
    assert "could not start" in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused_in_a_line(emulator, capsys):
    """Another program's port is named by the operating system's own error."""
    port = emulator.url.rpartition(":")[2]

    assert 1 == cli.main(["emulator", "start", "--port", port])
    assert os.strerror(98) in capsys.readouterr().err
