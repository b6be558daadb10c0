"""The options of every magic, in one place: what ``--help`` prints and completion offers."""

from __future__ import annotations

from functools import cache

from sls_jupyter.attestation.profile import PROFILES
from sls_jupyter.contract.spec import KINDS
from sls_jupyter.notebook.args import Parser, duration, identifier, named_columns, one_of, short_text, size, whole
from sls_jupyter.notebook.receipt_options import WITNESSES_HELP, add_receipt_options, count_of_witnesses

POLICY_FIELDS = (
    *("allow_code", "requester", "columns", "purpose", "kinds", "min_group", "max_rows", "max_bytes", "max_runs"),
    *("expires", "tee", "recipient", "approver", "approvals", "full_errors"),
)
"""Options of %seal that are fields of the policy; see :func:`sls_jupyter.policy.options.policy_from_options`."""


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
    add("--max-runs", type=whole(1, 10**15), metavar="N", help="most runs")
    add("--expires", metavar="30d", help="how long it may be used")
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


def _add_stream(parser: Parser) -> None:
    """What a SafeStream and its preflight share."""
    add = parser.add_argument
    add("-i", "--input", action="append", default=[], metavar="ASSET[=alias][:col,col]", help="a sealed table")
    add("-c", "--code", action="append", default=[], metavar="ASSET", help="sealed code that runs before the cell")
    add("-o", "--output", action="append", default=[], type=identifier, metavar="NAME", help="a variable to return")
    add("-p", "--parameter", action="append", default=[], metavar="NAME", help="a variable to send along")
    add("--purpose", default="", type=short_text, metavar="TEXT", help="what it is for; owners and the log see it")
    add("--to", action="append", default=[], metavar="WHO", help="who gets the results; you by default")
    add("--tee", type=one_of("kind of TEE", PROFILES), metavar="KIND,…", help="TEEs you accept; your hosts' by default")
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
    return parser


def _add_receipt(parser: Parser) -> None:
    add = parser.add_argument
    add("file", nargs="?", default="", metavar="FILE", help="where to; receipt-RUN.json by default")
    add("--witnesses", type=count_of_witnesses, default=0, metavar="K", help=WITNESSES_HELP)


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
    command("as", "Become another persona of yours, with its own keys and authority.", "NAME")
    command("assets", "Every sealed asset that you can see.")
    command("requests", "Requests that wait for you, and your own.")
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
    _add_stream(command("preflight", "What every owner would decide. Nothing is asked, run or logged."))
    command("runs", "Your runs.")
    result = command(
        "result", "Put the outputs of a run into the notebook: one of yours, or a FILE sealed to you.", "RUN"
    )
    result.add_argument("--receipt", metavar="FILE", help="RUN is a sealed file from a requester, and this its receipt")
    result.add_argument("--accept-simulated", action="store_true", help="believe a receipt that no hardware signed")
    command("cancel", "Cancel a run of this notebook.", "RUN")
    command("audit", "What the logs hold about a run, every proof checked.", "RUN").add_argument(
        "--report", nargs="?", const="", metavar="FILE", help="write it as a page to print; audit-RUN.html by default"
    )
    _add_receipt(command("receipt", "Save the receipt of a run: a file that anybody can verify offline.", "RUN"))
    verify = command("verify", "Verify a receipt or attestation evidence in files, offline: the whole check list.")
    verify.add_argument("files", nargs="+", metavar="FILE", help="any mix of files; each is told by its content")
    verify.add_argument("--profile", choices=("hardware", "aci"), help="the vendor's part alone, or all of Azure's")
    verify.add_argument("--at", metavar="TIME", help="judge at this time; now by default")
    verify.add_argument("--minimum", metavar="FILE", help="JSON with minimums: uvm_svn, tcb, report_version")
    verify.add_argument("--issuer", metavar="URL", help="the Azure Attestation instance that a token must be from")
    verify.add_argument(
        "--accept-simulated", action="store_true", help="believe SIMULATED evidence; the verdict says so"
    )
    add_receipt_options(verify)
    command("hosts", "Where runs can be placed.")
    connect = command("connect", "Make another owner's authority known, and its owner by a name.", "URL")
    connect.add_argument("--as", dest="name", default="", metavar="NAME", help="what you call its owner")
    connect.add_argument("--did", default="", metavar="DID", help="the authority's DID, as its owner told you")
    command("name", "Call somebody by a name of your choice: a DID, a name, or a contact file.", "WHO", "NAME")
    command("contacts", "Everybody who has a name here.")
    contact = command("contact", "Save your own signed contact, or keep that of somebody else: contact add FILE.")
    contact.add_argument("words", nargs="*", metavar="[add] FILE", help="contact-PERSONA.json by default")
    contact.add_argument("--as", dest="name", default="", metavar="NAME", help="what you call the person in the file")
    command("cosign", "Follow the log of an authority and bring it your cosignature.", "URL")
    command(
        "withdraw", "Stop granting an asset of yours: all versions of a name, or the one of a digest.", "NAME"
    ).add_argument("--shred", action="store_true", help="destroy its keys too; nobody can ever open it again")
    mute = command("mute", "Take no request of somebody any more; without WHO, the list.")
    mute.add_argument("who", nargs="?", metavar="WHO", help="a name you know them by, or their DID")
    mute.add_argument("--undo", action="store_true", help="take their requests again")
    command("edit", "A form for the policy of a table to be sealed.", "FRAME")
    command("help", "This list.")
    return parsers
