"""Where a guest reads from: what the manifest says, with what the authority gave, judged before anything is fetched."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from sls_jupyter.assets.azure.place import parse_place
from sls_jupyter.assets.azure.read_pass import ReadPass, sas_time
from sls_jupyter.errors import BadInput, VerificationError
from sls_jupyter.guest.parts import opener

PART = "part-00000.parquet"
EMULATED = "az://c-1@acct.blob.localhost/x"


def manifest(storage: str) -> Any:
    return SimpleNamespace(storage=storage, digest="sha256:" + "0" * 64, parts=(SimpleNamespace(name=PART, size=8),))


def client(url: str = "http://127.0.0.1:8000", chosen: bool = True) -> Any:
    return SimpleNamespace(url=url, chosen=chosen)


def given(storage: str = EMULATED, seconds: int = 60, local: bool = True) -> ReadPass:
    place = parse_place(storage)
    endpoint = f"http://127.0.0.1:10000/{place.account}" if local else f"https://{place.host}"
    query = {"sv": "2026-02-06", "sr": "b", "sp": "r", "spr": "https", "se": sas_time(int(time.time()) + seconds)}
    return ReadPass(endpoint=endpoint, query=query, signatures={PART: "A" * 43 + "="})


def test_an_emulator_is_read_where_requester_and_authority_share_a_machine() -> None:
    """The way in which everything is tried on a laptop."""
    assert callable(opener(client(), manifest(EMULATED), given(), wall_seconds=60))


@pytest.mark.parametrize(
    "who", [client(chosen=False), client("https://hospital.example"), client("https://localhost.evil.example")]
)
def test_an_owner_elsewhere_names_no_service_of_this_machine(who: Any) -> None:
    """A group on the analyst's laptop is not to call the analyst's own services by the word of an owner."""
    with pytest.raises(VerificationError, match="not for this asset"):
        opener(who, manifest(EMULATED), given(), wall_seconds=60)


@pytest.mark.parametrize("storage", ["file:///assets/x", "https://host.example/x", "s3://bucket/x"])
def test_a_pass_for_a_place_that_takes_none_is_refused(storage: str) -> None:
    """What an authority says beside the manifest changes nothing about where parts are read."""
    with pytest.raises(VerificationError, match="takes none"):
        opener(client(), manifest(storage), given(), wall_seconds=60)


def test_without_a_pass_an_emulator_is_not_asked() -> None:
    """Its address is in the pass alone."""
    with pytest.raises(BadInput, match="not read from there"):
        opener(client(), manifest(EMULATED), wall_seconds=60)


def test_a_table_without_columns_has_nothing_to_read() -> None:
    """It has no parts, so nobody needs a pass for it, wherever it is said to lie."""
    empty = SimpleNamespace(storage=EMULATED, digest="sha256:" + "0" * 64, parts=())
    with pytest.raises(KeyError):
        opener(client(), empty, wall_seconds=60)(PART)


@pytest.mark.parametrize(("seconds", "wall"), [(3600 + 61 + 30, 60), (10**7, 3600), (-1, 3600)])
def test_a_pass_ends_with_the_run(seconds: int, wall: int) -> None:
    """An hour after the longest that the run may take it has to be over."""
    storage = "az://c-1@acct.blob.core.windows.net/x"
    assert callable(opener(client(), manifest(storage), given(storage, 3600 + wall - 30, False), wall_seconds=wall))
    with pytest.raises(VerificationError, match="not for this asset"):
        opener(client(), manifest(storage), given(storage, seconds, False), wall_seconds=wall)
