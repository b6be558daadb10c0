"""The vectors of ``docs/specs``, made anew with the test keys that lie in them: for when a signed document gets a new version.

One run goes through: the owner's policy, the three sealed assets (whose parts stay as they are), the contract, its
approval, its grant, a refused and a good release over HTTP, a result. Then the examples in the texts are written anew,
each value abbreviated as it was. Run as a script, in the tests folder; the receipt's vector is ``receipt_kit``'s.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import contract_kit
import httpx
from builders import CODE, IMAGE, NOW, World
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.authority import catalogue
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.protocol import release_info
from sls_jupyter.authority.verdicts import record_verdict
from sls_jupyter.contract import cce
from sls_jupyter.contract.cells import CellGrant, CellOrder, CellTerms
from sls_jupyter.contract.grants import Approval, Denial, Grant
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.seccomp import program_profile_bytes
from sls_jupyter.contract.spec import Recipient, SessionTerms, StreamSpec
from sls_jupyter.documents import Document, Envelope, b64decode, b64encode, canonical_json, digest, lp, sign, verify
from sls_jupyter.guest.bundle import result_info
from sls_jupyter.hpke import HpkeKey, seal
from sls_jupyter.identity import Appointment, Contact, Identity, SigningKey, verify_signature
from sls_jupyter.policy.model import OwnerPolicy

VECTORS = Path(__file__).parent / "vectors"
SPECS = Path(__file__).parents[1] / "docs" / "specs"


# --- files ----------------------------------------------------------------------------------------


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def save(name: str, value: Any) -> None:
    """In the style that the file has."""
    path = VECTORS / name
    text, old = path.read_text(encoding="utf-8"), json.loads(path.read_text(encoding="utf-8"))
    styles = [{"indent": indent, "ensure_ascii": ascii_} for indent in (1, 2, 4) for ascii_ in (True, False)]
    style = next(one for one in styles if json.dumps(old, **one) + "\n" == text)  # type: ignore[arg-type]
    path.write_text(json.dumps(value, **style) + "\n", encoding="utf-8")  # type: ignore[arg-type]


def payload_of(envelope: str) -> dict[str, Any]:
    return dict(json.loads(b64decode(json.loads(envelope)["payload"])))


# --- one run --------------------------------------------------------------------------------------


class Keys:
    """The people of ``signing.json``, with the HPKE keys of ``messages.json``."""

    def __init__(self) -> None:
        private = {
            one["to"]: HpkeKey(bytes.fromhex(one["private_key"]))
            for one in load("key-release/messages.json")["messages"]
        }
        seeds = {one["name"]: bytes.fromhex(one["seed"]) for one in load("documents/signing.json")["keys"]}
        signing = {name: SigningKey(Ed25519PrivateKey.from_private_bytes(seed)) for name, seed in seeds.items()}
        self.hospital = Identity("hospital", signing["hospital"], HpkeKey.generate())
        self.analyst = Identity("analyst", signing["analyst"], private["recipient"])
        self.authority = Identity("authority", signing["authority"], private["authority"])
        self.guest = private["guest"]


def remake_documents(keys: Keys) -> tuple[OwnerPolicy, dict[str, bytes], StreamSpec]:
    """Policy, manifests by folder, and spec, each with today's fields; new fields get their values here."""
    old = {one["name"]: payload_of(one["envelope"]) for one in load("documents/signing.json")["envelopes"]}
    contact = Recipient.of(sign(keys.analyst.contact(), keys.analyst))
    policy = OwnerPolicy.from_json(old["OwnerPolicy"] | {"recipient_keys": {}})
    manifests = {}
    for folder in ("table", "code", "confidential"):
        was = payload_of((VECTORS / "sealed-asset" / folder / "manifest.json").read_text())
        manifests[folder] = sign(AssetManifest.from_json(was | {"policy": policy.digest}), keys.hospital)
    asset = digest(Envelope.parse(manifests["table"], AssetManifest.payload_type).payload)
    (item,) = old["StreamSpec"]["inputs"]
    people = [contact.model_dump(mode="json")]
    spec = StreamSpec.from_json(old["StreamSpec"] | {"inputs": [item | {"asset": asset}], "recipients": people})
    return policy, manifests, spec


