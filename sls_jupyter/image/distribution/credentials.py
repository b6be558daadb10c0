"""Who a registry takes us for: the files that ``docker login`` and ``podman login`` write, and their helpers.

Read: ``$REGISTRY_AUTH_FILE``; containers/auth.json in ``$XDG_RUNTIME_DIR``, then in ``$XDG_CONFIG_HOME`` or ~/.config;
config.json in ``$DOCKER_CONFIG`` or ~/.docker (containers-auth.json(5); Docker, "docker login"). The first that knows the
registry counts. A credential helper is the program ``docker-credential-NAME``, asked as its protocol says.
Nothing is written, and no secret is in an exception or a ``repr``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sls_jupyter.errors import BadInput, Unavailable

MAX_FILE = 1 << 20  # bytes
HELPER_SECONDS = 20.0
_HELPER = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A name and a password, or a refresh token (``identitytoken``)."""

    user: str = ""
    password: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """RFC 7617."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def files(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Where credentials may be, in the order in which they count."""
    named = environment.get("REGISTRY_AUTH_FILE")
    if named:
        return [Path(named)]
    folders = [Path(environment[name]) for name in ("XDG_RUNTIME_DIR",) if environment.get(name)]
    folders.append(Path(environment.get("XDG_CONFIG_HOME") or home / ".config"))
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    return [*(folder / "containers" / "auth.json" for folder in folders), docker]


def find(host: str, repository: str, environment: Mapping[str, str], home: Path) -> Credential | None:
    """The credential for a registry, the longest name that fits first; ``None`` where there is none.

    Raises:
        BadInput: a file that is none of this kind.
        Unavailable: a helper that does not answer.
    """
    for path in files(environment, home):
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except OSError:
            continue
        found = _in_file(_object(data, path), host, repository, path)
        if found is not None:
            return found
    return None


def _object(data: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(data) if len(data) <= MAX_FILE else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInput(f"{path.name} does not hold credentials of registries", hint=f"log in anew; the file is {path}")
    return found


def _names(host: str, repository: str) -> list[str]:
    """Under which names a registry may stand, the most special first."""
    parts = repository.split("/")
    names = [f"{host}/{'/'.join(parts[:end])}" for end in range(len(parts), 0, -1)] + [host]
    if host in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        names += ["docker.io", "index.docker.io"]
    return names


def _in_file(found: dict[str, Any], host: str, repository: str, path: Path) -> Credential | None:
    auths = found.get("auths")
    kept = {_plain(name): one for name, one in auths.items()} if isinstance(auths, dict) else {}
    helpers = found.get("credHelpers")
    for name in _names(host, repository):
        if isinstance(helpers, dict) and isinstance(helpers.get(name), str):
            return _ask(helpers[name], name)
        one = kept.get(name)
        if isinstance(one, dict) and (one.get("auth") or one.get("identitytoken")):
            return _credential(one, path)
    store = found.get("credsStore")
    if isinstance(store, str) and any(name in kept for name in _names(host, repository)):
        return _ask(store, host)
    return None


def _plain(name: str) -> str:
    """``https://host/v1/``, as old Dockers wrote it, is ``host``."""
    plain = name.partition("://")[2] or name
    return re.sub(r"/v[12]/?$", "", plain).rstrip("/")


def _credential(one: dict[str, Any], path: Path) -> Credential:
    try:
        user, _, password = base64.b64decode(str(one.get("auth") or ""), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise BadInput(f"{path.name} has a credential that is not base64", hint="log in to the registry anew") from None
    return Credential(user, password.rstrip("\0"), str(one.get("identitytoken") or ""))


def _ask(helper: str, server: str) -> Credential | None:
    if not _HELPER.fullmatch(helper):
        raise BadInput("a credential helper's name cannot be that of a program", found=helper[:80])
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=server.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(
            f"the credential helper docker-credential-{helper} gives no answer",
            found=type(error).__name__,
            hint="log in anew",
        ) from None
    if done.returncode != 0:
        return None  # it does not know this registry
    found = _object(done.stdout[: MAX_FILE + 1], Path(f"docker-credential-{helper}"))
    user, secret = str(found.get("Username") or ""), str(found.get("Secret") or "")
    return Credential(refresh_token=secret) if user == "<token>" else Credential(user, secret)
