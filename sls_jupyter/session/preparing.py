"""Preparing a run: from words on a magic line to a signed contract."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ValidationError

from sls_jupyter.assets.azure.account import is_loopback
from sls_jupyter.assets.public_storage import require_public
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.platform import FragmentName
from sls_jupyter.contract.spec import (
    KINDS,
    SPEC_SECONDS,
    AssetInput,
    Limits,
    Recipient,
    StreamSpec,
    fresh_nonce,
)
from sls_jupyter.documents import digest, sign
from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.naming import quoted
from sls_jupyter.policy.decide import Decision
from sls_jupyter.safestream.belief import ask_beliefs, believed_hosts
from sls_jupyter.safestream.request import Requested, StreamRequest, ask_all
from sls_jupyter.session.catalogue import AssetInfo
from sls_jupyter.session.cell import one_spelling, require_named, require_python
from sls_jupyter.session.cell_columns import require_columns
from sls_jupyter.session.hosting import Hosting
from sls_jupyter.session.inputs import alias_of, parse_input, picked_columns, require_separate_names
from sls_jupyter.session.names import require_known

NOTHING_KNOWN: Mapping[str, AssetInfo] = MappingProxyType({})
_STARTING_NAMES = ("pd", "np")  # what a cell finds beside its inputs and parameters


class Preparing(Hosting):
    """Contracts."""

    def prepare(
        self,
        code: str,
        inputs: Iterable[str],
        *,
        outputs: Iterable[str] = (),
        code_assets: Iterable[str] = (),
        parameters: Mapping[str, Any] | None = None,
        purpose: str = "",
        recipients: Iterable[str] = (),
        tees: Iterable[str] = (),
        fragments: Iterable[FragmentName] = (),
        kinds: Iterable[str] = KINDS,
        limits: Limits | None = None,
        known: Mapping[str, AssetInfo] = NOTHING_KNOWN,
    ) -> StreamRequest:
        """Make and sign the contract of one run; nothing is sent yet.

        Args:
            code: the cell; its line ends, blanks at them and blank lines at its end are brought to one spelling, which
                is what is signed, shown and run (:func:`~sls_jupyter.session.cell.one_spelling`).
            inputs: ``ASSET[=alias][:col,col]`` each; the alias is the variable in the cell.
            outputs: names of variables to return.
            code_assets: names of sealed code that runs before the cell.
            recipients: names given here, DIDs or contact files; the requester by default.
            tees: accepted kinds of TEE; those of this session's hosts by default.
            fragments: whose signed containers may join the group (``aci-infrastructure``: Microsoft's, on Azure).
            known: assets that were looked up already, by how ``inputs`` and ``code_assets`` call them.

        Raises:
            UnknownName, BadInput: with the fix; also for a cell that is no Python, uses a name that nothing
                makes, or cannot make an output.
            Unavailable: an authority that may know a name does not answer.
        """
        outputs, parameters = sorted(set(outputs)), parameters or {}
        chosen = self.chosen_inputs(inputs, code_assets, parameters, outputs, known)
        code = _read_cell(code, chosen, parameters, outputs)
        packed = pack_parameters(parameters)
        cell = {"code": digest(code.encode()), "parameters": digest(packed), "outputs": tuple(outputs)}
        spec, manifests = self._contract(chosen, purpose, recipients, tees, fragments, kinds, limits, cell)
        return StreamRequest(spec, self._signed(spec), code, packed, manifests, self._contact())

    def chosen_inputs(
        self,
        inputs: Iterable[str],
        code_assets: Iterable[str],
        parameters: Iterable[str] = (),
        outputs: Iterable[str] = (),
        known: Mapping[str, AssetInfo] = NOTHING_KNOWN,
    ) -> list[tuple[AssetInput, AssetInfo]]:
        """The assets that are named, each as an input of a contract; nothing is sent.

        Raises:
            UnknownName, BadInput: as :meth:`prepare`; also what they cannot be together.
        """
        chosen = [self._input(text, "table", known) for text in inputs]
        chosen += [self._input(name, "code", known) for name in code_assets]
        if not chosen:
            raise BadInput("A SafeStream needs at least one asset.", hint="Name it with -i ASSET.")
        aliases = [item.alias for item, _ in chosen]
        require_separate_names([item.alias for item, _ in chosen if item.kind == "table"], parameters, outputs)
        if len(set(aliases)) < len(aliases):
            raise BadInput("Two inputs have one alias.", found=", ".join(aliases), hint="Write -i NAME=another_alias.")
        if len({info.id for _, info in chosen}) < len(chosen):
            raise BadInput(
                "One asset is named twice.",
                found=", ".join(item.alias for item, _ in chosen),
                hint="Name it once, with all its columns; the cell can copy it.",
            )
        for _, info in chosen:
            if not info.manifest.storage.startswith("file:"):  # that the authority serves, or nobody
                here = is_loopback(urlsplit(info.manifest.authority_url).hostname or "")
                require_public(info.manifest.storage, emulated=here)
        return chosen

    def _contract(
        self,
        chosen: Sequence[tuple[AssetInput, AssetInfo]],
        purpose: str,
        recipients: Iterable[str],
        tees: Iterable[str],
        fragments: Iterable[FragmentName],
        kinds: Iterable[str],
        limits: Limits | None,
        cell: Mapping[str, Any],
    ) -> tuple[StreamSpec, dict[str, bytes]]:
        """The contract, and the manifests of its assets by id.

        Args:
            cell: the fields of a run's code, or of a session.
        """
        now, wanted = int(time.time()), set(kinds)
        accepted = sorted(set(tees) or {host.capabilities().tee for host in self.hosts.values()})
        spec = _spec(
            requester=self.did,
            purpose=purpose,
            inputs=tuple(sorted((item for item, _ in chosen), key=lambda item: item.alias)),
            kinds=tuple(kind for kind in KINDS if kind in wanted),
            recipients=self._recipients(recipients),
            limits=limits or Limits(),
            tees=tuple(accepted),
            fragments=tuple(sorted(set(fragments))),
            nonce=fresh_nonce(),
            issued_at=now,
            expires_at=now + SPEC_SECONDS,
            **cell,
        )
        return spec, {info.id: info.manifest_envelope for _, info in chosen}

    def _signed(self, spec: StreamSpec) -> bytes:
        return sign(spec, self.identity)

    def _contact(self) -> bytes:
        return sign(self.identity.contact(), self.identity)

    def _input(
        self, text: str, kind: Literal["table", "code"], looked_up: Mapping[str, AssetInfo]
    ) -> tuple[AssetInput, AssetInfo]:
        name, alias, columns = parse_input(text)
        info = looked_up.get(name) or self.asset(name)
        if info.manifest.kind != kind:
            raise BadInput(
                f"{name} is sealed {info.manifest.kind}.", expected=f"a sealed {kind}", hint="Tables: -i. Code: -c."
            )
        known = info.manifest.columns
        columns = picked_columns(text, known) if known else columns
        unknown = sorted(set(columns or ()) - set(known)) if known else []
        if unknown:
            raise _no_such_column(name, text, unknown, known)
        item = AssetInput(
            alias=alias or alias_of(name, info.manifest),
            asset=info.id,
            kind=info.manifest.kind,
            columns=None if columns is None else tuple(sorted(set(columns))),
            owner=info.manifest.owner,
            authority=info.manifest.authority,
            authority_url=info.manifest.authority_url,
        )
        return item, info

    def _recipients(self, wanted: Iterable[str]) -> tuple[Recipient, ...]:
        found: dict[str, Recipient] = {}
        for word in list(wanted) or [self.did]:
            contact = self.recipient(word)
            if found.setdefault(contact.did, contact) != contact:
                raise BadInput("One recipient is named with two contacts.", found=contact.did, hint="Keep one.")
        return tuple(found[did] for did in sorted(found))

    def preflight(self, request: StreamRequest) -> dict[str, Decision]:
        """What every owner would decide, by alias; nothing is asked, run or logged."""
        return dict(ask_all(request, self._run_clients(request), dry_run=True).decisions)

    def believed_hosts(
        self, request: Requested, host: str | None = None, *, names: Mapping[str, str] | None = None
    ) -> list[str]:
        """The hosts whose evidence every authority of a request says that it believes; nobody is asked to review.

        Args:
            names: DID -> name, for messages; looked up by default.

        Raises:
            HostUnsuitable: there is none; with who does not, what they believe, what is made here, and the way out.
        """
        beliefs = ask_beliefs(self._run_clients(request), self.names_in(request.spec) if names is None else names)
        return list(believed_hosts(self.hosts, host, beliefs))

    def _run_clients(self, request: Requested) -> dict[str, AuthorityClient]:
        return {did: self._client(url, did) for did, url in request.spec.authorities()}

    def _chosen_urls(self, spec: StreamSpec) -> frozenset[str]:
        """The URLs of a spec's authorities at which this persona knows them: a group of its may reach these too."""
        places = self._places()
        return frozenset(url for did, url in spec.authorities() if url in places and places[url].did == did)


def _read_cell(
    code: str, chosen: Sequence[tuple[AssetInput, AssetInfo]], parameters: Mapping[str, Any], outputs: Sequence[str]
) -> str:
    """The cell in its one spelling; what is certain to fail in it is told now, before anybody is asked."""
    code = one_spelling(code)
    if not code:
        return code
    require_python(code)
    if not any(item.kind == "code" for item, _ in chosen):  # sealed code may make any name, and change any input
        known = {*(item.alias for item, _ in chosen), *parameters, *_STARTING_NAMES}
        to_make = [name for name in outputs if name not in known]
        require_known(code, known, to_make)
        require_columns(code, _columns_found(chosen), _columns_named(chosen))
        require_named(code, to_make)
    return code


def _columns_found(chosen: Sequence[tuple[AssetInput, AssetInfo]]) -> dict[str, tuple[str, ...]]:
    """The columns that a cell will find, by alias; an asset that keeps their names to itself is left out."""
    return {
        item.alias: item.columns if item.columns is not None else info.manifest.columns
        for item, info in chosen
        if item.kind == "table" and info.manifest.columns
    }


def _columns_named(chosen: Sequence[tuple[AssetInput, AssetInfo]]) -> dict[str, tuple[str, ...]]:
    """Every name in an asset, by alias: those of its index levels are among them."""
    return {item.alias: info.manifest.columns for item, info in chosen}


def _no_such_column(asset: str, text: str, unknown: Sequence[str], known: Sequence[str]) -> UnknownName:
    near = [(name, difflib.get_close_matches(name, known, 1)) for name in unknown]
    hints = [f"Did you mean {quoted(found[0])} for {quoted(name)}?" for name, found in near if found]
    hints += ["A column whose name has a comma is put within quotes."] if "," in text else []
    return UnknownName(
        f"{asset} has no column {unknown[0]}.",
        found=", ".join(map(quoted, unknown)),
        expected=", ".join(map(quoted, known)),
        hint=" ".join(hints),
    )


def _spec(**fields: Any) -> StreamSpec:
    """The contract of these fields; what it cannot hold is named as the caller knows it."""
    try:
        return StreamSpec(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "contract"
        raise BadInput(
            f"A run cannot have this {where}.",
            found=first["msg"].removeprefix("Value error, "),
            hint="%%safestream --help lists what can be asked for.",
        ) from None