def world_of(keys: Keys, folder: Path) -> World:
    world = World(folder, owner=keys.hospital, analyst=keys.analyst)
    object.__setattr__(world.authority, "identity", keys.authority)
    return world


def main() -> None:
    keys = Keys()
    policy, manifests, spec = remake_documents(keys)
    with tempfile.TemporaryDirectory() as folder:
        world = world_of(keys, Path(folder))
        sealed = _write_assets(world, keys, policy, manifests)
        grant = _granted(world, keys, spec)
        _write_signing(keys, policy, manifests["table"], spec, grant)
        _write_release(world, keys, spec)
        _write_messages(keys, spec, sealed)
        world.close()
    _write_cce()
    write_texts()


def _write_assets(world: World, keys: Keys, policy: OwnerPolicy, manifests: Mapping[str, bytes]) -> bytes:
    """Write the manifests, publish the table; returns its sealed keys."""
    contents = load("sealed-asset/contents.json")
    for folder, envelope in manifests.items():
        (VECTORS / "sealed-asset" / folder / "manifest.json").write_bytes(envelope)
        contents[folder]["id"] = digest(Envelope.parse(envelope, AssetManifest.payload_type).payload)
    save("sealed-asset/contents.json", contents)
    masters = {name: b64decode(key) for name, key in contents["table"]["keys"].items()}
    sealed = catalogue.seal_keys(keys.authority.hpke.public_bytes, contents["table"]["id"], masters)
    catalogue.publish(world.authority, manifests["table"], sign(policy, keys.hospital), None, sealed)
    return sealed


def _granted(world: World, keys: Keys, spec: StreamSpec) -> Grant:
    parameters = b64decode(PARAMETERS) if digest(b64decode(PARAMETERS)) == spec.parameters else None
    world.submit(spec, code=_code_of(spec), parameters=parameters)
    record_verdict(
        world.authority, keys.hospital.did, world.approval(spec, reason="reviewed, aggregates only"), approved=True
    )
    world.clock.seconds = NOW + 60
    (envelope,) = world.submit(spec, code=_code_of(spec), parameters=parameters).grants
    return verify(envelope, Grant, verify_signature, did=keys.authority.did)


PARAMETERS = b64encode(b'{"frames":{},"values":{}}')


def _code_of(spec: StreamSpec) -> str:
    return next(text for text in (CODE, CODE.strip()) if digest(text.encode()) == spec.code)


def _write_signing(keys: Keys, policy: OwnerPolicy, manifest: bytes, spec: StreamSpec, grant: Grant) -> None:
    told = load("documents/signing.json")
    old = {one["name"]: payload_of(one["envelope"]) for one in told["envelopes"]}
    documents: dict[str, tuple[Document, Identity]] = {
        "Contact": (Contact.from_json(old["Contact"]), keys.analyst),
        "Appointment": (Appointment(owner=keys.hospital.did, authority=keys.authority.did), keys.hospital),
        "OwnerPolicy": (policy, keys.hospital),
        "AssetManifest": (
            AssetManifest.parse(Envelope.parse(manifest, AssetManifest.payload_type).payload),
            keys.hospital,
        ),
        "StreamSpec": (spec, keys.analyst),
        "Approval": (Approval.from_json(old["Approval"] | {"terms": spec.terms}), keys.hospital),
        "Denial": (Denial.from_json(old["Denial"] | {"terms": spec.terms}), keys.hospital),
        "Grant": (grant, keys.authority),
        **_of_session(keys, spec, grant),
    }
    missing = documents.keys() - old.keys()
    told["envelopes"] += [{"name": name, "signer": documents[name][1].did} for name in sorted(missing)]
    for one in told["envelopes"]:
        document, signer = documents[one["name"]]
        one |= {"digest": document.digest, "envelope": sign(document, signer).decode()}
        one |= {"terms": spec.terms} if "terms" in one else {}
    save("documents/signing.json", told)


