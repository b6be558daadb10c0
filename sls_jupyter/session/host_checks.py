"""What a run of this persona rests on, on a host on Azure: collected here, tried by :mod:`sls_jupyter.hosts.aci`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from sls_jupyter.assets.azure.place import is_azure
from sls_jupyter.assets.public_storage import public_opener
from sls_jupyter.contract.group import ContainerGroup, group_for
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import MalformedDocument, SlsError, Unavailable
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.preflight import ReadLayers, Rests, preflight
from sls_jupyter.hosts.aci.probe import Probe, Seen
from sls_jupyter.hosts.aci.sweep import Leftover, delete, leftovers
from sls_jupyter.hosts.doctor import Finding
from sls_jupyter.identity import Home, save_file, write_whole
from sls_jupyter.network import within
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.safestream.request import StreamRequest
from sls_jupyter.session.images import image_in_registry
from sls_jupyter.session.preparing import Preparing

MAX_SEEN_BYTES = 2**18
READ_SECONDS = 10.0  # of a first look at a place


def check_host(
    session: Preparing,
    name: str,
    request: StreamRequest | None = None,
    *,
    now: datetime | None = None,
    read_layers: ReadLayers = lambda reference: image_in_registry(reference).layers,
) -> tuple[Finding, ...]:
    """Try everything that a run on this host rests on; nothing is started, asked for or logged.

    Args:
        request: whose group, authorities and assets are tried; without one, those of a usual run over nothing.
        read_layers: an argument for tests.

    Raises:
        UnknownName: no host on Azure has that name.
    """
    host = session.aci_host(name)
    image = host.settings.image.image()
    group = session.sample_group(image) if request is None else group_for(request.spec, image)
    rests = _rests(session, host, request, read_layers)
    return preflight(host, group, rests, now or datetime.now(UTC))


def _rests(session: Preparing, host: AciHost, request: StreamRequest | None, read_layers: ReadLayers) -> Rests:
    seen, elsewhere = read_seen(session.home, host.name), _records_elsewhere(session, host)
    if request is None:
        return Rests(read_layers=read_layers, seen=seen, elsewhere=elsewhere)
    names, infos = (
        session.names_in(request.spec),
        [(item.alias, session.asset(item.asset)) for item in request.spec.inputs],
    )
    clients = session._run_clients(request)  # a session's own room
    return Rests(
        read_layers=read_layers,
        seen=seen,
        elsewhere=elsewhere,
        authorities=tuple((names.get(did, did), url, clients[did].about) for did, url in request.spec.authorities()),
        storage=tuple(
            (
                alias,
                info.manifest.storage,
                partial(_look, info.manifest.storage, {one.name: one.size for one in info.manifest.parts}),
            )
            for alias, info in infos
            if not info.manifest.storage.startswith("file:")  # those its authority serves
        ),
        tees=tuple((alias, info.policy.tees) for alias, info in infos),
        bulletins=tuple((alias, info.policy.bulletins) for alias, info in infos),
        demands=tuple(words for alias, info in infos for words in _demands(alias, info.policy)),
    )


def _demands(alias: str, policy: OwnerPolicy) -> Iterator[str]:
    """What an owner demands of a SEV-SNP machine beside bulletins."""
    for kind in policy.minimum_tcb:
        if kind.startswith("sev-snp"):
            yield f"{alias}'s minimum TCB of {kind}"
    if policy.mitigations:
        yield f"{alias}'s mitigations {', '.join(map(str, policy.mitigations))}"


def _look(url: str, sizes: dict[str, int]) -> None:
    """Read the beginning of one part as a group would, but without a pass: of a private container that says nothing.

    Raises:
        BadInput, Unavailable: it cannot be read.
    """
    part = next(iter(sizes), None)
    if part is None:
        return
    try:
        with within(READ_SECONDS):
            opened: Callable[[str], BinaryIO] = public_opener(url, sizes)
            with opened(part) as file:
                if len(file.read(4)) != 4:
                    raise Unavailable("A sealed part is empty.", found=url[:200])
    except Unavailable as error:
        if not is_azure(url):
            raise
        raise Unavailable(
            "not checked: nobody can read it without a pass, the owner's authority makes a read pass at release, and an"
            " authority cannot be asked before whether it can.",
            found=f"as nobody: {error.sentence}",
            hint="Ask its owner whether the authority has a credential for the container; the release says so if it has not.",
        ) from None


# --- records of what the platform brings -----------------------------------------------------------


def _seen_path(home: Home, name: str) -> Path:
    return home.folder("hosts") / f"{name}-seen.json"


def read_seen(home: Home, name: str) -> Seen | None:
    """The last record of a host; ``None`` where there is none that can be read."""
    path = _seen_path(home, name)
    try:
        return Seen.read(path.read_bytes(), max_bytes=MAX_SEEN_BYTES) if path.exists() else None
    except (SlsError, ValidationError, MalformedDocument):
        return None


def _records_elsewhere(session: Preparing, host: AciHost) -> tuple[tuple[str, Seen], ...]:
    """What the records of the persona's other hosts on Azure say."""
    others = (name for name, one in session.hosts.items() if isinstance(one, AciHost) and name != host.name)
    return tuple((name, seen) for name in others if (seen := read_seen(session.home, name)) is not None)


def record_host(session: Preparing, name: str, file: str = "", tell: Callable[[str], None] = lambda _: None) -> Seen:
    """Find out what the platform brings to a container today: a group that is refused on purpose, and deleted.

    Args:
        file: where a copy of the record goes, for others; it names no person, no address and no value.

    Raises:
        what a launch raises; the group is deleted, or the error says that it may still run.
    """
    host = session.aci_host(name)
    image = host.settings.image.image()
    group, other = session.sample_group(image), session.sample_group(image)
    seen = Probe(host).run(group, other, tell)
    data = canonical_json(seen.model_dump(mode="json"))
    write_whole(_seen_path(session.home, name), data)
    if file:
        save_file(file, data, "record")
    return seen


# --- what is left behind --------------------------------------------------------------------------


def left_behind(session: Preparing, name: str, older: timedelta = timedelta(0)) -> tuple[Leftover, ...]:
    """The groups with our tag in a host's resource group, the oldest first; runs that go on are among them."""
    return leftovers(session.aci_host(name).arm, datetime.now(UTC), older)


def sweep(session: Preparing, name: str, found: Leftover) -> str:
    """Delete one of them; "" when it is gone, else why it may still run."""
    host = session.aci_host(name)
    return delete(host.arm, found, host.pace.poll)


def exported(session: Preparing, name: str, group: ContainerGroup, form: str) -> tuple[str, str]:
    """The name of a group and its template as a file's text, as it would be launched on a host but for its launch id.

    Args:
        form: ``arm`` or ``bicep``.
    """
    from sls_jupyter.hosts.aci.export import arm_text, bicep_text
    from sls_jupyter.hosts.aci.template import Deployment, RenderedPolicy, group_name, resource, spec_digest_of

    settings = session.aci_host(name).settings
    spec = spec_digest_of(group)
    place = Deployment(group_name(spec), settings.region, spec, pull_identity=settings.pull_identity)
    body = resource(RenderedPolicy.of(group), place)
    return place.name, (arm_text if form == "arm" else bicep_text)(place.name, body)
