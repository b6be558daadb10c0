"""What the panel and its server say to each other. ``labextension/openapi.json`` and its TypeScript types are made of this.

A text in a message is shown as a text: nothing is markup, whoever wrote it. Where a field holds somebody else's words it
was made one line of seen characters before (:func:`sls_jupyter.printing.one_line`), or it is code and comes in rows.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sls_jupyter.documents import Model
from sls_jupyter.lab.card_messages import BlockData, CardData, Tone, UnitData

API = 1  # of these messages; a panel and a server with different numbers do not talk
MAX_BODY_BYTES = 8 * 2**20
MAX_TEXT = 4_000  # characters of a text that a person types: a reason, a name
MAX_CELL = 1_000_000  # of a cell

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Persona = Annotated[str, Field(max_length=100)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}\Z")]

# --- who and where --------------------------------------------------------------------------------


class Person(Model):
    """Somebody, as this persona may call them."""

    did: str
    short: str  # z6Mk…abcd
    words: str  # the petname, or ``unknown · z6Mk…abcd "what they say"``
    petname: str | None
    said: str = ""  # what they call themselves
    warning: str = ""  # that name looks like one that is known


class Silence(Model):
    """An authority that does not answer as it should."""

    words: str
    hint: str


class AgentState(Model):
    answers: bool
    version: str  # "" where none answers
    why_not: str  # why there is none; "" where there is one, or can be
    keeps: tuple[str, ...]  # what keeps it alive


class About(Model):
    """``GET about``: the handshake."""

    api: int
    version: str  # of the installed package
    home: str  # digest of the folder of all personas, as cards name it; never the path
    personas: tuple[str, ...]
    persona: str  # the one that a page begins with
    agent: AgentState


class Status(Model):
    """``GET status``: the status bar."""

    persona: str
    did: str
    short: str
    tees: tuple[str, ...]  # kinds that the hosts at hand make
    marks: tuple[str, ...]  # SIMULATED, NOT ISOLATED
    label: str  # SIMULATED, SEV-SNP, …: the first in words
    waiting: int  # requests that wait for this persona's decision
    running: int
    trouble: str  # why other people cannot reach this persona's authority; ""


class NewPersona(Model):
    """``POST personas``."""

    name: Persona


# --- the inbox ------------------------------------------------------------------------------------


class RequestRow(Model):
    id: Digest
    short: str
    state: str  # by its authority's word
    tone: Tone
    who: Person
    purpose: str
    assets: tuple[str, ...]
    created_at: int  # seconds since 1970, by its authority's word; 0: not said
    mine_to_decide: bool
    own: bool  # this persona asked
    simulated: bool
    session: str  # "cell 3 of at most 10"; "" for a run


class Inbox(Model):
    """``GET requests``."""

    rows: tuple[RequestRow, ...]
    total: int  # rows that there are; a page has the first of them
    waiting: int
    doubts: tuple[str, ...]
    silent: tuple[Silence, ...]


class DiffRow(Model):
    sign: Literal[" ", "+", "-"]
    before: int  # line number there; 0: not there
    after: int
    units: tuple[UnitData, ...]
    heading: bool = False  # our own words about the rows below, no line of the code


class Difference(Model):
    """A request beside the one like it that was let run before."""

    id: str  # short
    state: str  # as its authority says
    summary: str  # "only white space", "one line", "limits lower", …
    changes: tuple[str, ...]  # a sentence each, of everything but the code
    rows: tuple[DiffRow, ...]  # of the code that changed, with some lines around; () where code is the same
    left_out: int  # lines that are not shown, or not to their end


class EarlierRow(Model):
    """A decision on requests for the same assets."""

    id: str
    state: str
    tone: Tone
    who: str
    purpose: str
    at: int


class Met(Model):
    """What this requester asked for before, by the authority's word."""

    decided: int  # requests that were decided, of the newest hundred of each state
    first_at: int  # when the first of these was made; 0: none, or not said


class RequestPage(Model):
    """``GET requests/{id}``."""

    row: RequestRow
    card: CardData  # without the code
    code: tuple[BlockData, ...]
    difference: Difference | None
    earlier: tuple[EarlierRow, ...]
    met: Met | None  # None: the authority does not say what was decided before, so that ``earlier`` is empty
    signs: str  # what an approval signs, in words
    can_decide: bool
    seen: str  # what a decision must name: a digest of everything that this page was made of


