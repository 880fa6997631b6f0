"""The Prefect block that holds what is needed to reach the Runtime service."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from prefect.blocks.abstract import CredentialsBlock
from prefect.blocks.fields import SecretDict
from pydantic import ConfigDict, Field, HttpUrl, SecretStr

from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.exceptions import IncompleteEnvironment, MissingCredentials
from prefect_qsession.ibm.records import RuntimeAccount
from prefect_qsession.prefect_api.blocks import OptionalUrl, load_block

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

    from prefect_qsession.ibm.service import Runtime


class QiskitRuntimeCredentials(CredentialsBlock):
    """
    Hold the credentials of an IBM Quantum account, and where its Runtime service is.

    Constructing, validating, saving and loading it asks nothing of the network; the first request
    is made by `get_service`. The API key and the proxies are secrets: neither appears in a repr, a
    log or an error.

    Example:
        Load stored credentials:
        ```python
        from prefect_qsession import QiskitRuntimeCredentials

        credentials = QiskitRuntimeCredentials.load("BLOCK_NAME")
        service = credentials.get_service()
        ```
    """

    # A validation error prints its input otherwise, the API key with it.
    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name: ClassVar[str | None] = "Qiskit Runtime Credentials"
    _block_type_slug: ClassVar[str | None] = "qiskit-runtime-credentials"
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://quantum.cloud.ibm.com/docs/guides/cloud-setup"
    )
    _description: ClassVar[str | None] = (
        "Credentials of an IBM Quantum account, for flows that hold a Qiskit Runtime session."
    )

    api_key: SecretStr = Field(
        title="API key", description="API key of the IBM Cloud account.", min_length=1
    )
    instance: str = Field(
        description="CRN or name of the Qiskit Runtime service instance that pays.", min_length=1
    )
    channel: Literal["ibm_quantum_platform", "ibm_cloud"] = Field(
        default="ibm_quantum_platform", description="Channel to reach the service through."
    )
    runtime_url: OptionalUrl = Field(
        default=None,
        title="Runtime URL",
        description="Base URL of a private or local Runtime API; IBM's own if left out.",
    )
    auth_url: OptionalUrl = Field(
        default=None,
        title="IAM URL",
        description="Root of a private or local identity service; IBM's own if left out.",
    )
    search_url: OptionalUrl = Field(
        default=None,
        title="Resource search URL",
        description="Root of a private or local resource search; IBM's own if left out.",
    )
    catalog_url: OptionalUrl = Field(
        default=None,
        title="Catalogue URL",
        description="Root of a private or local catalogue of plans; IBM's own if left out.",
    )
    proxies: SecretDict | None = Field(
        default=None,
        description='Proxies in the client\'s form, as in {"urls": {"https": "http://..."}}.',
    )
    verify: bool = Field(
        default=True,
        title="Verify TLS",
        description="Verify the service's TLS certificate.",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """
        Return a block with what the Runtime client's own environment variables say.

        These are the variables that `qsession emulator start` prints.

        Args:
            environment: Where to look; the process's environment if left out.

        Raises:
            IncompleteEnvironment: QISKIT_IBM_TOKEN or QISKIT_IBM_INSTANCE is missing.
        """
        variables = os.environ if environment is None else environment
        for required in ("QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE"):
            if not variables.get(required):
                raise IncompleteEnvironment(required)
        fields = {
            "api_key": variables["QISKIT_IBM_TOKEN"],
            "instance": variables["QISKIT_IBM_INSTANCE"],
            "channel": variables.get("QISKIT_IBM_CHANNEL"),
            "runtime_url": variables.get("QISKIT_IBM_URL"),
            "auth_url": variables.get("IAM_URL"),
            "search_url": variables.get("GLOBAL_SEARCH_URL"),
            "catalog_url": variables.get("GLOBAL_CATALOG_URL"),
        }
        return cls(**{name: value for name, value in fields.items() if value})

    def account(self) -> RuntimeAccount:
        """Return the account in plain words."""
        return RuntimeAccount(
            api_key=self.api_key.get_secret_value(),
            instance=self.instance,
            channel=self.channel,
            runtime_url=_plain(self.runtime_url),
            auth_url=_plain(self.auth_url),
            search_url=_plain(self.search_url),
            catalog_url=_plain(self.catalog_url),
            proxies=self.proxies.get_secret_value() if self.proxies else None,
            verify=self.verify,
        )

    def get_service(self) -> "QiskitRuntimeService":
        """
        Return a `QiskitRuntimeService` that is ready for requests.

        Raises:
            Unauthorized: The service does not accept the API key.
            UnknownInstance: The key gives no access to the instance.
            ServiceUnavailable: The service could not be reached.
        """
        # Here, not above: importing the client takes seconds, and loading a block must not.
        from prefect_qsession.ibm.service import connect  # noqa: PLC0415

        return connect(self.account())

    def get_client(self, *_args: Any, **_kwargs: Any) -> "QiskitRuntimeService":
        """Return the same as `get_service`; Prefect's name for it."""
        return self.get_service()


def runtime_for(
    credentials: str | QiskitRuntimeCredentials | None, backend: str | LeastBusy
) -> "Runtime":
    """
    Return the way to the service, loading a block that is only named; the service is not asked.

    Raises:
        MissingCredentials: There are none.
        UnknownBlock: No block of that name is saved in this Prefect API.
        InvalidBlock: What is saved under that name is not such a block as this version needs.
    """
    from prefect_qsession.ibm.service import Runtime  # noqa: PLC0415 - slow to import

    if credentials is None:
        raise MissingCredentials
    if isinstance(credentials, str):
        credentials = load_block(QiskitRuntimeCredentials, credentials)
    return Runtime(credentials.account(), backend)


def _plain(url: HttpUrl | None) -> str | None:
    # Pydantic adds a slash to a bare host; the client appends paths that begin with one.
    return str(url).rstrip("/") if url else None
