"""``sls authority serve``: an owner's authority as a service."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sls_jupyter.cli.anchors import believed
from sls_jupyter.cli.parser import DEFAULT_PORT
from sls_jupyter.cli.words import say
from sls_jupyter.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from sls_jupyter.authority.service import Authority
    from sls_jupyter.identity import Home


def serve(options: argparse.Namespace) -> int:
    """Serve an authority until SIGINT or SIGTERM.

    Raises:
        BadInput: it would listen beyond this machine without TLS, or an option does not fit.
        UnknownName: there is no such persona, and one whose name is almost the same.
        Unavailable: the port is taken.
    """
    from sls_jupyter.agent.starting import leave_authority
    from sls_jupyter.authority.http import create_app
    from sls_jupyter.authority.opening import open_authority
    from sls_jupyter.authority.serving import BoundedServer, configure
    from sls_jupyter.authority.witness_loop import collecting
    from sls_jupyter.identity import Home
    from sls_jupyter.notebook.sessions import require_meant

    tls = _tls(options)
    home = Home.find(options.persona)
    require_meant(home)
    anchors = believed(options.accept_simulated, home)
    with contextlib.ExitStack() as ending:
        authority = open_authority(home, anchors=anchors, database=options.database)
        leave_authority(home)
        listening = ending.enter_context(contextlib.closing(_listen(options, home)))
        port = listening.getsockname()[1]
        if not tls and _is_loopback(options.host):
            _keep_port(home, port)
        _load(configure(_nothing, graceful_seconds=5, **tls), options)
        app = create_app(authority, _hosts(options, home))
        config = configure(app, graceful_seconds=5, **tls)
        sockets = [listening, *_private_socket(home, ending)]
        _announce(authority, f"{'https' if tls else 'http'}://{_in_url(options.host)}:{port}", options.accept_simulated)
        ending.enter_context(contextlib.suppress(KeyboardInterrupt))  # uvicorn has ended in good order by then
        ending.enter_context(collecting(authority))
        BoundedServer(config).run(sockets=sockets)
    return 0


def _hosts(options: argparse.Namespace, home: Home) -> frozenset[str]:
    """The names that this authority answers to.

    Raises:
        BadInput: it would answer to none that others could use.
    """
    from sls_jupyter.authority.embedded import url_in
    from sls_jupyter.authority.guard import LOOPBACK_NAMES

    kept = url_in(home.folder("authority"))
    own = frozenset(LOOPBACK_NAMES if kept or _is_loopback(options.host) else ())
    wildcard = options.host in ("0.0.0.0", "::")  # noqa: S104  # compared, not bound
    named = {*options.allowed_host, *_names_in(options.tls_cert)} | (set() if wildcard else {_in_url(options.host)})
    if wildcard and not named:
        raise BadInput(
            "It is not known by which name others reach this authority.",
            found=f"--host {options.host}, and a certificate without a name",
            hint="Give each name: --allowed-host authority.example",
        )
    return own | frozenset(named)


def _names_in(certificate: Path | None) -> list[str]:
    """The DNS names and addresses of a PEM certificate, wildcards left out."""
    from cryptography import x509

    if certificate is None:
        return []
    try:
        names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
        found = names.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, OSError, x509.ExtensionNotFound):
        return []  # what is wrong with the file is told when it is loaded
    hosts = [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
    return [_in_url(name) for name in hosts if "*" not in name]


def _private_socket(home: Home, ending: contextlib.ExitStack) -> list[socket.socket]:
    """The socket by which this user's own sessions reach the authority; none while a notebook of it has it."""
    from sls_jupyter.authority.embedded import listen_private, take_lock

    folder = home.folder("authority")
    lock = take_lock(folder)
    if lock is None:
        return []
    ending.callback(os.close, lock)
    return [ending.enter_context(contextlib.closing(listen_private(folder)))]


def _announce(authority: Authority, url: str, simulated: Sequence[str]) -> None:
    say(authority.identity.name, f"  DID  {authority.did}", f"  URL  {url}")
    words = "believes SIMULATED evidence: for demonstrations only" if simulated else "believes no SIMULATED evidence"
    say(f"  It {words}. Analysts run: %sls connect {url}#{authority.did}", "  Interrupt (Ctrl-C) ends it.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tls(options: argparse.Namespace) -> dict[str, Any]:
    given = [path for path in (options.tls_cert, options.tls_key) if path is not None]
    if len(given) == 1:
        raise BadInput("TLS needs a certificate and its key.", hint="Give both --tls-cert and --tls-key.")
    for path in given:
        if not path.is_file():
            raise BadInput("There is no such file.", found=path)
    if not given and not _is_loopback(options.host):
        raise BadInput(
            "An authority that others reach needs TLS.",
            found=f"--host {options.host} without TLS",
            hint="Give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that has them.",
        )
    return {"ssl_certfile": str(options.tls_cert), "ssl_keyfile": str(options.tls_key)} if given else {}


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application for the sake of a configuration."""


def _load(config: Any, options: argparse.Namespace) -> None:
    """Read certificate and key before anything is announced."""
    try:
        config.load()
    except (ssl.SSLError, OSError, ValueError) as error:
        raise BadInput(
            "The TLS certificate or its key cannot be used.",
            found=f"{options.tls_cert}, {options.tls_key}: {getattr(error, 'reason', None) or type(error).__name__}",
            expected="a PEM chain and its unencrypted PEM key",
        ) from None


def _port(options: argparse.Namespace, home: Home) -> int:
    """The port asked for; or the one that this persona's sealed assets name; or our own default."""
    kept = home.folder("authority") / "port"
    if options.port is not None:
        if not 0 <= options.port < 2**16:
            raise BadInput("There is no such port.", found=options.port, expected="0 to 65535; 0 takes a free one")
        return int(options.port)
    return int(kept.read_text()) if kept.exists() and _is_loopback(options.host) else DEFAULT_PORT


def _keep_port(home: Home, port: int) -> None:
    """Let this persona's sessions find the authority here, unless its assets name another port already."""
    from sls_jupyter.identity import write_private

    with contextlib.suppress(FileExistsError):
        write_private(home.folder("authority") / "port", str(port).encode())


def _listen(options: argparse.Namespace, home: Home) -> socket.socket:
    port = _port(options, home)
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        return socket.create_server((options.host, port), family=family)
    except OSError as error:
        raise Unavailable(
            "The authority cannot listen there.",
            found=f"{options.host} port {port}: {error.strerror or error}",
            hint="End what listens there (a notebook of this persona?), or give another --port.",
        ) from None