class Decide(Model):
    """``POST requests/{id}/decision``."""

    approve: bool
    reason: Text
    seen: str


class Decided(Model):
    id: str
    approved: bool
    entry: int  # of the log
    card: CardData


# --- runs -----------------------------------------------------------------------------------------


class RunRow(Model):
    id: str
    state: str
    tone: Tone
    started_at: int
    inputs: tuple[str, ...]
    purpose: str
    tee: str
    marks: tuple[str, ...]
    now: str  # what it does, or whom it waits for
    reason: str  # why it ended so
    session: str
    cell: int | None
    going: bool
    actions: tuple[Literal["cancel", "result", "receipt", "audit"], ...]


class SessionRow(Model):
    name: str
    id: str
    state: str
    tone: Tone
    opened_at: int
    cells: int
    most: int
    idle_seconds: int  # that it may be idle; 0 if it is over
    idle_since: int | None  # seconds since 1970; None: a cell runs, or it is over
    inputs: tuple[str, ...]
    purpose: str


class Runs(Model):
    """``GET runs``."""

    rows: tuple[RunRow, ...]
    total: int
    sessions: tuple[SessionRow, ...]


class StepRow(Model):
    name: str
    state: Literal["waiting", "active", "done", "failed"]
    took: str
    detail: str
    evidence: tuple[str, ...]


class RunPage(Model):
    """``GET runs/{id}``."""

    row: RunRow
    title: str
    steps: tuple[StepRow, ...]
    summary: str  # what it rests on; "" while it goes on
    lines: tuple[str, ...]  # what was withheld or cut
    waits: str  # "waits for hospital since 2 h"; ""
    ask: str  # a line to send to them; ""
    receipt: str  # digest; "" while there is none
    outputs: tuple[str, ...]  # names that it returned


class Saved(Model):
    """Files in a folder, for the person who asked."""

    folder: str
    files: tuple[str, ...]


class SaveTo(Model):
    """``POST runs/{id}/result``: into a folder under the server's root."""

    folder: Annotated[str, Field(min_length=1, max_length=1_000)]


# --- assets ---------------------------------------------------------------------------------------


class AssetRow(Model):
    id: Digest
    name: str
    called: str  # owner/name
    owner: Person
    mine: bool
    kind: Literal["table", "code"]
    content: str  # 300 rows × 4 columns
    size: str
    tees: tuple[str, ...]
    purposes: tuple[str, ...]
    simulated: bool


class Assets(Model):
    """``GET assets``."""

    rows: tuple[AssetRow, ...]
    total: int
    silent: tuple[Silence, ...]


class ColumnRow(Model):
    name: str
    type: str
    granted: bool


class Choice(Model):
    """What would happen to a cell over this asset."""

    verdict: Literal["run", "ask", "no", "unknown"]
    words: str
    because: tuple[str, ...]


class VersionRow(Model):
    id: Digest
    number: int  # from 1, the first that was sealed under the name; 0: that one was not reached
    at: int
    state: Literal["open", "closed"]  # its authority's word


class AssetPage(Model):
    """``GET assets/{id}``."""

    row: AssetRow
    columns: tuple[ColumnRow, ...]
    policy: tuple[str, ...]
    choice: Choice
    versions: tuple[VersionRow, ...]
    insert: str  # the text of a %%safestream cell
    edit: str  # the %seal line that would seal it again under the policy in force; "" for others' assets
    card: CardData


class Withdraw(Model):
    """``POST assets/{id}/withdraw``."""

    shred: bool = False


class CardAnswer(Model):
    """What was done, as a card."""

    card: CardData


class PolicyField(Model):
    """One option of ``%seal``."""

    name: str
    value: str
    help: str
    choices: tuple[str, ...] = ()
    many: bool = False


class PolicyForm(Model):
    """``GET policy``: the options of a policy, filled in with the one in force."""

    fields: tuple[PolicyField, ...]


class PolicyAsked(Model):
    """``POST policy``: options as a form has them; nothing is published."""

    frame: Annotated[str, Field(min_length=1, max_length=1_000)]  # a variable or a file
    name: Annotated[str, Field(max_length=100)]
    code: bool = False  # seal code: a %%seal cell
    options: dict[str, Annotated[str, Field(max_length=MAX_TEXT)]]


