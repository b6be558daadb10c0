"""The options of every magic, in one place: what ``--help`` prints and completion offers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import cache

from sls_jupyter.attestation.profile import PROFILES
from sls_jupyter.contract.platform import FRAGMENTS
from sls_jupyter.contract.spec import KINDS
from sls_jupyter.notebook.args import Parser, duration, identifier, named_columns, one_of, short_text, size, whole
from sls_jupyter.notebook.evidence_options import add_evidence_options
from sls_jupyter.notebook.host_options import add_aci_options
from sls_jupyter.notebook.log_options import ABOUT, add_log_actions
from sls_jupyter.notebook.receipt_options import WITNESSES_HELP, add_receipt_options, count_of_witnesses
from sls_jupyter.notebook.request_options import add_request_filters

POLICY_FIELDS = (
    *("allow_code", "requester", "columns", "purpose", "kinds", "min_group", "max_rows", "max_bytes", "max_runs"),
    *("no_sessions", "max_cells"),
    *("expires", "tee", "bulletin", "fragment", "recipient", "approver", "approvals", "full_errors"),
)
"""Options of %seal that are fields of the policy; see :func:`sls_jupyter.policy.options.policy_from_options`."""


FRAGMENT_HELP = "whose signed containers may join the group on Azure: aci-infrastructure, Microsoft's own"
_TRY_ON = "try all that the run rests on there, too"
TO_HELP = "who gets the results, you by default; or a URL (az://…, file://…) where they are put as well, sealed"
CONFIDENTIAL = "keep the code from reviewers; a cell that runs with it can still read it back"


@cache
def seal_parser(cell: bool) -> Parser:
    """``%seal FRAME`` and ``%%seal NAME``."""
    if cell:
        parser = Parser("%%seal", "Seal this cell's body as a code asset and publish it with a policy.")
        parser.add_argument("name", metavar="NAME", help="name of the code asset")
        parser.add_argument("--confidential", action="store_true", help=CONFIDENTIAL)
    else:
        parser = Parser(
            "%seal",
            "Seal a table where it stands and publish it with a policy. The keys stay in your authority.",
            "Example: %seal patients --columns age,sex,outcome --min-group 10 --purpose 'risk study'",
        )
        parser.add_argument(
            "frame", metavar="FRAME", help="a variable, or a path: .parquet, .csv, .tsv, .jsonl, .arrow, .xlsx, …"
        )
        parser.add_argument("--as", dest="name", metavar="NAME", help="name of the asset; the variable's by default")
        parser.add_argument(
            "--group", type=named_columns, action="append", metavar="NAME=a,b", help="columns that share one key"
        )
    _add_policy(parser)
    parser.add_argument("--policy", metavar="FILE", help="YAML with the same fields, or a .rego module")
    parser.add_argument("--to", dest="storage", metavar="URL", help="folder to seal into; your own by default")
    parser.add_argument("--authority", metavar="URL", help="authority that gets the keys; your own by default")
    return parser


def _add_policy(parser: Parser) -> None:
    add = parser.add_argument_group("policy").add_argument
    add("--allow-code", metavar="any|reviewed|sha256:…", help="which code may run (reviewed)")
    add("--requester", action="append", metavar="WHO", help="who may ask; anyone whom you approve by default")
    add("--columns", metavar="a,b", help="columns that can be granted; all by default")
    add("--purpose", action="append", type=short_text, metavar="TEXT", help="a purpose it may serve; any by default")
    add("--kinds", metavar="table,text,figure", help="what may leave (table,figure)")
    add("--min-group", type=whole(1, 10**15), metavar="N", help="least number of records behind a row of a result")
    add("--max-rows", type=whole(0, 10**15), metavar="N", help="most rows of a table that leaves")
    add("--max-bytes", metavar="SIZE", help="most bytes that leave one run, for instance 5MB")
    add("--max-runs", type=whole(1, 10**15), metavar="N", help="most runs; each cell of a session is one")
    add("--no-sessions", action="store_true", default=None, help="each cell is a run of its own")
    add("--max-cells", type=whole(1, 10**15), metavar="N", help="most cells of one session")
    add("--bulletin", action="append", metavar="AMD-SB-…", help="AMD's bulletin that a SEV-SNP machine has to meet")
    add("--fragment", action="append", choices=FRAGMENTS, metavar="NAME", help=f"{FRAGMENT_HELP}; nobody by default")
    add("--expires", metavar="30d", help="how long it may be used, or until when: 2027-01-15T08:00:00Z")
    add("--tee", metavar="KIND,…", help=f"accepted TEEs (hardware only) of {', '.join(PROFILES)}")
    add(
        "--recipient",
        action="append",
        metavar="WHO",
        help="who may get results, under the key that you know of them; the requester by default",
    )
    add("--approver", action="append", metavar="WHO", help="who approves; you by default")
    add("--approvals", type=whole(1, 1000), metavar="N", help="how many of them have to (1)")
    add("--full-errors", action="store_true", default=None, help="let error messages leave, not only their types")


NOTEBOOK_PARAMETER = ("NAME", "a variable to send along")
SHELL_PARAMETER = ("NAME=VALUE", "a value to send along: JSON, or else text")


def _add_stream(parser: argparse.ArgumentParser, parameter: tuple[str, str] | None = NOTEBOOK_PARAMETER) -> None:
    """What a SafeStream and its preflight share."""
    add = parser.add_argument
    add("-i", "--input", action="append", default=[], metavar="ASSET[=alias][:col,col]", help="a sealed table")
    add("-c", "--code", action="append", default=[], metavar="ASSET", help="sealed code that runs before the cell")
    add("-o", "--output", action="append", default=[], type=identifier, metavar="NAME", help="a variable to return")
    if parameter is not None:
        add("-p", "--parameter", action="append", default=[], metavar=parameter[0], help=parameter[1])
    add("--purpose", default="", type=short_text, metavar="TEXT", help="what it is for; owners and the log see it")
    add("--to", action="append", default=[], metavar="WHO|URL", help=TO_HELP)
    add("--tee", type=one_of("kind of TEE", PROFILES), metavar="KIND,…", help="TEEs you accept; your hosts' by default")
    add("--fragment", action="append", default=[], choices=FRAGMENTS, metavar="NAME", help=FRAGMENT_HELP)
    add("--kinds", type=one_of("kind of output", KINDS), default=list(KINDS), metavar="table,…", help="what to ask for")
    add("--cpu", type=whole(1, 31), metavar="N", help="CPUs (1)")
    add("--memory", type=size, metavar="2G", help="memory of the program (2G)")
    add("--time", type=duration, metavar="30m", help="longest running time (10m)")
    add("--result-size", type=size, metavar="256M", help="most bytes of results and displays (64M)")


@cache
def safestream_parser() -> Parser:
    """``%%safestream``."""
    parser = Parser(
        "%%safestream",
        "Run this cell in an attested container group over sealed assets.",
        "Example: %%safestream -i patients:age,sex -o risk --purpose 'risk study'",
    )
    _add_stream(parser)
    parser.add_argument("--host", metavar="NAME", help="where; the first that meets all conditions by default")
    parser.add_argument(
        "--no-wait", action="store_true", help="return a handle at once; the run waits for approval by itself"
    )
    _add_session(parser.add_argument_group("session").add_argument)
    return parser


def _add_session(add: Callable[..., object]) -> None:
    add(
        "--session",
        default="",
        metavar="NAME",
        help="run in a warm session: its first cell names the inputs, later ones find its variables",
    )
    add("--cells", type=whole(1, 1000), metavar="N", help="how many cells it may have (100)")
    add("--idle", type=duration, metavar="30m", help="how long it may wait for its next cell (30m)")
    add("--life", type=duration, metavar="8h", help="how long it may live (8h)")


def _add_notebook(parser: argparse.ArgumentParser) -> None:
    """A whole notebook: what its metadata may say too."""
    parser.add_argument("notebook", metavar="NOTEBOOK", help="an .ipynb file without magics of sls_jupyter")
    _add_stream(parser, None)
    parser.add_argument("--host", metavar="NAME", help="where; the first that meets all conditions by default")
    parser.add_argument("--idle", type=duration, metavar="30m", help=argparse.SUPPRESS)
    parser.add_argument("--life", type=duration, metavar="8h", help="how long its session may live (8h)")


def _add_run_notebook(parser: argparse.ArgumentParser) -> None:
    _add_notebook(parser)
    parser.add_argument(
        "--to-file", dest="out", metavar="FILE", help="where the executed notebook goes; NAME-ran.ipynb by default"
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait for people who have to approve; otherwise it ends there"
    )


@cache
def notebook_parser() -> Parser:
    """A whole notebook's options, on a line or in its metadata."""
    parser = Parser("sls run", "Run a whole notebook as one SafeStream, after one review.")
    _add_notebook(parser)
    return parser


