"""The client's half of a call to an authority: bounded, signed by the caller, and answered by a proven authority.

Every answer carries a signature by the authority's own key over the question and the answer
(:func:`sls_jupyter.authority.protocol.answer_message`); one that does not verify is refused, errors too. So
whoever answers has shown that it is the authority with that DID, and nothing that it says was changed on
the way. The server's half is :mod:`sls_jupyter.authority.guard`.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from sls_jupyter.authority.protocol import ANSWER_SIGNATURE, AUTHORITY, NONCE, answer_message
from sls_jupyter.documents import b64decode, parse_json
from sls_jupyter.errors import (
    BadInput,
    MalformedDocument,
    SignatureInvalid,
    SlsError,
    TooManyRequests,
    Unavailable,
    VerificationError,
    from_problem,
)
from sls_jupyter.identity import Identity, make_token, verify_signature
from sls_jupyter.network import SECONDS, Answer, Http, NotReached, pause, unavailable

TIMEOUT_SECONDS = SECONDS
MAX_ANSWER_BYTES = 64 * 1024 * 1024
RETRIES = 3  # of a call that was answered with 429
MAX_WAIT_SECONDS = 5  # before one of them
MAX_ANSWER_VALUES = 1_000_000  # JSON values of one answer
MAX_PROBLEM_BYTES = 256 * 1024  # of an error in place of a part
MAX_URL_CHARACTERS = 500
_PLAIN_URL = re.compile(r"[A-Za-z0-9.:/\[\]%_~-]+")  # one word in a notebook's line and in a shell's
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_JSON = {"Content-Type": "application/json"}


def check_url(url: str) -> str:
    """The URL without a trailing slash; plain HTTP is for this machine only.

    Raises:
        BadInput: not an HTTP URL, one that would cross a network unencrypted, or one with a user, a query or a
            fragment.
    """
    try:
        parts = urlsplit(str(httpx.URL(url)))
        right = parts.port != 0 and parts.username is None and parts.password is None
    except (ValueError, httpx.InvalidURL):
        parts, right = urlsplit(""), False
    odd = (
        len(url) > MAX_URL_CHARACTERS
        or not (url.isascii() and url.isprintable())
        or any(one in url for one in "\\@#? ")
    )
    if parts.scheme not in ("http", "https") or not parts.hostname or not right or odd or "//" in parts.path:
        raise BadInput("This is not the URL of an authority.", found=url[:200], expected="https://host[:port]")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise BadInput(
            "An authority on another machine is reached over HTTPS only.",
            found=url[:200],
            hint=f"Use https://{parts.netloc}{parts.path}",
        )
    return url.rstrip("/")


class Transport:
    """Calls to one authority.

    Args:
        url: where it listens.
        identity: who calls; ``None`` for a guest, which can only ask for challenges and keys.
        did: which authority is expected there; ``None`` takes the one that proves itself first.
        timeout: seconds of a whole call.
        private: the authority's Unix socket, for sessions of the user whose it is.
        chosen: the URL is this user's own choice, so it may be on this machine or in a private network. With
            ``False`` only public addresses are reached, and a failure does not tell what is there.

    Every call raises what the authority raised, as the same class; :class:`Unavailable` when it does not
    answer, in time and bounds; and :class:`VerificationError` when another one answers.
    """

    def __init__(
        self,
        url: str,
        identity: Identity | None = None,
        did: str | None = None,
        *,
        now: Callable[[], float] = time.time,
        timeout: float = TIMEOUT_SECONDS,
        private: Path | None = None,
        chosen: bool = True,
    ) -> None:
        self.url = check_url(url)
        self.identity = identity
        self.chosen = chosen or private is not None
        self._did = did
        self._now = now
        self._http = Http(anywhere=self.chosen, private=private, seconds=timeout)

    def close(self) -> None:
        self._http.close()

    @property
    def did(self) -> str:
        """The authority's DID: the expected one, or the one that proved itself first."""
        if self._did is None:
            self._bytes("GET", "/v1/authority")
        assert self._did is not None  # noqa: S101  # an answer without a proven DID is refused
        return self._did

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, *, signed: bool = False) -> Any:
        """A call whose answer is JSON, bounded in size, depth and number of values."""
        data = self._bytes(method, path, body, signed=signed)
        try:
            return parse_json(data, max_bytes=MAX_ANSWER_BYTES, max_values=MAX_ANSWER_VALUES)
        except MalformedDocument as error:
            raise self._malformed(error) from None

    def _malformed(self, error: MalformedDocument) -> MalformedDocument:
        return MalformedDocument(
            "An authority's answer is not of the expected form.", found=f"{self.url}: {error.message}"
        )

    def _bytes(self, method: str, path: str, body: dict[str, Any] | None = None, *, signed: bool = False) -> bytes:
        data = b"" if body is None else json.dumps(body).encode()
        return self._send(method, path, data, {} if body is None else _JSON, signed=signed)

    def _send(
        self,
        method: str,
        path: str,
        data: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        signed: bool = False,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> bytes:
        """A call whose answer the authority has to sign; one that was asked too often is asked again, so many times."""
        for _ in range(RETRIES):
            try:
                return self._send_once(method, path, data, headers, signed=signed, max_bytes=max_bytes)
            except TooManyRequests as error:  # it was not looked at, so asking again is asking once
                if error.retry_after > MAX_WAIT_SECONDS:
                    raise
                pause(error.retry_after)
        return self._send_once(method, path, data, headers, signed=signed, max_bytes=max_bytes)

    def _send_once(
        self, method: str, path: str, data: bytes, headers: dict[str, str] | None, *, signed: bool, max_bytes: int
    ) -> bytes:
        target, nonce = self._target(path), secrets.token_hex(32)
        headers = {NONCE: nonce, **(headers or {})}
        if signed:
            headers["Authorization"] = "Bearer " + self._token(method, target, data)
        answer = self._fetch(method, path, data, headers, max_bytes)
        self._require_signed(answer, nonce, method, target, data)
        if 200 <= answer.status < 300:
            return answer.body
        raise self._error(answer)

    def _unsigned(self, path: str, headers: dict[str, str], max_bytes: int) -> bytes:
        """A call for bytes that the caller verifies by other means: sealed parts. An error must be signed."""
        target, nonce = self._target(path), secrets.token_hex(32)
        answer = self._fetch("GET", path, b"", {NONCE: nonce, **headers}, max(max_bytes, MAX_PROBLEM_BYTES))
        if answer.status in (200, 206) and len(answer.body) <= max_bytes:
            return answer.body
        self._require_signed(answer, nonce, "GET", target, b"")
        raise self._error(answer)

    def _target(self, path: str) -> str:
        """Path and query as they are sent."""
        return httpx.URL(self.url + path).raw_path.decode("ascii")

    def _fetch(self, method: str, path: str, data: bytes, headers: dict[str, str], max_bytes: int) -> Answer:
        url = str(httpx.URL(self.url + path))
        try:
            return self._http.send(method, url, headers=headers, content=data, max_bytes=max_bytes)
        except NotReached as failure:
            raise self._silent(failure) from None

    def _silent(self, failure: NotReached) -> Unavailable:
        hint = "Ask its owner to start it (sls authority serve, or a notebook with sls_jupyter loaded)."
        return unavailable("The authority does not answer.", self.url, failure, anywhere=self.chosen, hint=hint)

    def _token(self, method: str, target: str, data: bytes) -> str:
        if self.identity is None:
            raise BadInput("This call needs an identity.")
        return make_token(
            self.identity.signing, audience=self.did, method=method, path=target, body=data, now=int(self._now())
        )

    def _require_signed(self, answer: Answer, nonce: str, method: str, target: str, data: bytes) -> None:
        """Whoever answers is the expected authority, and this is its answer to this very question."""
        claimed, signature = answer.headers.get(AUTHORITY.lower()), answer.headers.get(ANSWER_SIGNATURE.lower())
        if claimed is None or signature is None:
            if not self.chosen:
                raise self._silent(NotReached(""))
            raise Unavailable(
                "Something else than an authority answers there.",
                found=f"{self.url}: HTTP {answer.status}, not signed by an authority",
                expected=self._did,
                hint="Find out which program listens there; an older authority has to be updated.",
            )
        if not self._is_signed(claimed, signature, nonce, method, target, data, answer):
            raise VerificationError(
                "An answer is not signed by the authority that it names.",
                found=self.url,
                expected=self._did or "an answer signed by whoever answers",
                hint="Do not use what is there, and tell the authority's owner.",
            ) from None
        if self._did is None:
            self._did = claimed
        if claimed != self._did:
            raise VerificationError(
                "Another authority answers at this URL.",
                found=claimed,
                expected=self._did,
                hint="Ask the owner for the present URL and DID of the authority.",
            )

    def _is_signed(
        self, did: str, signature: str, nonce: str, method: str, target: str, data: bytes, answer: Answer
    ) -> bool:
        """Whether an answer is signed for this question; one that refuses may not have read the question's body."""
        for question in (data,) if answer.status < 400 else (data, b""):
            message = answer_message(did, nonce, method, target, question, answer.status, answer.body)
            with contextlib.suppress(MalformedDocument, SignatureInvalid):
                verify_signature(did, b64decode(signature), message)
                return True
        return False

    def _error(self, answer: Answer) -> SlsError:
        """What the proven authority says went wrong."""
        try:
            problem = parse_json(answer.body)
        except MalformedDocument:
            problem = None
        if isinstance(problem, dict) and "type" in problem:
            return from_problem(problem, f"the authority at {self.url}")
        return Unavailable("An authority answers without a reason.", found=f"{self.url}: HTTP {answer.status}")
