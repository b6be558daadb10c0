"""The notebook's side of a group's doors: TLS to a key that evidence carries, or no connection at all."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure_facts import endorsers_of
from sls_jupyter.attestation.binding import door_report_data
from sls_jupyter.attestation.evidence import AttestationResult, Evidence, ReferenceValues, TrustAnchors
from sls_jupyter.attestation.verify import verify
from sls_jupyter.documents import digest, parse_json
from sls_jupyter.errors import MalformedDocument, SlsError, Unavailable, from_problem
from sls_jupyter.identity import SigningKey, make_token

CONNECT_SECONDS = 60.0
CALL_SECONDS = 30.0
MAX_EVENT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Expected:
    """What evidence of this group must show, whatever is bound in its REPORT_DATA."""

    anchors: TrustAnchors
    tees: tuple[str, ...]
    measurement: bytes  # 48
    init_data: bytes  # 32, HOST_DATA


def _peer_certificate(address: str, port: int, deadline: float, alive: Callable[[], bool]) -> bytes:
    """The DER certificate that the door presents; nothing is trusted yet.

    Raises:
        Unavailable: the door does not open before ``deadline`` (``time.monotonic``), or its container is not alive.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while True:
        try:
            with (
                socket.create_connection((address, port), timeout=5) as raw,
                context.wrap_socket(raw) as connection,
            ):
                return connection.getpeercert(binary_form=True) or b""
        except (OSError, ssl.SSLError):
            if time.monotonic() > deadline or not alive():
                raise Unavailable(
                    "A door of the container group does not open.",
                    found=f"{address}:{port}",
                    hint="The group may have died while starting; %sls runs shows what the host saw.",
                ) from None
            time.sleep(0.02)  # the container is starting; there is no event to wait for across machines


def _pinned_context(certificate: bytes) -> ssl.SSLContext:
    """TLS 1.3 to exactly this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate itself is pinned; its name means nothing
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(certificate))
    return context


class AttestedDoor:
    """A door whose group has proven itself. Made by :meth:`open` only.

    Attributes:
        result: the attestation result that the connection rests on.
    """

    def __init__(self, http: httpx.Client, key: SigningKey, audience: str, result: AttestationResult) -> None:
        self._http, self._key, self._audience, self.result = http, key, audience, result

    @classmethod
    def open(
        cls,
        address: str,
        port: int,
        key: SigningKey,
        expected: Expected,
        *,
        now: datetime,
        deadline: float,
        alive: Callable[[], bool] = lambda: True,
    ) -> AttestedDoor:
        """Connect, ask for evidence over this very connection, and keep it if the evidence is as expected.

        Args:
            key: the requester's; signs a token for each call.
            deadline: of ``time.monotonic``, for a container that is still starting.
            alive: whether it is still worth waiting for.

        Raises:
            Unavailable: the door does not open. EvidenceRejected: the group is not the expected one.
        """
        certificate = _peer_certificate(address, port, deadline, alive)
        public_key = x509.load_der_x509_certificate(certificate).public_key()
        spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        http = httpx.Client(
            base_url=f"https://{address}:{port}",
            verify=_pinned_context(certificate),
            timeout=httpx.Timeout(CALL_SECONDS, read=None),
            trust_env=False,
        )
        try:
            nonce = secrets.token_bytes(32)
            response = http.get("/v1/evidence", params={"nonce": nonce.hex()})
            verified = verify(Evidence.parse(_body(response)), expected.anchors, now=now)
            reference = ReferenceValues(
                tees=expected.tees,
                measurements=frozenset({expected.measurement}),
                init_data=expected.init_data,
                report_data=door_report_data(nonce, spki),
                uvm_feeds=endorsers_of(verified.claims.tee),
            )
            result = appraise(verified, reference)
        except httpx.HTTPError as error:
            http.close()
            raise Unavailable("A door of the container group closed.", found=type(error).__name__) from None
        except SlsError:
            http.close()
            raise
        return cls(http, key, digest(spki), result)

    def _headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        token = make_token(
            self._key, audience=self._audience, method=method, path=path, body=body, now=int(time.time())
        )
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, path: str, value: dict[str, Any]) -> None:
        """Send a JSON object.

        Raises:
            whatever the guest raised; Unavailable when it does not answer.
        """
        body = json.dumps(value).encode()
        try:
            _body(self._http.post(path, content=body, headers=self._headers("POST", path, body)))
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: closed meanwhile by the run's thread
            raise Unavailable("The container group does not answer.", found=type(error).__name__) from None

    def events(self) -> Iterator[dict[str, Any]]:
        """The guest's events, as they come, to the last.

        Raises:
            Unavailable: the connection broke before the last one.
        """
        path = "/v1/events"
        try:
            with self._http.stream("GET", path, headers=self._headers("GET", path, b"")) as response:
                if not response.is_success:
                    response.read()
                    _body(response)
                for line in response.iter_lines():
                    yield dict(parse_json(line.encode(), max_bytes=MAX_EVENT_BYTES))
        except httpx.HTTPError as error:
            raise Unavailable("The connection to the container group broke.", found=type(error).__name__) from None

    def result_for(self, recipient: str) -> bytes:
        """The sealed result of one recipient."""
        path = f"/v1/results/{recipient}"
        try:
            return _body(self._http.get(path, headers=self._headers("GET", path, b"")))
        except httpx.HTTPError as error:
            raise Unavailable("The container group does not answer.", found=type(error).__name__) from None

    def close(self) -> None:
        self._http.close()


def _body(response: httpx.Response) -> bytes:
    if response.is_success:
        return response.content
    try:
        raise from_problem(dict(parse_json(response.content)), "the container group")
    except (MalformedDocument, TypeError, ValueError):
        raise Unavailable("Something else than a guest answers.", found=f"HTTP {response.status_code}") from None