def _add_receipt(parser: Parser) -> None:
    add = parser.add_argument
    add("file", nargs="?", default="", metavar="FILE", help="where to; receipt-RUN.json by default")
    add("--witnesses", type=count_of_witnesses, default=0, metavar="K", help=WITNESSES_HELP)


def _add_preflight(parser: argparse.ArgumentParser) -> None:
    _add_stream(parser)
    parser.add_argument("--host", metavar="NAME", help=_TRY_ON)


def _add_shell_preflight(parser: argparse.ArgumentParser) -> None:
    _add_stream(parser, SHELL_PARAMETER)
    parser.add_argument("--host", metavar="NAME", help=_TRY_ON)
    parser.add_argument("-f", "--file", metavar="FILE", help="the cell's code; - is standard input")


def _add_result(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN")
    add("--receipt", metavar="FILE", help="RUN is a sealed file from a requester, and this its receipt")
    add("--accept-simulated", action="store_true", help="believe a receipt that no hardware signed")
    add(
        "--to",
        metavar="FOLDER|URL",
        help="write its outputs into a new folder (tables as Parquet, figures as files); at a URL it stays sealed",
    )


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    words = "[add aci | remove NAME]"
    parser.add_argument("words", nargs="*", metavar=words, help="what to change; the list by default")
    add_aci_options(parser)


def _add_withdraw(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--shred", action="store_true", help="destroy its keys too; nobody can ever open it again")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")


IN_SHELL: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "can-run": lambda _: None,
    "preflight": _add_shell_preflight,
    "result": _add_result,
    "cancel": _add_run,
    "run": _add_run_notebook,
    "submit": _add_notebook,
    "hosts": _add_hosts,
    "withdraw": _add_withdraw,
}
"""The options of commands that a shell has as a notebook has them, and that it reads only when it runs one of them."""


