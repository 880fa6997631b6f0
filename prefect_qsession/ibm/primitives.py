"""
The client's primitives of both generations, with their options checked before there is a session.

The default are the client-side ones, which send program `executor`. The legacy ones send `sampler`
and `estimator`, as long as the client has them.
"""

import os
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any, Literal

from qiskit_ibm_runtime import RuntimeJobV2, Session

from prefect_qsession.exceptions import InvalidOptions, NoLegacyPrimitives
from prefect_qsession.ibm.encodings import EncodedExecutor
from prefect_qsession.ibm.errors import translated
from prefect_qsession.ibm.internals import CLIENT_SIDE, LEGACY
from prefect_qsession.ibm.preflight import submitting
from prefect_qsession.ibm.programs import PreparedPrograms

PrimitiveKind = Literal["estimator", "sampler", "executor"]

_programs = PreparedPrograms()
"""Of all flow runs in this process: tasks make their primitives anew."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_programs.renew_lock)


class ClientPrimitive:
    """
    One of the client's primitives, given its session only when it runs.

    Args:
        kind: Which primitive.
        options: The client's options object for it, a mapping of the same form, or None.
        legacy: Take the generation whose pre- and post-processing the service does.

    Raises:
        NoLegacyPrimitives: The client has no such generation any more.
        InvalidOptions: The options are not those of this primitive and generation.
    """

    def __init__(self, kind: PrimitiveKind, options: Any = None, *, legacy: bool = False) -> None:
        self.program = f"{kind}-legacy" if legacy else kind
        """Which primitive, and of which generation."""
        if legacy and kind not in LEGACY:
            raise NoLegacyPrimitives(f"{kind}()")
        self._class, options_class = (LEGACY if legacy else CLIENT_SIDE)[kind]
        if options is None or isinstance(options, Mapping):
            try:
                options = options_class(**(options or {}))
            except (TypeError, ValueError) as error:
                raise InvalidOptions(f"{kind}()", str(error)) from error
        if not isinstance(options, options_class):
            raise InvalidOptions(f"{kind}()", f"an object of {type(options).__qualname__}.")
        self.options: Any = options

    @property
    def job_tags(self) -> list[str]:
        """The tags that the options put on each job."""
        return list(self.options.environment.job_tags or ())

    def run(self, mode: Any, tags: Iterable[str], arguments: Any) -> RuntimeJobV2:
        """
        Submit a job and return the client's; asks once, and does not repeat what failed.

        Args:
            mode: What the job runs in: the client's session, batch or backend.
            tags: For the job, beside those of the options.
            arguments: What the client's primitive runs: PUBs, or a quantum program.

        Raises:
            SessionLost: The service has ended the session.
            ServiceError: The service did not accept the job, or may not have.
        """
        # Two levels: a copy of all there is takes longer than the job's encoding.
        options = copy(self.options)
        options.environment = copy(self.options.environment)
        options.environment.job_tags = [*self.job_tags, *tags]
        session_id = mode.session_id if isinstance(mode, Session) else None
        with translated("submit a job", session_id), submitting(session_id):
            if ready := _programs.fill(self.program, arguments, options):
                return EncodedExecutor(mode=mode, options=ready.options).run(ready.program)
            return self._class(mode=mode, options=options).run(arguments)
