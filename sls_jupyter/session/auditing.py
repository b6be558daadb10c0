"""Auditing a run: every entry that the authorities logged about it, each one proven; and its receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sls_jupyter.authority.client import AuthorityClient, RunHistory
from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import digest
from sls_jupyter.errors import (
    BadInput,
    DigestMismatch,
    LogInconsistent,
    MalformedDocument,
    Refused,
    SlsError,
    Unavailable,
)
from sls_jupyter.guest.bundle import open_result
from sls_jupyter.guest.values import restore
from sls_jupyter.identity import Home, write_whole
from sls_jupyter.network import within
from sls_jupyter.receipt.files import read_receipt, verify_file
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.verdict import ReceiptVerdict, VerifiedReceipt
from sls_jupyter.safestream.host import Host
from sls_jupyter.safestream.receipts import fetch_receipt, judge_own
from sls_jupyter.safestream.run import Run
from sls_jupyter.session.directory import Silent
from sls_jupyter.session.following import Following
from sls_jupyter.session.remembering import ORDER, RECEIPT, SPEC
from sls_jupyter.session.unchanged import Unchanged
from sls_jupyter.transparency.chain import parse_records, verify_chain
from sls_jupyter.transparency.checkpoint import Checkpoint
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.merkle import verify_consistency
from sls_jupyter.transparency.proofs import DisclosedEntry, proof_checkpoint, verify_disclosed

LOG_SECONDS = 60.0  # of one authority's log
MAX_VERDICTS = 64  # on kept receipts that are remembered
MAX_TREES = 8  # in which one authority proves a run's entries; an honest one has two at most

_SEALED_FACTOR, _SEALED_MORE_BYTES = 8, 64 * 2**20  # a sealed result is not larger than this makes of the run's limit


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One log entry about a run, verified: who logged it, where, what it says."""

    log_name: str
    index: int
    entry: Entry
    meaning: Mapping[str, Any] | None  # None: its salt was forgotten


@dataclass(frozen=True, slots=True)
class Audit:
    """A run's records from every authority that answers, each proven to be in its log, and the verdict on its receipt."""

    run: str
    spec: StreamSpec
    names: Mapping[str, str]  # DID -> name, as this persona knows them
    lines: tuple[AuditLine, ...]
    records: tuple[Mapping[str, Any], ...]  # the audit sidecar's, chained and bound by the hardware
    checkpoints: Mapping[str, int]  # log name -> tree size that the proofs hold under
    verdict: ReceiptVerdict | None  # None: there is no receipt
    unrecorded: tuple[str, ...]  # names of logs that released keys and never heard from the group that got them
    simulated: bool
    unreached: tuple[str, ...] = ()  # a sentence for each log that could not be read
    doubts: tuple[str, ...] = ()  # a sentence for each thing that does not fit
    isolated: bool | None = None  # as this persona remembers the run; nobody else can know
    order: CellOrder | None = None  # of the session's cell that the run is, by the requester's own signature

    @property
    def asked(self) -> Proposal:
        """What was asked for with the run."""
        return Proposal(self.spec, self.order)


def _label(did: str, names: Mapping[str, str]) -> str:
    """A log's name on the screen; with its DID where two have one name."""
    name = names.get(did, did)
    return name if list(names.values()).count(name) <= 1 else f"{name} ({did})"


def _log_of(silent: Silent) -> str:
    return f"{silent.name}'s log" if silent.name else f"The log of {silent.url}"


