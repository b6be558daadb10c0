"""Preparing a run: from words on a magic line to a signed contract."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import ValidationError

from sls_jupyter.assets.public_storage import require_public
from sls_jupyter.authority.client import AuthorityClient
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
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.identity import Home
from sls_jupyter.naming import quoted
from sls_jupyter.policy.decide import Decision
from sls_jupyter.safestream.host import Host
from sls_jupyter.safestream.request import StreamRequest, ask_all
from sls_jupyter.session.catalogue import AssetInfo, Catalogue
from sls_jupyter.session.cell import require_named, require_python
from sls_jupyter.session.inputs import alias_of, parse_input, picked_columns, require_separate_names

_STARTING_NAMES = ("pd", "np")  # what a cell finds beside its inputs and parameters


class Preparing(Catalogue):
    """Contracts.

    Args:
        hosts: where runs can be placed, by name; the local host by default.
    """

    def __init__(self, home: Home, hosts: Mapping[str, Host] | None = None) -> None:
        super().__init__(home)
        self.hosts: dict[str, Host] = dict(hosts) if hosts is not None else {"local": LocalHost(self.machine)}

    def isolated(self) -> bool:
        """Whether every host of this session keeps programs from their user's files."""
        return all(host.capabilities().isolated for host in self.hosts.values())

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
        kinds: Iterable[str] = KINDS,
        limits: Limits | None = None,
    ) -> StreamRequest:
        """Make and sign the contract of one run; nothing is sent yet.

        Args:
            inputs: ``ASSET[=alias][:col,col]`` each; the alias is the variable in the cell.
            outputs: names of variables to return.
            code_assets: names of sealed code that runs before the cell.
            recipients: names given here, DIDs or contact files; the requester by default.
            tees: accepted kinds of TEE; those of this session's hosts by default.

        Raises:
            UnknownName, BadInput: with the fix; also for a cell that is no Python or cannot make an output.
            Unavailable: an authority that may know a name does not answer.
        """
        chosen = [self._input(text, "table") for text in inputs] + [self._input(name, "code") for name in code_assets]
        if not chosen:
            raise BadInput("A SafeStream needs at least one asset.", hint="Name it with -i ASSET.")
        aliases = [item.alias for item, _ in chosen]
        outputs, parameters = sorted(set(outputs)), parameters or {}
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
                require_public(info.manifest.storage)
        if code.strip():
            require_python(code)
            made_elsewhere = {*aliases, *parameters, *_STARTING_NAMES}
            if not any(item.kind == "code" for item, _ in chosen):
                require_named(code, [name for name in outputs if name not in made_elsewhere])
        packed, now = pack_parameters(parameters), int(time.time())
        accepted = sorted(set(tees) or {host.capabilities().tee for host in self.hosts.values()})
        spec = _spec(
            requester=self.did,
            purpose=purpose,
            inputs=tuple(sorted((item for item, _ in chosen), key=lambda item: item.alias)),
            code=digest(code.encode()),
            parameters=digest(packed),
            outputs=tuple(outputs),
            kinds=tuple(kind for kind in KINDS if kind in set(kinds)),
            recipients=self._recipients(recipients),
            limits=limits or Limits(),
            tees=tuple(accepted),
            nonce=fresh_nonce(),
            issued_at=now,
            expires_at=now + SPEC_SECONDS,
        )
        manifests = {info.id: info.manifest_envelope for _, info in chosen}
        contact = sign(self.identity.contact(), self.identity)
        return StreamRequest(spec, sign(spec, self.identity), code, packed, manifests, contact)

    def _input(self, text: str, kind: Literal["table", "code"]) -> tuple[AssetInput, AssetInfo]:
        name, alias, columns = parse_input(text)
        info = self.asset(name)
        if info.manifest.kind != kind:
            raise BadInput(
                f"{name} is sealed {info.manifest.kind}.", expected=f"a sealed {kind}", hint="Tables: -i. Code: -c."
            )
        known = info.manifest.columns
        columns = picked_columns(text, known) if known else columns
        unknown = sorted(set(columns or ()) - set(known)) if known else []
        if unknown:
            raise UnknownName(
                f"{name} has no column {unknown[0]}.",
                found=", ".join(map(quoted, unknown)),
                expected=", ".join(map(quoted, known)),
                hint="A column whose name has a comma is put within quotes." if "," in text else "",
            )
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

    def _run_clients(self, request: StreamRequest) -> dict[str, AuthorityClient]:
        return {did: self._client(url, did) for did, url in request.spec.authorities()}

    def _chosen_urls(self, spec: StreamSpec) -> frozenset[str]:
        """The URLs of a spec's authorities at which this persona knows them: a group of its may reach these too."""
        places = self._places()
        return frozenset(url for did, url in spec.authorities() if url in places and places[url].did == did)


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
