"""``sls`` on the command line: an owner's authority as a service, and the calls that need no notebook.

Exit codes: 0 done, 1 it failed (with what was found, expected and what to do next on standard error), 2 the
command line cannot be read (of ``verify`` and ``attest``: or a file).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import ipaddress
import os
import re
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.printing import row

if TYPE_CHECKING:
    from sls_jupyter.attestation.evidence import TrustAnchors
    from sls_jupyter.authority.service import Authority
    from sls_jupyter.identity import Home
    from sls_jupyter.notebook.cards import Card

DEFAULT_PORT = 8642
_PERSONA_HELP = "which of your personas; SLS_PERSONA, or else me, by default"
_SESSION_COMMANDS = (
    *("whoami", "assets", "requests", "show", "approve", "deny", "mute", "runs", "audit", "receipt"),
    *("connect", "name", "contact", "contacts"),
)
_NOTEBOOK_COMMAND = re.compile(rf"%sls ({'|'.join(_SESSION_COMMANDS)})\b")
_SAID_TO_OTHERS = ("whoami", "contact")  # a hint with one of these is for somebody else's persona
_BROKEN_PIPE = 141  # what a shell reports of a command that wrote to a pipe nobody reads


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _show_every_character()
    try:
        try:
            return _main(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # "| head" has what it wanted
        with contextlib.suppress(OSError, ValueError):  # the interpreter flushes once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _show_every_character() -> None:
    """What the terminal cannot show is shown by its number: nothing fails, and no two texts look the same."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _say(*lines: str) -> None:
    """Print lines. Nothing in one, such as a stranger's name, steers the terminal or begins another."""
    print(*map(row, lines), sep="\n", flush=True)


def _tell(*lines: str) -> None:
    """The same on standard error."""
    print(*map(row, lines), sep="\n", file=sys.stderr, flush=True)


def _show(shown: object) -> None:
    """Print a card, or JSON: its own lines are lines, nothing else in it is."""
    _say(*str(shown).split("\n"))


def _in_shell(text: str, persona: str | None) -> str:
    """A hint as it is typed in a shell: ``%sls`` is for notebooks, and a persona that was named is needed again."""

    def typed(found: re.Match[str]) -> str:
        whose = f"--persona {persona} " if persona and found[1] not in _SAID_TO_OTHERS else ""
        return f"sls {whose}{found[1]}"

    return _NOTEBOOK_COMMAND.sub(typed, text)


def _card_in_shell(card: Card, persona: str | None) -> Card:
    """The card with its sentences as :func:`_in_shell`; code, names and values stay as they are."""
    from sls_jupyter.notebook.cards import Block, Bullets, Line

    def typed(block: Block) -> Block:
        if isinstance(block, Line):
            return Line(_in_shell(block.words, persona))
        return Bullets([_in_shell(item, persona) for item in block.items]) if isinstance(block, Bullets) else block

    return replace(card, blocks=[typed(block) for block in card.blocks])


def _main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(_joined(arguments))
    try:
        return _run(options)
    except SlsError as error:
        error.hint = _in_shell(error.hint, options.persona)
        _tell(*error.lines())
        return 1
    except KeyboardInterrupt:
        return 130


def _joined(words: Sequence[str]) -> list[str]:
    """``audit report`` as the one command that it is: argparse cannot tell it from ``audit RUN`` otherwise."""
    found = list(words)
    for place in range(len(found) - 1):
        if found[place : place + 2] == ["audit", "report"]:
            return [*found[:place], "audit report", *found[place + 2 :]]
    return found


def _run(options: argparse.Namespace) -> int:
    command = options.command
    if command == "log":
        from sls_jupyter.cli_log import log_command

        return log_command(options)
    others = {"authority": serve, "attest": attest, "verify": verify}
    return others.get(command, _session_command)(options)