@cache
def command_parsers() -> dict[str, Parser]:
    """The sub-commands of ``%sls``, in the order in which help lists them."""
    parsers: dict[str, Parser] = {}

    def command(name: str, description: str, *arguments: str) -> Parser:
        parser = parsers[name] = Parser(f"%sls {name}", description)
        for argument in arguments:
            parser.add_argument(argument.lower(), metavar=argument)
        return parser

    command("whoami", "Who you are: name, DID and folder.")
    command("as", "Become another persona of yours, with its own keys and authority.", "NAME").add_argument(
        "--new", action="store_true", help="make it also where its name is almost that of another one"
    )
    command("assets", "Every sealed asset that you can see.")
    add_request_filters(command("requests", "Requests that wait for you, and your own; what waits for you is first."))
    command("show", "One request with all that will run.", "ID").add_argument(
        "--all", action="store_true", help="long parameters too, whole"
    )
    command("approve", "Approve a request on its terms.", "ID").add_argument(
        "--reason", default="", type=short_text, metavar="TEXT", help="why; it goes into the signed approval"
    )
    command("deny", "Deny a request.", "ID").add_argument(
        "--reason", required=True, type=short_text, metavar="TEXT", help="why; the requester will read it"
    )
    command("can-run", "What you may run on, and what stands against it.")
    _add_preflight(command("preflight", "What every owner would decide. Nothing is asked, run or logged."))
    command("runs", "Your runs.")
    _add_result(command("result", "Put the outputs of a run into the notebook: one of yours, or a FILE sealed to you."))
    command("attach", "Show a run of yours from its beginning, and follow it to its end.", "RUN")
    _add_run(command("cancel", "Cancel a run of yours, whichever notebook started it."))
    _add_run_notebook(command("run", "Run a whole notebook as one SafeStream, after one review of all its cells."))
    _add_notebook(command("submit", "Ask for a whole notebook, without running it: one review of all its cells."))
    command("sessions", "Your warm sessions: what is open, and how the others ended.")
    command("session close", "End a session; the results of its cells stay.", "NAME")
    agent = command("agent", "What goes on when this notebook ends: agent status, agent start, agent stop.")
    agent.add_argument("action", nargs="?", default="status", metavar="[status | start | stop]")
    agent.add_argument("--force", action="store_true", help="stop it although that ends its runs")
    command("audit", "What the logs hold about a run, every proof checked.", "RUN").add_argument(
        "--report", nargs="?", const="", metavar="FILE", help="write it as a page to print; audit-RUN.html by default"
    )
    command("audit report", "The same as a page to print: one HTML file.", "RUN").add_argument(
        "--output", dest="report", default="", metavar="FILE", help="audit-RUN.html by default"
    )
    _add_receipt(command("receipt", "Save the receipt of a run: a file that anybody can verify offline.", "RUN"))
    verify = command("verify", "Verify a receipt or attestation evidence in files, offline: the whole check list.")
    verify.add_argument("files", nargs="+", metavar="FILE", help="any mix of files; each is told by its content")
    add_evidence_options(verify)
    add_receipt_options(verify)
    _add_hosts(command("hosts", "Where runs can be placed: hosts, hosts add aci …, hosts remove NAME."))
    connect = command("connect", "Make another owner's authority known, and its owner by a name.", "URL")
    connect.add_argument("--as", dest="name", default="", metavar="NAME", help="what you call its owner")
    connect.add_argument("--did", default="", metavar="DID", help="the authority's DID, as its owner told you")
    command("name", "Call somebody by a name of your choice: a DID, a name, or a contact file.", "WHO", "NAME")
    command("contacts", "Everybody who has a name here.")
    contact = command("contact", "Save your own signed contact, or keep that of somebody else: contact add FILE.")
    contact.add_argument("words", nargs="*", metavar="[add] FILE", help="contact-PERSONA.json by default")
    contact.add_argument("--as", dest="name", default="", metavar="NAME", help="what you call the person in the file")
    command("cosign", "Follow the log of an authority and bring it your cosignature.", "URL")
    add_log_actions(command("log", f"{ABOUT[0].upper()}{ABOUT[1:]}."), database=False)
    _add_withdraw(
        command("withdraw", "Stop granting an asset of yours: all versions of a name, or the one of a digest.")
    )
    mute = command("mute", "Take no request of somebody any more; without WHO, the list.")
    mute.add_argument("who", nargs="?", metavar="WHO", help="a name you know them by, or their DID")
    mute.add_argument("--undo", action="store_true", help="take their requests again")
    _add_policy(
        command("edit", "The policy of a table as a form; with options, what they would change of it.", "FRAME")
    )
    command("help", "This list.")
    return parsers
