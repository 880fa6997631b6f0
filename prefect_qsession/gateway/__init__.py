"""
The one place that talks to the Runtime service, through `qiskit_ibm_runtime`, and the one
translator of its errors into ours. It knows nothing of Prefect. Importing it is slow: import it
when it is needed.
"""

from prefect_qsession.gateway.primitives import ClientPrimitive, check_isa
from prefect_qsession.gateway.service import Runtime, connect
from prefect_qsession.gateway.sessions import GatewaySession

__all__ = ["ClientPrimitive", "GatewaySession", "Runtime", "check_isa", "connect"]
