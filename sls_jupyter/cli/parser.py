"""Every command of ``sls`` with its options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sls_jupyter.cli.image import add_image_commands
from sls_jupyter.cli.log import add_log_commands
from sls_jupyter.cli.words import say

DEFAULT_PORT = 8642
_LATE = {
    "can-run": "what you may run on, and what stands against it",
    "preflight": "what every owner would decide; exit status 1 where such a run would get no key, or its host is not ok",
    "result": "the outputs of a run: one of yours, or a FILE sealed to you",
    "cancel": "cancel a run",
    "run": "run a whole notebook as one SafeStream, after one review of all its cells",
    "submit": "ask for a whole notebook, without running it",
    "hosts": "where runs can be placed: hosts, hosts add aci …, hosts remove NAME",
    "withdraw": "stop granting an asset of yours: all versions of a name, or the one of a digest",
}
"""Commands whose options are those of the notebook's, read from there when one of them is run."""
_PERSONA_HELP = "which of your personas; SLS_PERSONA, or else me, by default"


class CommandParser(argparse.ArgumentParser):
    """A parser that may get its options only when its command is the one: those of most commands are never read."""

    fill: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, which calls it for the command that stands on the line, and for its help."""
        if self.fill is not None:
            fill, self.fill = self.fill, None
            fill(self)
        return super().parse_known_args(args, namespace)


class _Version(argparse.Action):
    """Looks the version up when it is asked for, and not at every start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        say(f"sls {version('sls-jupyter')}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The command line; without a command it is the overview."""
    parser = CommandParser(
        prog="sls",
        description="Confidential analytics: authorities, approvals, records. Without a command: the overview.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the installed version and exit")
    parser.add_argument("--persona", metavar="NAME", help=_PERSONA_HELP)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_serve(commands)
    _add_attest(commands)
    _add_host(commands)
    add_image_commands(commands)
    add_log_commands(commands)
    _add_verify(commands)
    _add_open(commands)
    commands.add_parser("whoami", help="name, DID and folder of this persona").add_argument(
        "--new", action="store_true", help="make it also where its name is almost that of another one"
    )
    commands.add_parser("assets", help="every sealed asset that you can see")
    _add_requests(commands)
    _add_deciding(commands)
    mute = commands.add_parser("mute", help="take no request of somebody any more; without WHO, the list")
    mute.add_argument("who", nargs="?", metavar="WHO")
    mute.add_argument("--undo", action="store_true", help="take their requests again")
    commands.add_parser("runs", help="your runs")
    _add_going_on(commands)
    _add_sessions(commands)
    for name, about in _LATE.items():
        commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.").fill = _fill(name)
    _add_people(commands)
    _add_records(commands)
    commands.add_parser("help", help="this list")
    for name, command in commands.choices.items():
        if name not in ("authority", "attest", "log", "host", "image"):  # their actions have it themselves
            _add_persona(command)
    return parser


def _add_deciding(commands: Any) -> None:
    show = commands.add_parser("show", help="one request with all that will run")
    show.add_argument("id", metavar="ID")
    show.add_argument("--all", action="store_true", help="long parameters too, whole")
    for name, about in (("approve", "approve a request"), ("deny", "deny one")):
        command = commands.add_parser(name, help=about)
        command.add_argument("id", metavar="ID")
        needed = name == "deny"
        command.add_argument("--reason", default="", required=needed, help="why; it is signed and can be read")


def _add_open(commands: Any) -> None:
    command = commands.add_parser(
        "open",
        help="the panel in a browser, without a notebook",
        description="Serve the panel on this machine until interrupted, and open it in a browser.",
    )
    command.add_argument("--port", type=int, default=0, metavar="N", help="port; a free one by default")
    command.add_argument("--no-browser", dest="browser", action="store_false", help="only print the address")


def _fill(name: str) -> Callable[[argparse.ArgumentParser], None]:
    def fill(command: argparse.ArgumentParser) -> None:
        from sls_jupyter.notebook.parsers import IN_SHELL

        IN_SHELL[name](command)

    return fill


def _add_requests(commands: Any) -> None:
    from sls_jupyter.notebook.request_options import add_request_filters

    add_request_filters(commands.add_parser("requests", help="requests that wait for you, and your own"))


def _add_going_on(commands: Any) -> None:
    """``attach`` and ``agent``."""
    attach = commands.add_parser("attach", help="show a run from its beginning, and follow it to its end")
    attach.add_argument("run", metavar="RUN")
    agent = commands.add_parser("agent", help="what serves your authorities and drives your runs in the background")
    agent.add_argument("action", nargs="?", default="status", choices=("status", "start", "stop"))
    agent.add_argument("--force", action="store_true", help="stop it although that ends its runs")


def _add_sessions(commands: Any) -> None:
    """``sessions`` and ``session close``."""
    commands.add_parser("sessions", help="your warm sessions")
    close = commands.add_parser("session close", help="end a session; the results of its cells stay")
    close.add_argument("name", metavar="NAME")


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
        " Several files are the receipts of one session: each is verified, and that they follow each other."
        " Exit status: 0 accepted, 1 refused, 2 the file cannot be read or an option cannot be used.",
    )
    parser.add_argument("file", nargs="+", metavar="FILE", help="as run.receipt.save() or sls receipt wrote it")
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


def _add_host(commands: Any) -> None:
    from sls_jupyter.notebook.host_options import add_aci_options

    actions = commands.add_parser("host", help="what this machine and your hosts can do").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    doctor = actions.add_parser(
        "doctor",
        help="try everything that a run rests on, on this machine or on a host",
        description="Exit status: 0 all ok, 1 something is not; each line says what to do.",
    )
    doctor.add_argument(
        "host", nargs="?", default="", metavar="HOST", help="a host that was added; this machine by default"
    )
    doctor.add_argument("--json", action="store_true", help="the findings for programs")
    doctor.add_argument(
        "--record",
        metavar="FILE",
        help="find out what the platform brings to a container today: makes a group that is refused, and deletes it (billed)",
    )
    add = actions.add_parser("add", help="write a host down: where groups go, and which image they run; no secret")
    add.add_argument("kind", choices=["aci", "podman"], metavar="KIND", help="aci: Azure; podman: this machine")
    add_aci_options(add)
    remove = actions.add_parser("remove", help="forget a host")
    sweep = actions.add_parser("sweep", help="list, and delete, container groups that a crash left behind on a host")
    for action in (remove, sweep):
        action.add_argument("host", metavar="HOST", help="its name")
    sweep.add_argument("--older", default="0", metavar="1h", help="only groups that are older")
    sweep.add_argument("--yes", action="store_true", help="delete them all without asking")
    for action in (doctor, add, remove, sweep):
        _add_persona(action)
    export = commands.add_parser("export", help="a request's container group as an ARM template or as Bicep")
    export.add_argument("form", choices=["arm", "bicep"], metavar="arm|bicep")
    export.add_argument("id", metavar="REQUEST")
    export.add_argument("--host", required=True, metavar="HOST", help="a host on Azure: its region and its image")
    export.add_argument("--output", default="", metavar="FILE", help="standard output by default")


def _add_attest(commands: Any) -> None:
    from sls_jupyter.notebook.evidence_options import add_evidence_options

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
    root = actions.add_parser(
        "root",
        help="the root pin of this machine's SIMULATED processor, for another's --accept-simulated",
        description="64 hex digits, SHA-256 of the root's public key. Whoever believes it believes this SLS_HOME's user.",
    )
    for action in (verify, show, export, root):
        _add_persona(action)
    add_evidence_options(verify)
    verify.add_argument("--json", action="store_true", help="the verdict for programs")