def _of_session(keys: Keys, run: StreamSpec, grant: Grant) -> dict[str, tuple[Document, Identity]]:
    """The second cell of a session on the terms of the run: its order and its grant."""
    fields = {"code": None, "parameters": None, "outputs": (), "session": SessionTerms(cells=40)}
    session = run.model_copy(update=fields)
    terms = CellTerms(code=run.code or "", parameters=run.parameters or "", outputs=run.outputs)
    first = CellOrder(
        requester=run.requester, session=session.digest, previous=None, cells=(terms.model_copy(update={"outputs": ()}),),
        issued_at=NOW, expires_at=NOW + 3600,
    )  # fmt: skip
    second = first.model_copy(update={"previous": first.digest, "cells": (*first.cells, terms)})
    times = {"issued_at": grant.issued_at, "expires_at": second.expires_at}
    promised = CellGrant(
        authority=keys.authority.did,
        session=session.digest,
        order=second.digest,
        obligations=grant.obligations,
        **times,
    )
    return {"CellOrder": (second, keys.analyst), "CellGrant": (promised, keys.authority)}


def _write_release(world: World, keys: Keys, spec: StreamSpec) -> None:
    """One refused and one good release over HTTP."""
    told, public = load("key-release/release.json"), keys.guest.public_bytes
    asset = spec.inputs[0].asset
    server = AuthorityServer(world.authority, listen(0))
    server.start()

    def attempt(**changes: Any) -> tuple[dict[str, str], httpx.Response]:
        nonce = httpx.post(f"{server.url}/v1/challenges/{spec.digest}", trust_env=False).json()["nonce"]
        evidence = world.evidence(release_report_data(bytes.fromhex(nonce), public), spec, **changes)
        request = {"spec": sign(spec, keys.analyst).decode(), "asset": asset, "nonce": nonce}
        request |= {"hpke_public_key": b64encode(public), "evidence": evidence.encode().decode()}
        return request, httpx.post(f"{server.url}/v1/release", json=request, trust_env=False)

    _, refused = attempt(host_data=bytes(32))
    request, answer = attempt()
    server.stop()
    policy = cce.render(group_for(spec, IMAGE))
    (VECTORS / "key-release" / "policy.rego").write_bytes(policy)
    info = release_info(spec.digest, asset)
    sealed = b64decode(answer.json()["sealed_keys"])
    bound = release_report_data(bytes.fromhex(request["nonce"]), public)
    told |= {"spec_digest": spec.digest, "report_data": bound.hex(), "host_data": cce.host_data(policy).hex()}
    told |= {"info": info.hex(), "request": request, "answer": answer.json()}
    told |= {"opened": json.loads(keys.guest.open(info, sealed))}
    told["refused"] |= {"status": refused.status_code, "answer": refused.json()}
    save("key-release/release.json", told)
    bindings = load("key-release/bindings.json")
    for one in bindings["bindings"]:
        if one["use"] == "release":
            one |= {"parts": [request["nonce"], public.hex()], "report_data": bound.hex()}
    save("key-release/bindings.json", bindings)


def _write_messages(keys: Keys, spec: StreamSpec, published: bytes) -> None:
    told, release = load("key-release/messages.json"), load("key-release/release.json")
    asset = spec.inputs[0].asset
    for one in told["messages"]:
        if one["use"] == "publish":
            one |= {"parts": [asset], "sealed": b64encode(published)}
        elif one["use"] == "release":
            one |= {"parts": [spec.digest, asset], "sealed": release["answer"]["sealed_keys"]}
            one |= {"opened": b64encode(canonical_json(release["opened"]))}
        else:
            info = result_info(spec.digest, keys.analyst.did)
            sealed = seal(keys.analyst.hpke.public_bytes, info, b64decode(one["opened"]))
            one |= {"parts": [spec.digest, keys.analyst.did], "sealed": b64encode(sealed)}
        one["info"] = _info(one).hex()
    save("key-release/messages.json", told)


def _info(message: Mapping[str, Any]) -> bytes:
    return lp(message["label"], *message["parts"])


