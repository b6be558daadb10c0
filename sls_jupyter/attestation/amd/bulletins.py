"""AMD's security bulletins about SEV-SNP, as a dated table: what each asks of a machine, as far as a report shows it.

Only rows marked ``default`` refuse without being asked: they are values read in AMD's bulletin, and machines that Azure
gives out meet them. Everything else is told, and refuses where a relying party demands the bulletin by its name. A value
marked ``second_hand`` was read in another public verifier and not in the bulletin itself.

Not checked, because a report does not show it: whether the operating system of the host was updated, too.

The table is ``attestation/data/amd_bulletins.json``; every bulletin names its source there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from pydantic import Field

from sls_jupyter.attestation.claims import Claims
from sls_jupyter.documents import Model

MAX_AGE_DAYS = 180  # a table that is older says so
MITIGATION_VERSION = 5  # from this report version on there are mitigation vectors


class Row(Model):
    """What a bulletin asks of one product, or of some of its processors."""

    product: str
    cpus: tuple[str, ...] = ()  # family, model and stepping (``19-01-01``); empty: every one of the product
    tcb: dict[str, int] = Field(default_factory=dict)  # lowest value of each component
    mitigations: tuple[int, ...] = ()  # bits of both mitigation vectors
    platform_info: tuple[int, ...] = ()  # bits
    default: bool = False  # refuses without being asked
    second_hand: bool = False

    def faults(self, claims: Claims) -> Iterator[str]:
        """What of it a machine does not meet, in words."""
        yield from short_components(claims, self.tcb)
        yield from missing_mitigations(claims, self.mitigations)
        missing = [bit for bit in self.platform_info if not int(claims.platform_info, 16) >> bit & 1]
        if missing:
            yield f"bit {missing[0]} of PLATFORM_INFO is not set"


class Bulletin(Model):
    """One bulletin."""

    id: str
    date: str
    cves: tuple[str, ...]
    about: str
    rows: tuple[Row, ...]
    unaffected: tuple[str, ...]  # products that it does not ask anything of
    second_hand: bool  # all of its values were read elsewhere
    source: str

    def faults(self, claims: Claims) -> tuple[str, ...]:
        """Why this machine cannot be said to meet it; nothing if it can."""
        rows = [row for row in self.rows if row.product == claims.product]
        general, particular = [row for row in rows if not row.cpus], [row for row in rows if row.cpus]
        mine = [row for row in particular if claims.cpuid in row.cpus]
        found = tuple(fault for row in (*general, *mine) for fault in row.faults(claims))
        if particular and not mine:
            who = f"the processor {claims.cpuid}" if claims.cpuid else "a report that names no processor"
            return (*found, f"what it asks of {who} is not in the table")
        if not rows and claims.product not in self.unaffected:
            return (f"what it asks of {claims.product} is not in the table",)
        return found

    def is_second_hand(self, claims: Claims) -> bool:
        """Whether a value for this product was not read in the bulletin itself."""
        return self.second_hand or any(row.second_hand for row in self.rows if row.product == claims.product)


class BulletinTable(Model):
    """All of them, in the order of their dates."""

    as_of: str
    bulletins: tuple[Bulletin, ...]

    def named(self, name: str) -> Bulletin | None:
        """The bulletin of that name."""
        return next((item for item in self.bulletins if item.id == name), None)

    def age_note(self, now: datetime) -> str:
        """A sentence, if the table is older than it should be at that time."""
        days = (now.astimezone(UTC).date() - date.fromisoformat(self.as_of)).days
        if days <= MAX_AGE_DAYS:
            return ""
        return f"The table of AMD's bulletins is {days} days old ({self.as_of}); a newer sls-jupyter may know more of them."


def short_components(claims: Claims, floor: Mapping[str, int]) -> Iterator[str]:
    """Each component that is too low in the reported, the committed or the launch TCB, and by how much."""
    tcbs = {"reported": claims.tcb, "committed": claims.committed_tcb, "launch": claims.launch_tcb}
    for name, least in floor.items():
        low = {which: tcb.get(name) for which, tcb in tcbs.items() if tcb.get(name, -1) < least}
        values: dict[int | None, list[str]] = {}
        for which, value in low.items():
            values.setdefault(value, []).append(which)
        for value, which_ones in values.items():
            where = "" if len(which_ones) == len(tcbs) else f" ({' and '.join(which_ones)})"
            yield f"{name} is missing{where}" if value is None else f"{name} {value}{where} is {least - value} too low"


def missing_mitigations(claims: Claims, bits: tuple[int, ...]) -> Iterator[str]:
    """Each bit that is not set at launch and now."""
    if bits and claims.report_version < MITIGATION_VERSION:
        yield f"a report of version {claims.report_version} does not tell of mitigation {', '.join(map(str, bits))}"
        return
    missing = [str(bit) for bit in bits if not int(claims.mitigations, 16) >> bit & 1]
    if missing:
        yield f"mitigation {', '.join(missing)} is not in place"


@cache
def bulletin_table() -> BulletinTable:
    """The table that is shipped with this version."""
    data = files("sls_jupyter.attestation").joinpath("data/amd_bulletins.json").read_bytes()
    return BulletinTable.model_validate_json(data)


def default_floors() -> Mapping[str, Mapping[str, int]]:
    """The floors that refuse without being asked, by kind and product (``sev-snp/Milan``)."""
    floors: dict[str, dict[str, int]] = {}
    for bulletin in bulletin_table().bulletins:
        for row in bulletin.rows:
            for name, least in row.tcb.items() if row.default else ():
                floor = floors.setdefault(f"sev-snp/{row.product}", {})
                floor[name] = max(least, floor.get(name, 0))
    return MappingProxyType({key: MappingProxyType(floor) for key, floor in floors.items()})


def default_source() -> str:
    """The bulletins that those floors come from, with their dates."""
    named = [item for item in bulletin_table().bulletins if any(row.default for row in item.rows)]
    return ", ".join(f"{item.id} of {item.date}" for item in named)
