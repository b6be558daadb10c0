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
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure.facts import endorsers_of
from sls_jupyter.attestation.binding import door_report_data
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.evidence import AttestationResult, ReferenceValues
from sls_jupyter.attestation.verify import verify
from sls_jupyter.documents import digest, parse_json
from sls_jupyter.errors import MalformedDocument, SlsError, Unavailable, from_problem
from sls_jupyter.guest.messages import IDLE_SECONDS, check_event
from sls_jupyter.identity import SigningKey, make_token
from sls_jupyter.network import Answer, Http, NotReached

CONNECT_SECONDS = 60.0
CALL_SECONDS = 30.0
RESULT_SECONDS = 600.0  # of fetching one sealed result
MAX_EVENT_BYTES = 512 * 1024 * 1024
MAX_EVIDENCE_BYTES = 4 * 1024 * 1024  # who answers is not known yet


DoorRole = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What evidence of this group must show, whatever is bound in its REPORT_DATA."""

    anchors: TrustAnchors
    tees: tuple[str, ...]
    measurement: bytes  # 48
    init_data: bytes  # 32, HOST_DATA
    report_id: str | None = None  # hex; of the guest behind the other door


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

    def __init__(self, http: Http, url: str, key: SigningKey, audience: str, result: AttestationResult) -> None:
        self._http, self._url, self._key, self._audience, self.result = http, url, key, audience, result

    @classmethod
    def open(
        cls,
        address: str,
        port: int,
        key: SigningKey,
        expected: Expected,
        *,
        role: DoorRole,
        now: datetime,
        deadline: float,
        alive: Callable[[], bool] = lambda: True,
    ) -> AttestedDoor:
        """Connect, ask for evidence over this very connection, and keep it if the evidence is as expected.

        Args:
            role: which container has to answer.
            key: the requester's; signs a token for each call.
            deadline: of ``time.monotonic``, for a container that is still starting.
            alive: whether it is still worth waiting for.

        Raises:
            Unavailable: the door does not open. EvidenceRejected: the group is not the expected one.
        """
        certificate = _peer_certificate(address, port, deadline, alive)
        try:
            public_key = x509.load_der_x509_certificate(certificate).public_key()
            spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            context = _pinned_context(certificate)
        except (ValueError, TypeError, UnsupportedAlgorithm, ssl.SSLError) as error:
            raise Unavailable("Something else than a guest answers.", found=type(error).__name__) from None
        url = f"https://{address}:{port}"
        http = Http(anywhere=True, seconds=CALL_SECONDS, kept_seconds=IDLE_SECONDS / 2, tls=context)
        try:
            nonce = secrets.token_bytes(32)
            asked = f"{url}/v1/evidence?nonce={nonce.hex()}"
            answer = http.send("GET", asked, max_bytes=MAX_EVIDENCE_BYTES)
            verified = verify(Evidence.parse(_body(answer)), expected.anchors, now=now)
            reference = ReferenceValues(
                tees=expected.tees,
                measurements=frozenset({expected.measurement}),
                init_data=expected.init_data,
                report_data=door_report_data(role, nonce, spki),
                report_id=expected.report_id,
                uvm_feeds=endorsers_of(verified.claims.tee),
            )
            result = appraise(verified, reference)
        except NotReached as failure:
            http.close()
            raise Unavailable("A door of the container group closed.", found=failure.reason) from None
        except SlsError:
            http.close()
            raise
        return cls(http, url, key, digest(spki), result)

    def _headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        token = make_token(
            self._key, audience=self._audience, method=method, path=path, body=body, now=int(time.time())
        )
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, path: str, value: dict[str, Any], *, seconds: float = CALL_SECONDS) -> None:
        """Send a JSON object.

        Raises:
            whatever the guest raised; Unavailable when it does not answer in time.
        """
        self._call("POST", path, json.dumps(value).encode(), seconds)

    def _call(self, method: str, path: str, body: bytes, seconds: float) -> bytes:
        try:
            answer = self._http.send(
                method,
                self._url + path,
                headers=self._headers(method, path, body),
                content=body,
                max_bytes=MAX_EVENT_BYTES,
                seconds=seconds,
            )
        except NotReached as failure:
            raise Unavailable("The container group does not answer.", found=failure.reason) from None
        return _body(answer)

    def events(self) -> Iterator[dict[str, Any]]:
        """The guest's events, as they come, to the last.

        Raises:
            Unavailable: the connection broke before the last one. MalformedDocument: one is of no known form.
        """
        path = "/v1/events"
        headers = self._headers("GET", path, b"")
        bounds = {"max_line_bytes": MAX_EVENT_BYTES, "max_body_bytes": MAX_EVIDENCE_BYTES}
        try:
            for line in self._http.lines(self._url + path, headers=headers, **bounds):
                if isinstance(line, Answer):
                    _body(line)
                else:
                    yield check_event(parse_json(line, max_bytes=MAX_EVENT_BYTES))
        except NotReached as failure:
            raise Unavailable("The connection to the container group broke.", found=failure.reason) from None

    def result_for(self, recipient: str, cell: int | None = None) -> bytes:
        """The sealed result of one recipient; in a session, of the cell with this number, by default the last one's."""
        query = "" if cell is None else f"?cell={cell}"
        return self._call("GET", f"/v1/results/{recipient}{query}", b"", RESULT_SECONDS)

    def close(self) -> None:
        self._http.close()


def _body(answer: Answer) -> bytes:
    if 200 <= answer.status < 300:
        return answer.body
    try:
        problem = dict(parse_json(answer.body))
    except (MalformedDocument, TypeError, ValueError):
        raise Unavailable("Something else than a guest answers.", found=f"HTTP {answer.status}") from None
    raise from_problem(problem, "the container group")
