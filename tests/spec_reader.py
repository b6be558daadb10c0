"""What docs/specs says, written from those texts alone: it knows nothing of the package under test.

Signed documents and tokens, sealed parts, evidence and the container policy. Raises Refused for anything that is not as
it should be (InvalidTag and InvalidUnwrap of the cryptography package where a ciphertext is not).
"""

import base64
import contextlib
import hashlib
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Refused(ValueError):
    """Not as the specification says."""


def require(right, what):
    if not right:
        raise Refused(what)


@contextlib.contextmanager
def refusing():
    """What the libraries cannot read is refused as well."""
    try:
        yield
    except (ValueError, InvalidSignature) as error:
        raise Refused(f"{type(error).__name__} {error}") from None


# --- signed-documents.md: encodings ---------------------------------------------------------------


def lp(*parts):
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)


def split_lp(data):
    parts = []
    while data:
        length = int.from_bytes(data[:8], "big")
        require(len(data) >= 8 + length, "cut short")
        parts, data = [*parts, data[8 : 8 + length]], data[8 + length :]
    return parts


def identifier(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    require(base64.b64encode(data).decode() == text, "second spelling of base64")
    return data


def canonical(value):
    """RFC 8785 of values without fractions."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    require(not isinstance(value, float) and not (isinstance(value, int) and abs(value) >= 2**53), "number")
    return json.dumps(value, ensure_ascii=False)


def _no_doubles(pairs):
    require(len(dict(pairs)) == len(pairs), "a member twice")
    return dict(pairs)


def parse_canonical(data):
    value = json.loads(data.decode(), object_pairs_hook=_no_doubles)
    require(canonical(value).encode() == data, "not canonical")
    return value


def same_shape(example, value):
    """Whether a value has the members and types of the example; null stands for any, ``{}`` for any object."""
    if example is None or value is None:
        return True
    if type(example) is not type(value):
        return False
    if isinstance(example, dict) and example:
        return set(example) == set(value) and all(same_shape(example[name], value[name]) for name in example)
    if isinstance(example, list) and example:
        return all(same_shape(example[0], item) for item in value)
    return True


def abbreviates(example, value):
    """Whether an example is the value itself, but for what ``…`` stands for and for the ends of lists."""
    if isinstance(example, str) and isinstance(value, str):
        return re.fullmatch(".*".join(map(re.escape, example.split("…"))), value, re.DOTALL) is not None
    if isinstance(example, dict) and isinstance(value, dict):
        return set(example) == set(value) and all(abbreviates(example[name], value[name]) for name in example)
    if isinstance(example, list) and isinstance(value, list):
        return len(example) <= len(value) and all(map(abbreviates, example, value))
    return type(example) is type(value) and example == value


# --- signed-documents.md: signatures --------------------------------------------------------------


@refusing()
def public_key(did):
    require(did.startswith("did:key:z"), "no did:key")
    text, number = did.removeprefix("did:key:z"), 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    require(len(data) == 34 and data[:2] == b"\xed\x01" and not text.startswith("1"), "no Ed25519 key")
    field, y = 2**255 - 19, int.from_bytes(data[2:], "little") % 2**255
    eighth = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
    require(y < field and y not in (0, 1, field - 1, eighth, field - eighth), "a key that nobody holds")
    return Ed25519PublicKey.from_public_bytes(data[2:])


def pae(payload_type, payload):
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


@refusing()
def open_envelope(envelope, payload_type, signer, example):
    """The payload and its digest; ``signer`` names the member that holds the signer's DID."""
    value = parse_canonical(envelope)
    require(set(value) == {"payload", "payloadType", "signatures"}, "members of the envelope")
    require(value["payloadType"] == payload_type, "another document")
    require(len(value["signatures"]) == 1 and set(value["signatures"][0]) == {"keyid", "sig"}, "one signature")
    payload, (signature,) = unbase64(value["payload"]), value["signatures"]
    document = parse_canonical(payload)
    require(same_shape(example, document), "members of the document")
    require(signature["keyid"] == document[signer], "another signer")
    public_key(document[signer]).verify(unbase64(signature["sig"]), pae(payload_type, payload))
    return document, identifier(payload)


CONTACT = "application/vnd.sls.contact.v1+json"


@refusing()
def recipients_of(spec):
    """Each recipient's key by DID, once the recipient's own signature on it was checked."""
    found = {}
    for person in spec["recipients"]:
        contact = canonical({name: person[name] for name in ("did", "hpke_public_key", "name")}).encode()
        public_key(person["did"]).verify(unbase64(person["signature"]), pae(CONTACT, contact))
        found[person["did"]] = unbase64(person["hpke_public_key"])
        require(len(found[person["did"]]) == 1216, "no X-Wing key")
    require(list(found) == sorted(found) and len(found) == len(spec["recipients"]), "not sorted, or one twice")
    return found


@refusing()
def caller_of(token, audience, method, path, body, now):
    """The DID of whoever made a token for this call."""
    header, claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    value = json.loads(claims)
    require(json.loads(header)["alg"] == "EdDSA", "algorithm")
    public_key(value["iss"]).verify(signature, token.rpartition(".")[0].encode())
    wanted = {"aud": audience, "htm": method, "htu": path, "body": identifier(body)}
    require(all(value.get(name) == item for name, item in wanted.items()), "another call")
    require({"iat", "exp"} <= set(value) and value["exp"] - value["iat"] <= 60, "lives too long")
    require(value["iat"] - 30 <= now <= value["exp"] + 30, "time")
    return value["iss"]


# --- authority-calls.md ---------------------------------------------------------------------------


def require_answer(expected, nonce, method, target, question, status, answer, authority, signature):
    """An authority's answer to this very call."""
    require(authority == expected, "another authority")
    questions = [question] if status < 400 else [question, b""]
    for asked in questions:
        digests = hashlib.sha256(asked).digest(), hashlib.sha256(answer).digest()
        parts = (
            "sls-jupyter/answer/v1",
            authority,
            bytes.fromhex(nonce),
            method,
            target,
            digests[0],
            str(status),
            digests[1],
        )
        with contextlib.suppress(InvalidSignature):
            public_key(authority).verify(unbase64(signature), lp(*parts))
            return lp(*parts)
    raise Refused("signature")


# --- sealed-asset.md ------------------------------------------------------------------------------


class Thrift:
    """Thrift's compact protocol, as far as a Parquet footer needs it: structs become {field id: value}."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self):
        shift = value = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        value = self.number()
        return value >> 1 ^ -(value & 1)

    def value(self, kind):
        if kind in (4, 5, 6):
            return self.signed()
        if kind == 8:
            return self.take(self.number())
        if kind == 12:
            return self.struct()
        if kind == 9:
            head = self.take(1)[0]
            return [self.value(head & 15) for _ in range(self.number() if head >> 4 == 15 else head >> 4)]
        require(kind in (1, 2, 3), f"thrift type {kind}")
        return self.take(1)[0]

    def struct(self):
        fields, last = {}, 0
        while head := self.take(1)[0]:
            last = last + (head >> 4) if head >> 4 else self.signed()
            fields[last] = head & 15 == 1 if head & 15 in (1, 2) else self.value(head & 15)
        return fields


def data_key(metadata, keys):
    """A module's key: key metadata is JSON that has it wrapped under the master key it names."""
    value = json.loads(metadata)
    require(value["keyMaterialType"] == "PKMT1" and not value["doubleWrapping"], "key material")
    return value["masterKeyID"], aes_key_unwrap(keys[value["masterKeyID"]], unbase64(value["wrappedDEK"]))


def open_module(data, key, aad):
    """Length (4 bytes, little-endian), nonce (12), ciphertext and tag."""
    length = int.from_bytes(data[:4], "little")
    return AESGCM(key).decrypt(data[4:16], data[16 : 4 + length], aad)


class Part:
    """A sealed part whose size, magic bytes and footer are the manifest's; only the footer is decrypted."""

    def __init__(self, data, part, footer_key_id, keys):
        length = int.from_bytes(data[-8:-4], "little") + 8
        require(len(data) == part["size"] and data[:4] == data[-4:] == b"PARE", "another file")
        require(length <= len(data) - 4 and identifier(data[-length:]) == part["footer"], "another footer")
        self.data, self.keys = data, keys
        crypto = Thrift(data[-length:-8])
        head = crypto.struct()
        require(set(head[1]) == {1}, "AES_GCM_V1")
        self.unique = head[1][1][2]  # AAD of this file alone
        key_id, key = data_key(head[2], keys)
        require(key_id == footer_key_id, "key of the footer")
        self.footer = Thrift(open_module(crypto.data[crypto.at :], key, self.unique + b"\0")).struct()
        require(self.footer[3] == part["rows"], "rows")

    def metadata(self):
        return {item[1]: item[2] for item in self.footer.get(5, [])}

    def chunks(self):
        """(row group, number, path, key metadata) of each column chunk; one that is not encrypted is refused."""
        for group, rows in enumerate(self.footer[4]):
            for number, chunk in enumerate(rows[1]):
                require(
                    set(chunk.get(8, ())) == {2} and 3 not in chunk, "a column in plaintext or under the footer's key"
                )
                yield group, number, [name.decode() for name in chunk[8][2][1]], chunk[8][2][2]

    def key_ids(self):
        """Top-level column -> the master keys that it asks for."""
        found = {}
        for _, _, path, metadata in self.chunks():
            found.setdefault(path[0], set()).add(json.loads(metadata)["masterKeyID"])
        return found

    def extents(self, columns):
        """First byte and end of each chunk of these columns, from its own encrypted metadata."""
        for group, number, path, metadata in self.chunks():
            if path[0] in columns:
                key = data_key(metadata, self.keys)[1]
                place = b"\1" + group.to_bytes(2, "little") + number.to_bytes(2, "little")
                about = Thrift(open_module(self.footer[4][group][1][number][9], key, self.unique + place)).struct()
                start = min(about[9], about.get(11, about[9]))
                yield start, start + about[7]

    def read(self, columns):
        """Physical columns, by pyarrow, which never sees a byte but the footer and these columns'."""
        image = bytearray(len(self.data))
        end = len(self.data) - int.from_bytes(self.data[-8:-4], "little") - 8
        image[:4], image[end:] = self.data[:4], self.data[end:]
        for start, stop in self.extents(columns):
            image[start:stop] = self.data[start:stop]
        factory = pe.CryptoFactory(lambda _: Kms(self.keys))
        properties = factory.file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration())
        file = pq.ParquetFile(pa.BufferReader(bytes(image)), decryption_properties=properties)
        return pa.concat_tables(file.read_row_group(i, columns=columns) for i in range(file.num_row_groups))


