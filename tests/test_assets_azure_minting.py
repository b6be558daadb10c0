"""Read passes as Azurite takes them: these parts, for reading, for a while; and what an authority cannot make one with."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import logging
import time
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pytest
from assets_kit import reader, seal_at
from azurite_kit import KEY, VARIABLES, Azurite, azurite, needs_azurite

from sls_jupyter.assets.azure.minting import KEY_SECONDS, Minter
from sls_jupyter.assets.azure.place import AzurePlace, parse_place
from sls_jupyter.assets.azure.read_pass import CheckedPass, ReadPass, sas_time
from sls_jupyter.assets.public_storage import public_opener
from sls_jupyter.assets.sealing import SealedAsset
from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.network import Http

__all__ = ["azurite"]
TABLE = pa.table({"x": range(5000), "kind": pa.array(["a", "b"] * 2500).dictionary_encode()})
OWN = parse_place("az://c-1@acct.blob.core.windows.net/some/asset")
PARTS = ["part-00000.parquet", "dictionary-00001.parquet"]


def parts_of(asset: SealedAsset) -> dict[str, int]:
    return {part.name: part.size for part in asset.manifest.parts}


def minted(asset: SealedAsset, seconds: int = 300) -> CheckedPass:
    """A pass as a guest has it after its checks."""
    place, now = parse_place(asset.manifest.storage), int(time.time())
    given = Minter().mint(place, list(parts_of(asset)), until=now + seconds)
    assert given is not None
    return given.check(place, parts_of(asset), now=now, most_seconds=3600, this_machine=True)


@needs_azurite
def test_a_guest_reads_with_a_pass_and_without_a_credential(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group has no environment of its own: what it needs to read comes with the keys."""
    asset = seal_at(f"az://{azurite.container()}/asset", TABLE, rows_per_part=2000)
    given = minted(asset)
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    opener = public_opener(asset.manifest.storage, parts_of(asset), given)
    assert reader(asset, open_part=opener).read_all().equals(TABLE)


@needs_azurite
def test_a_pass_opens_nothing_else(azurite: Azurite) -> None:
    """Neither a neighbour in the container, nor its list, nor a change to the very part."""
    container = azurite.container()
    asset, other = seal_at(f"az://{container}/one", TABLE), seal_at(f"az://{container}/two", TABLE)
    given, http = minted(asset), Http(anywhere=True)
    url = given.url_of(PARTS[0])
    query = url.partition("?")[2]
    assert parts_of(other)[PARTS[0]] > 0

    def status(method: str, url: str, **more: Any) -> int:
        return http.send(method, url, max_bytes=1 << 20, **more).status

    with contextlib.closing(http):
        assert status("GET", url) == 200
        assert status("GET", url.replace("/one/", "/two/")) == 403
        assert status("GET", url.replace(PARTS[0], PARTS[1])) == 403
        assert status("GET", f"{azurite.endpoint}/{container}?restype=container&comp=list&{query}") == 403
        assert status("DELETE", url) == 403
        assert status("PUT", url, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}) == 403
        assert status("GET", url.replace("sp=r", "sp=rd")) == 403