def _write_cce() -> None:
    """The golden container policy, which names the digest of the golden spec."""
    policy = cce.render(group_for(contract_kit.SPEC, contract_kit.IMAGE))
    (VECTORS / "cce" / "golden.rego").write_bytes(policy)
    seccomp = digest(program_profile_bytes()).removeprefix("sha256:")
    told = load("cce/golden.json") | {"host_data": cce.host_data(policy).hex(), "seccomp_sha256": seccomp}
    save("cce/golden.json", told)


# --- the examples in the texts --------------------------------------------------------------------


def write_texts() -> None:
    """Each example of the specifications as the vectors have it now."""
    signing = {one["name"]: one["envelope"] for one in load("documents/signing.json")["envelopes"]}
    release, receipt = load("key-release/release.json"), load("receipt/receipt.json")
    documents = {name: payload_of(envelope) for name, envelope in signing.items()}
    refused = release["refused"]["answer"]
    refused["data"] = {"check": refused["data"]["check"]}
    opened = {name: release["opened"][name] for name in list(release["opened"])[:2]}
    _rewrite(
        "signed-documents", lambda number, name: json.loads(signing["Approval"]) if number == 0 else documents.get(name)
    )
    _rewrite("sealed-asset", lambda _, name: documents.get(name))
    _rewrite("sessions", lambda _, name: documents.get(name))
    values = [{"nonce": release["request"]["nonce"]}, release["request"], release["answer"], opened, refused]
    _rewrite("key-release", lambda number, _: values[number] if number < len(values) else None)
    statement = json.loads(b64decode(receipt["statement"]["payload"]))
    _rewrite("receipt", lambda number, _: (receipt, statement)[number] if number < 2 else None)


def _rewrite(name: str, value_of: Callable[[int, str], Any]) -> None:
    path, heading, number = SPECS / f"{name}.md", "", -1

    def block(match: re.Match[str]) -> str:
        nonlocal heading, number
        if match["heading"]:
            heading = match["heading"]
            return match[0]
        number += 1
        value = value_of(number, heading)
        heading = ""
        if value is None:
            return match[0]
        text = json.dumps(abbreviated(json.loads(match["json"]), value), ensure_ascii=False, separators=(",", ":"))
        return f"```json\n{text}\n```"

    pattern = r"### (?P<heading>\w+)\n|```json\n(?P<json>.*?)```"
    path.write_text(re.sub(pattern, block, path.read_text(encoding="utf-8"), flags=re.DOTALL), encoding="utf-8")


def abbreviated(example: Any, value: Any) -> Any:
    """The value, shortened where and as the example is; members that the example has not are shortened as usual."""
    if isinstance(example, dict) and isinstance(value, dict):
        names = [*(name for name in example if name in value), *(name for name in value if name not in example)]
        names = sorted(names) if list(example) == sorted(example) else names
        return {name: abbreviated(example.get(name), value[name]) for name in names}
    if isinstance(example, list) and isinstance(value, list):
        return [abbreviated(one, item) for one, item in zip(example, value, strict=False)]
    if isinstance(value, str) and isinstance(example, str) and "…" in example:
        return _shortened(example, value)
    if example is None and isinstance(value, str) and len(value) > 40:
        return value[: 16 if value.startswith("did:") else 11 if value.startswith("sha256:") else 8] + "…"
    if example is None and isinstance(value, dict):
        return {name: abbreviated(None, item) for name, item in value.items()}
    return value


def _shortened(example: str, value: str) -> str:
    if re.fullmatch(".*".join(map(re.escape, example.split("…"))), value, re.DOTALL):
        return example
    lines, new = example.split("\n"), value.split("\n")
    if 1 < len(lines) == len(new):
        return "\n".join(_shortened(line, one) if "…" in line else one for line, one in zip(lines, new, strict=True))
    if value.startswith("{"):
        text = json.dumps(
            abbreviated(
                json.loads(re.sub(r"\[…\]|,…\]", lambda m: "[]" if m[0][0] == "[" else "]", example)), json.loads(value)
            ),
            ensure_ascii=False,
            separators=(",", ":"),
        )
        return re.sub(r'"signatures":\[\]', '"signatures":[…]', text)
    head, *_, tail = example.split("…")
    return f"{value[: len(head)]}…{value[len(value) - len(tail) :] if tail else ''}"


if __name__ == "__main__":
    main()