class Kms(pe.KmsClient):
    """pyarrow's name for whoever has the master keys."""

    def __init__(self, keys):
        super().__init__()
        self.keys = keys

    def wrap_key(self, key_bytes, master_key_identifier):
        raise ValueError("only reads")

    def unwrap_key(self, wrapped_key, master_key_identifier):
        return aes_key_unwrap(self.keys[master_key_identifier], unbase64(wrapped_key))


def physical(number, name):
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else f"#{number}"


# --- sessions.md ----------------------------------------------------------------------------------


def cell_of(predicate: dict) -> tuple[dict, dict, list[dict]]:
    """Spec, order and grants of a session's cell: signed by whom the text says, each about the one before."""

    def opened(envelope: dict, kind: str, signer: str) -> tuple[dict, str]:
        require(envelope["payloadType"] == f"application/vnd.sls.{kind}+json", "another document")
        payload, (signature,) = unbase64(envelope["payload"]), envelope["signatures"]
        document = parse_canonical(payload)
        require(signature["keyid"] == document[signer], "another signer")
        public_key(document[signer]).verify(unbase64(signature["sig"]), pae(envelope["payloadType"], payload))
        return document, identifier(payload)

    spec, session = opened(predicate["spec"], "stream-spec.v4", "requester")
    require(spec["session"] and spec["code"] is None and spec["parameters"] is None and not spec["outputs"], "a run")
    order, ordered = opened(predicate["cell"]["order"], "cell-order.v1", "requester")
    require((order["requester"], order["session"]) == (spec["requester"], session), "another session's order")
    require((order["previous"] is None) == (len(order["cells"]) == 1), "a chain with a gap")
    grants = [opened(one, "cell-grant.v1", "authority")[0] for one in predicate["cell"]["grants"]]
    require(all((one["session"], one["order"]) == (session, ordered) for one in grants), "a grant of another cell")
    return spec, order, grants