class PolicyShown(Model):
    """What these options mean, and the cell that seals under them."""

    cell: str
    policy: tuple[str, ...]
    changes: tuple[str, ...]  # beside the policy in force
    replaces: bool  # there is an asset of that name


# --- a cell before it runs ------------------------------------------------------------------------


class PreflightAsked(Model):
    """``POST preflight``: a whole cell, with its magic."""

    cell: Annotated[str, Field(max_length=MAX_CELL)]


class Preflight(Model):
    verdict: Literal["run", "ask", "no", "error", "unknown"]
    line: str  # runs remotely on hospital/patients · age, sex → table, figure leave to you
    state: str  # approved ✓, one line changed, would be denied: purpose
    card: CardData | None
    tables: tuple[TableHint, ...]  # the names that the cell finds
    outputs: tuple[str, ...]  # the names that it gives back
    request: str = ""  # the id that a request for exactly this has, whether there is one or not


class RemoteCell(Model):
    """A cell of a notebook, and the run that its saved card names."""

    run: Annotated[str, Field(max_length=100)]
    cell: Annotated[str, Field(max_length=MAX_CELL)]  # with its magic


class NotebookAsked(Model):
    """``POST notebook``: what stands in a saved notebook."""

    cells: Annotated[tuple[RemoteCell, ...], Field(max_length=500)]


class CellChecked(Model):
    run: str
    verified: bool  # its receipt verifies, is of this code, and the results that are kept are those it names
    words: str


class NotebookChecked(Model):
    cells: tuple[CellChecked, ...]


class TableHint(Model):
    alias: str
    called: str
    columns: tuple[ColumnRow, ...]


# --- receipts -------------------------------------------------------------------------------------


class VerifyAsked(Model):
    """``POST verify``: a file's bytes, and what is expected of it."""

    name: Annotated[str, Field(max_length=1_000)]
    data: Annotated[str, Field(max_length=MAX_BODY_BYTES)]  # base64
    owners: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    accept_simulated: bool = False


class Verified(Model):
    kind: Literal["receipt", "notebook", "evidence", "other"]
    accepted: bool
    verdict: str  # ACCEPTED: all 31 checks passed
    id: str
    run: str  # the run of this persona that it is of; ""
    cards: tuple[CardData, ...]


class ReceiptRow(Model):
    """A receipt in the folder of a run of this persona."""

    run: str
    at: int
    inputs: tuple[str, ...]
    purpose: str
    marks: tuple[str, ...]


class Receipts(Model):
    """``GET receipts``."""

    rows: tuple[ReceiptRow, ...]
    parties: tuple[Party, ...]


class Party(Model):
    """Somebody that a receipt can be pinned to."""

    did: str
    words: str
    role: Literal["owner", "log"]


class File(Model):
    """A file for the person who asked."""

    name: str
    text: str


# --- people ---------------------------------------------------------------------------------------


class PersonaRow(Model):
    name: str
    did: str


class ContactRow(Model):
    person: Person
    key: str  # digest of their key for results; "" if it is not known
    me: bool


class AuthorityRow(Model):
    url: str
    did: str
    owner: Person
    mine: bool
    trouble: str  # ""; or why it does not answer as it should


class People(Model):
    """``GET people``."""

    personas: tuple[PersonaRow, ...]
    contacts: tuple[ContactRow, ...]
    authorities: tuple[AuthorityRow, ...]
    silent: tuple[Silence, ...]


class CallThem(Model):
    """``POST people/name``."""

    did: Annotated[str, Field(max_length=200)]
    name: Persona


class Connect(Model):
    """``POST people/connect``."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    name: Persona = ""


class AddContact(Model):
    """``POST people/contact``: the text of a contact file."""

    text: Annotated[str, Field(max_length=64 * 1024)]
    name: Persona = ""


# --- events ---------------------------------------------------------------------------------------

Section = Literal["status", "requests", "runs", "assets", "people"]


class Event(Model):
    """One line of ``GET events``: something is otherwise than it was; who shows it asks anew."""

    type: Literal["hello", "changed", "run", "asked", "ended"]
    section: Section | None = None  # of "changed"
    id: str = ""  # of "run": its id; of "asked": the request that waits now; of "ended": the run
    words: str = ""  # of "asked" and "ended": a sentence


class Error(Model):
    """Why something was not done (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    found: str = ""
    expected: str = ""
    hint: str = ""


Preflight.model_rebuild()
Receipts.model_rebuild()