def _parser() -> argparse.ArgumentParser:
    from sls_jupyter.cli_log import add_log_commands

    parser = argparse.ArgumentParser(prog="sls", description="Confidential analytics: authorities, approvals, records.")
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("--persona", metavar="NAME", help=_PERSONA_HELP)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_attest(commands)
    add_log_commands(commands)
    _add_verify(commands)
    commands.add_parser("whoami", help="name, DID and folder of this persona")
    commands.add_parser("assets", help="every sealed asset that you can see")
    commands.add_parser("requests", help="requests that wait for you, and your own")
    for name, about in (
        ("show", "one request with all that will run"),
        ("approve", "approve a request"),
        ("deny", "deny one"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("id", metavar="ID")
        if name == "show":
            command.add_argument("--all", action="store_true", help="long parameters too, whole")
        if name != "show":
            needed = name == "deny"
            command.add_argument("--reason", default="", required=needed, help="why; it is signed and can be read")
    mute = commands.add_parser("mute", help="take no request of somebody any more; without WHO, the list")
    mute.add_argument("who", nargs="?", metavar="WHO")
    mute.add_argument("--undo", action="store_true", help="take their requests again")
    commands.add_parser("runs", help="your runs")
    _add_people(commands)
    _add_records(commands)
    for name, command in commands.choices.items():
        if name not in ("authority", "attest", "log"):  # their actions have it themselves
            _add_persona(command)
    return parser


def _add_people(commands: Any) -> None:
    """``connect``, ``name``, ``contacts`` and ``contact``."""
    connect = commands.add_parser("connect", help="make another owner's authority known, and its owner by a name")
    connect.add_argument("url", metavar="URL")
    connect.add_argument("--did", default="", metavar="DID", help="the authority's DID, as its owner told you")
    name = commands.add_parser("name", help="call somebody by a name of your choice")
    name.add_argument("who", metavar="WHO", help="a DID, a name or a contact file")
    name.add_argument("name", metavar="NAME")
    commands.add_parser("contacts", help="everybody who has a name here")
    contact = commands.add_parser(
        "contact", help="save your own signed contact, or keep that of somebody: contact add FILE"
    )
    contact.add_argument("words", nargs="*", metavar="[add] FILE", help="contact-PERSONA.json by default")
    for command in (connect, contact):
        command.add_argument("--as", dest="name", default="", metavar="NAME", help="what you call them")


def _add_persona(command: argparse.ArgumentParser) -> None:
    """``--persona`` behind the command too; what stands before it holds if there is none."""
    command.add_argument("--persona", metavar="NAME", default=argparse.SUPPRESS, help=_PERSONA_HELP)


def _add_records(commands: Any) -> None:
    """``audit``, ``audit report`` and ``receipt``."""
    from sls_jupyter.notebook.receipt_options import WITNESSES_HELP, count_of_witnesses

    audit = commands.add_parser("audit", help="what the logs hold about a run, verified")
    report = commands.add_parser("audit report", help="the same as a page to print: one HTML file")
    receipt = commands.add_parser("receipt", help="save the receipt of a run, for sls verify")
    for command in (audit, report, receipt):
        command.add_argument("run", metavar="RUN")
    audit.set_defaults(report=None)
    report.add_argument("--output", dest="report", default="", metavar="FILE", help="audit-RUN.html by default")
    add = receipt.add_argument
    add("file", nargs="?", default="", metavar="FILE", help="where to; receipt-RUN.json by default")
    add("--witnesses", type=count_of_witnesses, default=0, metavar="K", help=WITNESSES_HELP)


def _add_verify(commands: Any) -> None:
    from sls_jupyter.notebook.receipt_options import add_receipt_options

    parser = commands.add_parser(
        "verify",
        help="verify a receipt, offline: the whole check list",
        description="Verify a receipt from this one file; no account, no folder and no network is needed."
        " Exit status: 0 accepted, 1 refused, 2 the file cannot be read or an option cannot be used.",
    )
    parser.add_argument("file", metavar="FILE", help="as run.receipt.save() or sls receipt wrote it")
    add_receipt_options(parser)
    parser.add_argument(
        "--accept-simulated", action="store_true", help="believe SIMULATED evidence; the verdict says so"
    )
    parser.add_argument("--json", action="store_true", help="the verdict for programs")


def _add_serve(commands: Any) -> None:
    authority = commands.add_parser("authority", help="an owner's authority as a service")
    serving = authority.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "serve", help="serve the authority of a persona until interrupted"
    )
    add = serving.add_argument
    add("--persona", metavar="NAME", default=argparse.SUPPRESS, help="whose authority; me by default")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (127.0.0.1)")
    add(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that others reach it by, such as a proxy's; those of the certificate are taken; repeatable",
    )
    add("--port", type=int, metavar="N", help=f"port; {DEFAULT_PORT}, or on 127.0.0.1 the persona's own, by default")
    add("--database", metavar="URL", help="SQLAlchemy URL; SQLite in the persona's folder by default")
    add("--tls-cert", type=Path, metavar="FILE", help="certificate chain, PEM; needed beyond this machine")
    add("--tls-key", type=Path, metavar="FILE", help="its private key, PEM")
    add(
        "--accept-simulated",
        action="append",
        default=[],
        metavar="PATH|self",
        help="SIMULATED evidence that is believed: this machine's, or the root pin (64 hex digits) in a file",
    )


def _add_attest(commands: Any) -> None:
    actions = commands.add_parser("attest", help="verify or show attestation evidence, offline").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    verify = actions.add_parser(
        "verify",
        help="judge the evidence in any mix of files",
        description="Exit status: 0 accepted, 1 refused, 2 the input cannot be used.",
    )
    show = actions.add_parser("show", help="every field of an SEV-SNP report with its meaning")
    for action in (verify, show):
        action.add_argument("files", nargs="+", metavar="FILE", help="told by content; a folder stands for its files")
    export = actions.add_parser(
        "export", help="an asset's policy as a Key Vault release policy and an Azure Attestation policy"
    )
    export.add_argument("asset", metavar="ASSET")
    export.add_argument("--authority", required=True, metavar="URL", help="https:// of the attestation instance")
    export.add_argument(
        "--host-data", action="append", required=True, metavar="HEX", help="SHA-256 of a container policy; repeatable"
    )
    for action in (verify, show, export):
        _add_persona(action)
    add = verify.add_argument
    add("--profile", choices=("hardware", "aci"), help="the vendor's part alone, or the whole Azure container evidence")
    add("--at", metavar="TIME", help="judge at this time (2026-11-23T10:00:00Z, or seconds); now by default")
    add("--minimum", metavar="FILE", help="JSON with minimums: uvm_svn, tcb, report_version, …")
    add("--issuer", metavar="URL", help="the Azure Attestation instance that a token must be from")
    add("--accept-simulated", action="store_true", help="believe the SIMULATED processor of this machine")
    add("--json", action="store_true", help="the verdict for programs")


def _version() -> str:
    from importlib.metadata import version

    return f"sls {version('sls-jupyter')}"


# --- evidence and receipts ------------------------------------------------------------------------


def attest(options: argparse.Namespace) -> int:
    """``sls attest verify`` and ``sls attest show``; unusable input is exit status 2."""
    from sls_jupyter.identity import Home
    from sls_jupyter.notebook import attest as files

    try:
        if options.action == "show":
            _show(files.report_card(options.files))
            return 0
        if options.action == "export":
            return _export(options)
        anchors = _anchors(["self"], Home.find(options.persona)) if options.accept_simulated else None
        verdict = files.verify_files(
            options.files,
            profile=options.profile,
            at=options.at,
            minimum=options.minimum,
            issuer=options.issuer,
            anchors=anchors,
        )
    except BadInput as error:
        _tell(*error.lines())
        return 2
    _show(files.verdict_json(verdict) if options.json else files.verdict_card(verdict).where(_isolated))
    return 0 if verdict.accepted else 1


def verify(options: argparse.Namespace) -> int:
    """``sls verify``: judge one receipt, without a session."""
    from sls_jupyter.notebook import receipts
    from sls_jupyter.receipt.files import read_receipt

    try:
        data = read_receipt(options.file)
        verdict = receipts.judge(data, options)
    except BadInput as error:
        _tell(*error.lines())
        return 2
    advice = receipts.advice(data, verdict)
    if options.json:
        _show(receipts.verdict_json(verdict, advice))
    else:
        _show(receipts.receipt_card(verdict, file=options.file, advice=advice).where(_isolated))
    return 0 if verdict.accepted else 1


def _isolated() -> bool:
    """Whether this machine has a sandbox: what it simulates runs without one otherwise."""
    from sls_jupyter.hosts.probing import find_bubblewrap

    return find_bubblewrap()[0] is not None


def _export(options: argparse.Namespace) -> int:
    from sls_jupyter.notebook.sessions import close_all, require_persona, session_for

    require_persona(options.persona)
    try:
        digests = [bytes.fromhex(text) for text in options.host_data]
    except ValueError:
        raise BadInput("A digest is 64 hex digits.", found=", ".join(options.host_data)[:200]) from None
    try:
        exported = session_for(options.persona).export_release(options.asset, options.authority, digests)
    finally:
        close_all()
    _show(exported["key_vault"])
    _show(exported["maa"])
    if exported["left_out"]:
        _tell(f"Not exported, because no Azure service attests it: {exported['left_out']}")
    return 0


# --- calls on a session ---------------------------------------------------------------------------


def _session_command(options: argparse.Namespace) -> int:
    from sls_jupyter.notebook.cards import Card
    from sls_jupyter.notebook.commands import COMMANDS, Context
    from sls_jupyter.notebook.sessions import close_all, require_persona, session_for

    command = options.command.split()[0]
    assert command in _SESSION_COMMANDS  # noqa: S101  # argparse knows no other
    if command != "whoami":
        require_persona(options.persona)
    try:
        shown = COMMANDS[command](Context(session_for(options.persona), options))
        _show(_card_in_shell(shown, options.persona) if isinstance(shown, Card) else shown)
    finally:
        close_all()
    return 1 if isinstance(shown, Card) and shown.incomplete else 0


# --- an authority ---------------------------------------------------------------------------------


def serve(options: argparse.Namespace) -> int:
    """Serve an authority until SIGINT or SIGTERM.

    Raises:
        BadInput: it would listen beyond this machine without TLS, or an option does not fit.
        Unavailable: the port is taken.
    """
    from sls_jupyter.authority.http import create_app
    from sls_jupyter.authority.service import open_authority
    from sls_jupyter.authority.serving import BoundedServer, configure
    from sls_jupyter.authority.witness_loop import collecting
    from sls_jupyter.identity import Home

    tls = _tls(options)
    home = Home.find(options.persona)
    anchors = _anchors(options.accept_simulated, home)
    with contextlib.ExitStack() as ending:
        authority = open_authority(home, anchors=anchors, database=options.database)
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
    _say(authority.identity.name, f"  DID  {authority.did}", f"  URL  {url}")
    words = "believes SIMULATED evidence: for demonstrations only" if simulated else "believes no SIMULATED evidence"
    _say(f"  It {words}. Analysts run: %sls connect {url}#{authority.did}", "  Interrupt (Ctrl-C) ends it.")


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


def _anchors(accepted: Sequence[str], home: Home) -> TrustAnchors:
    """AMD's roots, and the simulated ones that the operator named."""
    from sls_jupyter.attestation.evidence import TrustAnchors
    from sls_jupyter.attestation.simulated import DevelopmentChain

    pins = set()
    for one in accepted:
        if one == "self":
            pins.add(DevelopmentChain.load_or_create(home.root / "machine").root_pin)
        else:
            pins.add(_pin_in(Path(one)))
    return TrustAnchors(simulated_ark_spki=frozenset(pins))


def _pin_in(path: Path) -> bytes:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            "The root pin cannot be read.",
            found=f"{path}: {getattr(error, 'strerror', None) or type(error).__name__}",
            expected="self, for this machine's simulated processor, or a file with a root pin",
        ) from None
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise BadInput(
            "This is not a root pin.", found=path, expected="64 lower-case hex digits, SHA-256 of the root's public key"
        )
    return bytes.fromhex(text)


if __name__ == "__main__":
    sys.exit(main())