def _nobody_answers(silent: Sequence[Silent]) -> Unavailable:
    """There is nothing to tell of a run: no log can be read, and there is no receipt in its folder."""
    hints = "; ".join(dict.fromkeys(one.hint for one in silent))
    return Unavailable(
        f"{', '.join(map(_log_of, silent))} could not be reached, and no receipt of this run is kept here.",
        found=", ".join(f"nobody answers at {one.url}" for one in silent),
        hint=f"{hints[:1].upper()}{hints[1:]}",
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What one authority told about a run; its proofs are checked."""

    name: str
    lines: tuple[AuditLine, ...]
    records: bytes | None  # the record file; not checked
    tree_size: int


def _require_extensions(client: AuthorityClient, history: RunHistory, newest: Checkpoint) -> None:
    """The trees that entries are proven in are the beginnings of the one that this persona follows.

    Raises:
        LogInconsistent: the authority shows two logs.
    """
    trees = {proof_checkpoint(one.proof) for one in history.entries}
    if len(trees) > MAX_TREES:
        raise LogInconsistent(
            "An authority proves a run's entries in too many trees.", found=len(trees), expected=f"{MAX_TREES} at most"
        )
    for old in trees:
        path = client.consistency(old.tree_size, newest.tree_size) if old.tree_size < newest.tree_size else ()
        verify_consistency(old.tree_size, old.root_hash, newest.tree_size, newest.root_hash, path)


def is_about(meaning: Mapping[str, Any], asked: Proposal, log: str) -> bool:
    """Whether what an entry meant is about this run: its spec, its terms, or one of its assets at that log."""
    spec = asked.spec
    assets = {item.asset for item in spec.inputs_of(log)}
    known = {"spec": {spec.digest}, "terms": {asked.terms}, "requester": {spec.requester}, "asset": assets}
    known |= {} if asked.order is None else {"order": {asked.contract}}
    named = {name for name in ("spec", "terms", "asset") if name in meaning}
    return bool(named) and all(meaning[name] in fitting for name, fitting in known.items() if name in meaning)


def _is_of_given_up(disclosed: DisclosedEntry, asked: Proposal) -> bool:
    """Whether an entry is about another order of the same session: one that this cell's took the place of."""
    meaning = disclosed.meaning or {}
    return meaning.get("spec") == asked.spec.digest and meaning.get("order") not in (None, asked.contract)


def _is_unrecorded(lines: Sequence[AuditLine]) -> bool:
    """Keys were released, and no group that had as many of them has told how its run ended."""
    released = sum(line.entry.kind == "key.released" for line in lines)
    shown = (line.entry.facts.get("keys") for line in lines if line.entry.kind == "run.records")
    return released > max((one for one in shown if isinstance(one, int)), default=0)


def _records(
    spec: str, told: Sequence[_Told], verdict: ReceiptVerdict | None, doubts: list[str]
) -> tuple[Mapping[str, Any], ...]:
    """The sidecar's records, from the first authority that has those which the hardware signed for."""
    files = {one.name: one.records for one in told if one.records is not None}
    stated = dict(verdict.subjects).get("records") if verdict is not None else None
    for name, data in files.items():
        if stated is not None and digest(data) != stated:
            doubts.append(f"{name} has other records than the receipt names; they are not shown.")
            continue
        if stated is None:
            doubts.append(f"The records are as {name} tells them: no receipt binds them.")
        records = parse_records(data)
        verify_chain(records, spec)
        return tuple(dict(record.body) for record in records)
    return ()


class Auditing(Following):
    """Records, proofs and receipts."""

    def __init__(self, home: Home, hosts: Mapping[str, Host] | None = None) -> None:
        super().__init__(home, hosts)
        self._verdicts = Unchanged[ReceiptVerdict](MAX_VERDICTS)

    def audit(self, id_: str) -> Audit:
        """Everything the authorities logged about a run, every proof checked.

        An authority that does not answer is named in the audit, which then has what the others and this
        persona's own folder have.

        Raises:
            LogInconsistent, SignatureInvalid, DigestMismatch: an entry is not what or where it should be. What
                is wrong with the receipt is no error here, but a doubt or a refused verdict in the audit.
            Unavailable: no authority answers, and this persona has no receipt.
        """
        record = self._find_run(id_)
        asked = self._asked(record.id)
        spec = asked.spec
        names, doubts = self.names_in(spec), list[str]()
        told, unreached, refusals = self._ask_logs(asked, names)
        verdict = self._own_verdict(record.id, asked, doubts)
        if verdict is None and not told:
            raise refusals[0] if refusals else _nobody_answers([one for one, _ in unreached])
        lines = tuple(line for one in told for line in one.lines)
        simulated = any("simulated" in str(line.entry.facts.get("tee", "")) for line in lines)
        return Audit(
            run=record.id,
            spec=spec,
            names=names,
            lines=lines,
            records=_records(asked.contract, told, verdict, doubts),
            checkpoints={one.name: one.tree_size for one in told},
            verdict=verdict,
            unrecorded=tuple(one.name for one in told if _is_unrecorded(one.lines)),
            simulated=simulated or (verdict is not None and verdict.simulated),
            unreached=tuple(f"{_log_of(one)} could not be reached ({why}): {one.hint}." for one, why in unreached),
            doubts=tuple(doubts),
            isolated=record.isolated,
            order=asked.order,
        )

    def _ask_logs(
        self, asked: Proposal, names: Mapping[str, str]
    ) -> tuple[list[_Told], list[tuple[Silent, str]], list[SlsError]]:
        """What each authority that answers has, every proof checked; those that do not, with the reason; what they said."""
        spec, number = asked.spec, asked.number
        told, unreached, refusals = [], [], list[SlsError]()
        for did, url in spec.authorities():
            client, name = self._client(url, did), _label(did, names)
            try:
                with within(LOG_SECONDS):
                    history, newest = client.history(spec.digest, cell=number), client.follow_log(self.memory)
                    _require_extensions(client, history, newest)
            except Unavailable as error:
                unreached.append((self._silent_in(spec, did, url, names), error.found or error.message))
                continue
            except (BadInput, Refused) as error:  # one authority's answer is a line about that one
                unreached.append((self._silent_in(spec, did, url, names), error.sentence))
                refusals.append(error)
                continue
            entries = [one for one in history.entries if not _is_of_given_up(one, asked)]
            lines = tuple(self._audit_line(name, did, one, asked) for one in entries)
            told.append(_Told(name, lines, history.records, newest.tree_size))
        return told, unreached, refusals

    def _own_verdict(self, run: str, asked: Proposal, doubts: list[str]) -> ReceiptVerdict | None:
        """The verdict on the receipt, if there is one; why there is none that could be judged goes to ``doubts``."""
        try:
            return self._judge_receipt(run, asked, self._any_receipt(asked, witnesses=0))
        except Unavailable:
            return None
        except SlsError as error:
            doubts.append(f"{error.message} {error.hint}".strip())
            return None

    def _silent_in(self, spec: StreamSpec, did: str, url: str, names: Mapping[str, str]) -> Silent:
        """An authority of a run that does not answer, under the name of whose assets it has."""
        known = self._silent_at(url)
        owners = [names[item.owner] for item in spec.inputs if item.authority == did and item.owner in names]
        return known if known.name or not owners else replace(known, name=owners[0])

    def _audit_line(self, name: str, did: str, disclosed: DisclosedEntry, asked: Proposal) -> AuditLine:
        entry = verify_disclosed(disclosed, expected_log=did)
        if disclosed.meaning is not None and not is_about(disclosed.meaning, asked, did):
            raise LogInconsistent(
                "An authority shows another run's log entry as one of this run.",
                found=f"entry {disclosed.proof.index} of {name}: {entry.kind}",
                expected=f"an entry about {asked.contract}",
                hint="Ask the owner to repair the authority.",
            )
        return AuditLine(name, disclosed.proof.index, entry, disclosed.meaning)

    # --- the receipt ------------------------------------------------------------------------------

    def receipt(self, id_: str, *, witnesses: int = 0) -> VerifiedReceipt:
        """The receipt of a run of this persona, from its folder or from the authorities.

        Args:
            witnesses: how many cosignatures each log's last checkpoint must have; with more than none it is
                asked for anew.

        Raises:
            Unavailable: there is none (yet). VerificationError: it does not verify.
        """
        record = self._find_run(id_)
        asked = self._asked(record.id)
        verified = self._judge_receipt(record.id, asked, self._any_receipt(asked, witnesses=witnesses)).require()
        verified.save(self._run_folder(record.contract) / "receipt.json")
        return verified

    def kept_receipt(self, id_: str) -> ReceiptVerdict | None:
        """The verdict on the receipt in the folder of a run of this persona; nobody is asked. ``None``: there is none.

        Raises:
            UnknownName: no such run. MalformedDocument: the file is no receipt.
        """
        record = self._find_run(id_)
        if not record.has_receipt:
            return None
        folder = self._run_folder(record.contract)

        def judged() -> ReceiptVerdict:
            asked = self._asked(record.id)
            return self._judge_receipt(record.id, asked, self._any_receipt(asked, witnesses=0))

        return self._verdicts.get(folder, (RECEIPT, SPEC, ORDER, "image"), judged)

    def _fetch_outputs(self, run: Run) -> None:
        """The outputs, and the receipt that was kept beside them, if it verifies."""
        super()._fetch_outputs(run)
        if (self._run_folder(run.spec_digest) / "receipt.json").exists():
            asked = self._asked(run.id)
            run.receipt = self._judge_receipt(run.id, asked, self._any_receipt(asked, witnesses=0)).require()

    def _any_receipt(self, asked: Proposal, *, witnesses: int) -> Receipt:
        """The receipt, good or not."""
        spec, folder = asked.spec, self._run_folder(asked.contract)
        path = folder / "receipt.json"
        if path.exists() and not witnesses:
            try:
                return Receipt.parse(read_receipt(path))
            except MalformedDocument as error:
                error.hint = f"Delete {path}, and it is fetched again."
                raise
        clients = {did: self._client(url, did) for did, url in spec.authorities()}
        try:
            return fetch_receipt(spec, clients, witnesses=witnesses, cell=asked.number)
        except LogInconsistent as error:
            for envelope in dict(error.detail.get("envelopes", {})).values():
                write_whole(folder / f"refused-{digest(envelope.encode())[7:19]}.json", envelope.encode())
            error.hint = f"What each of them shows is kept in {folder}. {error.hint}"
            raise

    def check_results(self, id_: str, receipt: VerifiedReceipt) -> dict[str, bool]:
        """Whether the results of a run that this persona holds are the ones that a receipt names, by its names.

        Raises:
            UnknownName: no such run, or it gave no result to this persona.
        """
        stated = dict(receipt.verdict.subjects)
        return {name: stated.get(name) == found for name, found in self.result_digests(id_).items()}

    def open_sealed(self, path: str | Path, receipt: str | Path, **pins: Any) -> dict[str, Any]:
        """The named outputs in a result that somebody else's run sealed to this persona.

        Args:
            path: the sealed result, as the requester sends it.
            receipt: of the run; it has to verify and to name this very file for this persona.
            pins: of :meth:`verify`, such as ``accept_simulated``.

        Raises:
            BadInput: a file cannot be read. DigestMismatch: the receipt names another file, or none for this persona.
            VerificationError: the receipt does not verify.
        """
        verified = self.verify(receipt, **{"anchors": self.anchors, **pins}).require()
        most = _SEALED_FACTOR * verified.spec.limits.output_bytes + _SEALED_MORE_BYTES
        try:
            with Path(path).open("rb") as file:
                sealed = file.read(most + 1)
        except OSError as error:
            raise BadInput("The sealed result cannot be read.", found=f"{path}: {error.strerror}") from None
        stated = dict(verified.verdict.subjects).get(f"sealed/{self.did}")
        if stated is None or digest(sealed) != stated:
            raise DigestMismatch(
                "This is not the result that the receipt names for you.",
                found=digest(sealed),
                expected=stated or "a result sealed to you; the receipt has none",
                hint="Ask the requester for the file and the receipt of one run.",
            )
        result = open_result(sealed, verified.spec.digest, self.did, self.identity.hpke)
        return {about["name"]: restore(table, about["shape"]) for about, table in result.tables}

    def verify(self, source: str | Path | bytes | Receipt | VerifiedReceipt, **pins: Any) -> ReceiptVerdict:
        """Verify anybody's receipt offline; :func:`sls_jupyter.receipt.files.verify_file` has the options.

        The images that this persona trusts are believed beside those of ``images=`` and the one installed here.
        """
        images = {*pins.pop("images", ()), *self.trusted_images()}
        return verify_file(source, images=images, **pins)

    def _judge_receipt(self, run: str, asked: Proposal, receipt: Receipt) -> ReceiptVerdict:
        """Against what this persona knows of the run: its owners, its logs, the image it was launched with."""
        simulated = any(tee.startswith("simulated") for tee in asked.spec.tees)
        image, order = self._image_of(run), None if asked.order is None else asked.order.digest
        return judge_own(
            receipt, asked.spec, image=image, anchors=self.anchors, accept_simulated=simulated, order=order
        )
