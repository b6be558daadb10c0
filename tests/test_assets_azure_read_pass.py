"""A read pass opens one asset's parts, for a while, where its signed manifest says; what else one may say is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sls_jupyter.assets.azure.place import parse_place
from sls_jupyter.assets.azure.read_pass import CheckedPass, ReadPass, sas_time
from sls_jupyter.errors import MalformedDocument, VerificationError

NOW = 1_790_000_000
PART = "part-00000.parquet"
PLACE = parse_place("abfs://c-1@acct.dfs.core.windows.net/some/asset")
EMULATED = parse_place("az://c-1@acct.blob.localhost/some/asset")
SIGNATURE = "SECRETsecretSECRETsecretSECRETsecretSECRET/+1="[-44:]
WORDS = {"sv": "2026-02-06", "sr": "b", "sp": "r", "se": sas_time(NOW + 600), "spr": "https"}
DELEGATED = {
    "skoid": "1e0a1b1c-0000-4000-8000-00000000abcd", "sktid": "1e0a1b1c-0000-4000-8000-00000000abcd",
    "skt": sas_time(NOW), "ske": sas_time(NOW + 9000), "sks": "b", "skv": "2026-02-06",
}  # fmt: skip


def make(endpoint: str = f"https://{PLACE.host}", parts: tuple[str, ...] = (PART,), **words: str) -> ReadPass:
    query = {name: text for name, text in {**WORDS, **words}.items() if text}
    return ReadPass(endpoint=endpoint, query=query, signatures=dict.fromkeys(parts, SIGNATURE))


def check(given: ReadPass, place: object = PLACE, parts: tuple[str, ...] = (PART,), local: bool = False) -> CheckedPass:
    return given.check(place, parts, now=NOW, most_seconds=3600, this_machine=local)  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{}, DELEGATED, {"st": sas_time(NOW)}])
def test_a_pass_for_an_asset_gives_its_urls(more: dict[str, str]) -> None:
    """The blob service of the manifest's account, the asset's own path, and the signature of that very part."""
    url = check(make(**more)).url_of(PART)
    assert url.startswith(f"https://acct.blob.core.windows.net/c-1/some/asset/{PART}?")
    assert url.endswith("&sig=" + SIGNATURE.replace("/", "%2F").replace("+", "%2B").replace("=", "%3D"))
    with pytest.raises(KeyError):
        check(make()).url_of("part-00001.parquet")


@pytest.mark.parametrize(
    "endpoint",
    ["https://other.blob.core.windows.net", "https://evil.example", "http://acct.blob.core.windows.net",
     "https://acct.blob.core.windows.net:8443", "https://acct.blob.core.windows.net/x", "https://acct.blob.core.windows.net@evil.example",
     "http://127.0.0.1:10000/acct", "http://localhost/acct", "https://169.254.169.254", "https://acct.dfs.core.windows.net",
     "https://acct.blob.core.windows.net.evil.example", "file:///etc", "https://acct.blob.core.windows.net?x", ""],
)  # fmt: skip
def test_a_pass_leads_to_the_manifests_account_only(endpoint: str) -> None:
    """An authority that was taken over makes nobody's group fetch from hosts of its choice."""
    for local in (False, True):
        with pytest.raises(VerificationError, match="not for this asset"):
            check(make(endpoint), local=local)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:10000/acct", "http://localhost:1/acct", "http://[::1]:10000/acct"]
)
def test_an_emulator_is_asked_on_this_machine_only(endpoint: str) -> None:
    """And only by who has their authority here too, and has said so."""
    given = make(endpoint, spr="https,http")
    assert check(given, EMULATED, local=True).on_this_machine
    with pytest.raises(VerificationError):
        check(given, EMULATED, local=False)
    with pytest.raises(VerificationError):
        check(given, PLACE, local=True)


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:10000/acct/x", "http://127.0.0.1:10000", "http://127.0.0.1:8888/api", "http://10.0.0.1:10000/acct",
     "http://127.0.0.1.evil.example/acct", "http://evil.example@127.0.0.1/acct", "http://127.0.0.1:10000/acct?x",
     "http://169.254.169.254/acct", "http://evil.example/acct", "file://127.0.0.1/acct", "http://0.0.0.0:10000/acct"],
)  # fmt: skip
def test_another_service_of_this_machine_is_not_asked(endpoint: str) -> None:
    """Beside an emulator, a machine has other services: none is reached by an owner's word."""
    with pytest.raises(VerificationError):
        check(make(endpoint, spr="https,http"), EMULATED, local=True)


