"""Where a flow of `flows/` runs when it is started as a program, without a deployment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging import get_logger
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.settings import QSessionSettings

CREDENTIALS = "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS"
START_SECONDS = 120

logger = get_logger("flows")


@contextmanager
def service_at_hand(job_seconds: float | None = 0.1) -> Iterator[None]:
    """
    Run what is inside against the service that is configured, or else against an emulator.

    Configured means that `PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS`, or `prefect.toml`, names a
    credentials block. If none is named, an emulator of the service is started, said so in the log,
    and gone again at the end, with the block that it was saved as. Where there is no Prefect server
    either, a temporary one is started.

    Args:
        job_seconds: What a job takes in the emulator; as long as on a QPU if None.
    """
    with _prefect_server():
        if QSessionSettings().credentials:
            yield
            return
        # Only who needs the emulator must have installed it.
        from prefect_qsession.emulator import (  # noqa: PLC0415
            Emulator,
            EmulatorSettings,
            TimingSettings,
        )

        timing = TimingSettings(fixed_seconds=job_seconds)
        with Emulator(EmulatorSettings(timing=timing)) as emulator:
            logger.warning("%s is not set: this runs in an emulator of the service.", CREDENTIALS)
            block = f"emulator-{os.getpid()}"
            QiskitRuntimeCredentials.from_environment(emulator.environment()).save(block)
            os.environ[CREDENTIALS] = block
            try:
                yield
            finally:
                del os.environ[CREDENTIALS]
                QiskitRuntimeCredentials.delete(block)


@contextmanager
def _prefect_server() -> Iterator[None]:
    """Use the Prefect server that is configured, or else a temporary one."""
    if PREFECT_API_URL.value():
        yield
        return
    # As Prefect does by itself, but so that the processes of Dask find the same one. It stops when
    # this process ends: until then Prefect hands in logs.
    server = SubprocessASGIServer()
    server.start(timeout=START_SECONDS)
    with temporary_settings({PREFECT_API_URL: server.api_url}):
        yield