@needs_azurite
def test_a_pass_ends(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaked is worth nothing after a while; the reader is told no more than of any other failure."""
    asset = seal_at(f"az://{azurite.container()}/one", TABLE)
    given = minted(asset, seconds=1)
    url = given.url_of(PARTS[0])
    deadline = time.monotonic() + 60
    with contextlib.closing(Http(anywhere=True)) as http:
        while (status := http.send("GET", url, max_bytes=1 << 20).status) == 200 and time.monotonic() < deadline:
            time.sleep(0.2)
    assert status == 403
    with pytest.raises(Unavailable, match="cannot be used"):
        public_opener(asset.manifest.storage, parts_of(asset), given)(PARTS[0]).read()


@needs_azurite
def test_a_pass_is_in_no_log_and_no_error(azurite: Azurite, caplog: pytest.LogCaptureFixture) -> None:
    """The signature is looked for in all that is logged and raised here, at the finest level."""
    caplog.set_level(logging.DEBUG)
    asset = seal_at(f"az://{azurite.container()}/one", TABLE)
    given, sizes = minted(asset), parts_of(asset)
    signature = given.url_of(PARTS[0]).partition("sig=")[2]
    opener = public_opener(asset.manifest.storage, sizes, given)
    assert len(opener(PARTS[0]).read()) == sizes[PARTS[0]]
    container, path = asset.manifest.storage.removeprefix("az://").partition("@")[0], f"one/{PARTS[0]}"
    azurite.blob(container, path, b"short")
    with pytest.raises(Unavailable) as raised:
        opener(PARTS[0]).read()
    chain: BaseException | None = raised.value
    shown = caplog.text
    while chain is not None:
        shown += f"{chain!r} {chain} {vars(chain)}"
        chain = chain.__cause__ or chain.__context__
    from_log = Path(azurite.log).read_text(errors="replace")
    assert signature not in shown
    assert KEY not in shown
    assert signature.replace("%3D", "") in from_log or signature in from_log, "the search finds what is there"


@needs_azurite
def test_a_public_container_needs_no_pass(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner who publishes ciphertext says so in the authority's environment; nothing is guessed."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ANON", "true")
    assert Minter().mint(OWN, PARTS, until=int(time.time()) + 60) is None


@pytest.mark.parametrize(
    ("environ", "found"),
    [({"AZURE_STORAGE_ACCOUNT_NAME": "acct", "AZURE_STORAGE_SAS_TOKEN": "sig=CANARY"}, "a SAS for"),
     ({"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=other;AccountKey={KEY}"}, "other.blob"),
     ({"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://acct.blob.core.windows.net;SharedAccessSignature=CANARY"},
      "a SAS for")],
)  # fmt: skip
def test_what_cannot_make_a_pass(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], found: str) -> None:
    """A SAS signs nothing, and another account's key signs for that account."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(BadInput) as raised:
        Minter().mint(OWN, PARTS, until=int(time.time()) + 60)
    assert found in str(raised.value.found)
    assert "CANARY" not in str(raised.value)


class Entra:
    """Stands in for the login and for the storage's answer to it: Azure itself was not met."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[tuple[Any, Any]] = []
        self.fails = fails

    def __call__(self, *_: Any, **__: Any) -> Entra:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get_user_delegation_key(self, begins: Any, ends: Any) -> Any:
        from azure.storage.blob import UserDelegationKey

        self.asked.append((begins, ends))
        if self.fails is not None:
            raise self.fails
        key = UserDelegationKey()
        key.signed_oid = key.signed_tid = "1e0a1b1c-0000-4000-8000-00000000abcd"
        key.signed_start, key.signed_expiry = (one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in (begins, ends))
        key.signed_service, key.signed_version, key.value = "b", "2026-02-06", KEY
        return key


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch) -> Entra:
    made = Entra()
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", made)
    monkeypatch.setattr("azure.storage.blob.BlobServiceClient", made)
    return made


def mint(minter: Minter, place: AzurePlace = OWN, seconds: int = 600) -> ReadPass:
    given = minter.mint(place, PARTS, until=int(time.time()) + seconds)
    assert given is not None
    return given


def test_an_identity_signs_with_a_delegation_key(entra: Entra) -> None:
    """No account key lies anywhere: what a pass can do is what the identity may, and a guest accepts it."""
    given, now = mint(Minter()), int(time.time())
    checked = given.check(OWN, PARTS, now=now, most_seconds=3600, this_machine=False)
    words = given.query
    assert checked.url_of(PARTS[0]).startswith(f"https://{OWN.host}/c-1/some/asset/{PARTS[0]}?")
    assert (words["sr"], words["sp"], words["spr"], words["skv"]) == ("b", "r", "https", "2026-02-06")
    assert sas_time(now) < words["se"] <= sas_time(now + 601) < words["ske"]


def test_the_signature_is_over_the_words_that_azure_documents(entra: Entra) -> None:
    """Computed again by hand from the documentation of a user delegation SAS, with another part's it differs."""
    given = mint(Minter())
    words = given.query
    made = []
    for part in PARTS:
        lines = [words["sp"], "", words["se"], f"/blob/acct/c-1/some/asset/{part}"]
        lines += [words[name] for name in ("skoid", "sktid", "skt", "ske", "sks", "skv")]
        lines += [""] * 6  # saoid, suoid, scid, skdutid, sduoid, sip
        lines += [words["spr"], words["sv"], words["sr"]]
        lines += [""] * 9  # snapshot, encryption scope, headers, queries, rscc, rscd, rsce, rscl, rsct
        text = "\n".join(lines).encode()
        made.append(base64.b64encode(hmac.new(base64.b64decode(KEY), text, hashlib.sha256).digest()).decode())
    assert made == [given.signatures[part] for part in PARTS]
    assert made[0] != made[1]


def test_a_delegation_key_is_asked_for_once(entra: Entra) -> None:
    """Many runs of an hour need one call, and a run that lasts longer than the key gets a new one."""
    minter = Minter()
    assert mint(minter).query["ske"] == mint(minter).query["ske"]
    assert len(entra.asked) == 1
    mint(minter, seconds=KEY_SECONDS + 3600)
    assert len(entra.asked) == 2
    assert "Key" not in repr(minter)


def test_nobody_is_logged_in(entra: Entra) -> None:
    """The owner reads what to do; what the library said, with its addresses and tokens, is not passed on."""
    entra.fails = RuntimeError("token CANARY for https://login.example")
    with pytest.raises(SlsError) as raised:
        mint(Minter())
    assert "az login" in raised.value.hint
    assert "CANARY" not in f"{raised.value} {raised.value.found}"