@pytest.mark.parametrize(
    "words",
    [{"sp": "rl"}, {"sp": "rwd"}, {"sr": "c"}, {"sr": "d"}, {"spr": "https,http"}, {"sr": ""}, {"sp": ""}, {"se": ""},
     {"spr": ""}, {"sv": ""}, {"sv": "x"}, {"si": "policy"}, {"sip": "10.0.0.1"}, {"ss": "b"}, {"srt": "sco"}, {"rscd": "x"},
     {"comp": "list"}, {"restype": "container"}, {"skoid": "x&sr=c"}, {"sig": SIGNATURE}, {"se": "2026-99-99T00:00:00Z"},
     {"se": sas_time(NOW)}, {"se": sas_time(NOW - 1)}, {"se": sas_time(NOW + 3601)}, {"se": sas_time(NOW + 10**8)}],
)  # fmt: skip
def test_a_pass_for_more_or_longer_is_refused(words: dict[str, str]) -> None:
    """An owner who hands out a whole container, for a year, is told so and not used."""
    with pytest.raises(VerificationError, match="not for this asset"):
        check(make(**words))


@pytest.mark.parametrize("parts", [(), (PART, "part-00001.parquet"), ("dictionary-00000.parquet",)])
def test_a_pass_is_for_all_parts_and_no_others(parts: tuple[str, ...]) -> None:
    """A run does not begin that would fail half way, nor with what is not of the asset."""
    with pytest.raises(VerificationError):
        check(make(parts=parts))


@pytest.mark.parametrize(
    "value",
    [{}, {"endpoint": "x", "query": {}}, {"endpoint": "x", "query": {}, "signatures": {"../x": SIGNATURE}},
     {"endpoint": "x", "query": {}, "signatures": {PART: "short"}}, {"endpoint": "x", "query": {"a": "b" * 101}, "signatures": {}},
     {"endpoint": "x" * 201, "query": {}, "signatures": {}}, {"endpoint": "x", "query": {f"q{i}": "" for i in range(99)}, "signatures": {}}],
)  # fmt: skip
def test_what_is_no_pass(value: object) -> None:
    """What an authority sends is read within bounds."""
    with pytest.raises(MalformedDocument):
        ReadPass.from_json(value)


def test_a_pass_is_shown_nowhere() -> None:
    """A notebook prints what a cell ends with, and a log what failed."""
    given, checked = make(**DELEGATED), check(make(**DELEGATED))
    shown = f"{given!r} {given} {checked!r} {checked} {[given]} {(checked,)}"
    assert SIGNATURE not in shown
    assert WORDS["se"] not in shown
    for wrong in (make("https://evil.example"), make(sp="rw"), make(se=sas_time(NOW - 1))):
        with pytest.raises(VerificationError) as raised:
            check(wrong)
        assert SIGNATURE not in f"{raised.value} {raised.value.found} {raised.value.expected} {raised.value.detail}"


def test_the_example_in_the_specification_is_a_pass() -> None:
    """Who builds an authority from the text makes what a guest accepts."""
    page = (Path(__file__).parents[1] / "docs" / "specs" / "storage.md").read_text()
    example = json.loads(page.partition("```json\n")[2].partition("```")[0])
    place = parse_place("az://sealed@hospital.blob.core.windows.net/patients")
    now = 1_795_720_000
    given = ReadPass.from_json({**example, "query": {**example["query"], "se": sas_time(now + 60)}})
    assert given.check(place, [PART], now=now, most_seconds=3600, this_machine=False).url_of(PART).count("?") == 1