# --- key-release.md -------------------------------------------------------------------------------


def report_data(label, *parts):
    return hashlib.sha512(lp(label, *parts)).digest()


def snp_report(evidence):
    """REPORT_DATA, measurement and HOST_DATA of SEV-SNP evidence, its signatures checked up to its own root."""
    value = parse_canonical(evidence)
    report, chain = unbase64(value["report"]), [unbase64(item) for item in value["endorsements"]]
    vcek, ask, ark = (x509.load_der_x509_certificate(der) for der in chain)
    r, s = (int.from_bytes(report[at : at + 72], "little") for at in (0x2A0, 0x2E8))
    vcek.public_key().verify(encode_dss_signature(r, s), report[:0x2A0], ec.ECDSA(hashes.SHA384()))
    for certificate, issuer in ((vcek, ask), (ask, ark), (ark, ark)):
        certificate.verify_directly_issued_by(issuer)
    return report[0x50:0x90], report[0x90:0xC0], report[0xC0:0xE0]


def policy_for(template, spec_digest, limits, image):
    """The container policy of a spec: another one, with this spec's digest and limits and this image in it."""
    lines = template.decode().split("\n")
    (place,) = (i for i, line in enumerate(lines) if line.startswith("containers := "))
    containers = json.loads(lines[place].removeprefix("containers := "))
    for container in containers[:-1]:  # the last one is the pause container
        container["command"] = [*container["command"][:5], spec_digest]
        container["id"], container["layers"] = (
            identifier(lp("sls-jupyter/layers/v1", *image["layers"])),
            image["layers"],
        )
        if container["name"] == "program":
            for name in ("cpu_seconds", "wall_seconds", "memory_bytes", "processes"):
                container["command"] += ["--" + name.replace("_", "-"), str(limits[name])]
    lines[place] = "containers := " + json.dumps(containers, sort_keys=True)
    return "\n".join(lines).encode()
