"""Tokens of registries: what a 401 asks for, from the registry's token service (CNCF distribution, "Token authentication").

The realm is named by the registry. It gets our credential, so it has to be HTTPS; only a registry on this machine may
name a service on this machine without. That of a public registry has to have a public address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from sls_jupyter.errors import NotAuthorised, Unavailable
from sls_jupyter.image.distribution.calls import Calls, url_of
from sls_jupyter.image.distribution.credentials import Credential
from sls_jupyter.image.distribution.reference import Reference, is_loopback
from sls_jupyter.image.manifest import json_object

MAX_ANSWER = 256 << 10  # bytes
_PARAMETER = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')


class Tokens:
    """The header that a registry wants with each call."""

    def __init__(self, calls: Calls, reference: Reference, credential: Credential | None) -> None:
        self._calls, self._reference, self._credential = calls, reference, credential
        self._header: str | None = None

    def headers(self) -> dict[str, str]:
        return {"Authorization": self._header} if self._header else {}

    def renew(self, challenge: str) -> bool:
        """Do what a 401 asks for in ``WWW-Authenticate``; ``False`` when there is nothing (more) to try.

        Raises:
            NotAuthorised: the token service refuses.
            Unavailable: it cannot be reached, or is not one.
        """
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._credential and self._credential.user:
            new = self._credential.basic
        elif scheme.lower() == "bearer":
            new = "Bearer " + self._fetch(dict(_PARAMETER.findall(rest)))
        else:
            return False
        changed, self._header = new != self._header, new
        return changed

    def _fetch(self, asked: Mapping[str, str]) -> str:
        realm = url_of(asked.get("realm", ""))
        parts = urlsplit(realm)
        host, local = parts.hostname or "", is_loopback(self._reference.host)
        if parts.scheme != "https" and not (local and is_loopback(_bracketed(host))):
            raise Unavailable("a registry names a token service without TLS", found=host)
        scope = asked.get("scope") or f"repository:{self._reference.repository}:pull"
        values = {"service": asked.get("service", ""), "scope": scope}
        known, what = self._credential, f"the token service {host}"
        if known and known.refresh_token:
            form = {"grant_type": "refresh_token", "client_id": "sls", "refresh_token": known.refresh_token, **values}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            content = urlencode(form).encode()
            answer = self._calls.send("POST", realm, headers=headers, content=content, most=MAX_ANSWER, what=what)
        else:
            headers = {"Authorization": known.basic} if known and known.user else {}
            url = f"{realm}{'&' if parts.query else '?'}{urlencode(values)}"
            answer = self._calls.send("GET", url, headers=headers, most=MAX_ANSWER, what=what)
        if answer.status != 200:
            raise NotAuthorised(
                f"the token service {host} gives us no token for {self._reference.repository}",
                found=f"HTTP {answer.status}",
                hint=f"log in: podman login {self._reference.host}",
            )
        found = json_object(answer.body, "the answer of a token service")
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise Unavailable(f"the token service {host} answers without a token")
        return token


def _bracketed(host: str) -> str:
    """A host as a URL writes it."""
    return f"[{host}]" if ":" in host else host
