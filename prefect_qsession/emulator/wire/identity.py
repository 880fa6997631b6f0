"""
Who is asking: API keys, the tokens IAM gives for them, and the instances they open.

Tokens live on the machine's clock, whatever the service's clock does: it is the client that decides
by its own clock when to renew one.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from typing import Any

from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.running.clock import wall_now
from prefect_qsession.emulator.settings import InstanceSettings


class Identity:
    """Issues tokens for the API keys of the instances, and tells what a token opens."""

    def __init__(self, instances: Sequence[InstanceSettings], token_lifetime_seconds: int) -> None:
        self._token_lifetime_seconds = token_lifetime_seconds
        self._instances = {instance.crn: instance for instance in instances}
        self._secret = secrets.token_bytes(32)
        # A token names its key by digest: no API key appears in what is sent or logged.
        self._keys = {_digest(key): key for instance in instances for key in instance.api_keys}

    def issue(self, api_key: str) -> dict[str, Any] | None:
        """Return IAM's answer to an API key, `None` for a key nobody has."""
        subject = _digest(api_key)
        if subject not in self._keys:
            return None
        now = int(wall_now())
        expiration = now + self._token_lifetime_seconds
        claims = {"sub": subject, "iam_id": "IBMid-000000EMUL", "iat": now, "exp": expiration}
        return {
            "access_token": self._sign(claims),
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": self._token_lifetime_seconds,
            "expiration": expiration,
            "scope": "ibm openid",
        }

    def instances_of(self, authorization: str | None) -> list[InstanceSettings]:
        """Return the instances that an `Authorization` header opens, or refuse."""
        scheme, _, credential = (authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            key = self._key_of_token(credential)
        elif scheme.lower() == "apikey":
            key = self._keys.get(_digest(credential))
        else:
            key = None
        if key is None:
            raise errors.invalid_credentials()
        return [i for i in self._instances.values() if key in i.api_keys]

    def instance(self, authorization: str | None, crn: str | None) -> InstanceSettings:
        """Return the instance a request is for, or refuse."""
        opened = self.instances_of(authorization)
        if crn is None or crn not in self._instances:
            raise errors.instance_not_found(str(crn))
        if self._instances[crn] not in opened:
            raise errors.not_authorized()
        return self._instances[crn]

    def _sign(self, claims: dict[str, Any]) -> str:
        head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        body = _encode(json.dumps(claims).encode())
        return f"{head}.{body}.{_encode(self._signature(head, body))}"

    def _signature(self, head: str, body: str) -> bytes:
        return hmac.digest(self._secret, f"{head}.{body}".encode(), "sha256")

    def _key_of_token(self, token: str) -> str | None:
        head, _, rest = token.partition(".")
        body, _, signature = rest.partition(".")
        try:
            if not hmac.compare_digest(_decode(signature), self._signature(head, body)):
                return None
            claims = json.loads(_decode(body))
        except (ValueError, binascii.Error):
            return None
        return self._keys.get(claims["sub"]) if wall_now() < claims["exp"] else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
