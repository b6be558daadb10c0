"""A reader of tiled logs, written from the C2SP texts alone: it knows nothing of the package under test.

It reads the whole log through ``fetch``, a function from a path below the log's prefix to bytes, and raises
ValueError for anything that is not as it should be.
"""

import base64
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Reader:
    def __init__(self, fetch, name, public_key):
        self.fetch = fetch
        text, signatures = fetch("checkpoint").decode().rsplit("\n\n", 1)
        self.check_signature(text + "\n", signatures, name, public_key)
        lines = text.split("\n")
        self.size, self.root = int(lines[1]), base64.b64decode(lines[2])
        if lines[0] != name or str(self.size) != lines[1]:
            raise ValueError("checkpoint")

    @staticmethod
    def check_signature(text, signatures, name, public_key):
        wanted = hashlib.sha256(name.encode() + b"\n\x01" + public_key).digest()[:4]
        for line in signatures.splitlines():
            dash, signer, blob = line.split(" ")
            raw = base64.b64decode(blob)
            if (dash, signer, raw[:4]) == ("—", name, wanted):
                try:
                    return Ed25519PublicKey.from_public_bytes(public_key).verify(raw[4:], text.encode())
                except InvalidSignature:
                    raise ValueError("signature") from None
        raise ValueError("no signature")

    def file(self, kind, n, width):
        digits = str(n).zfill(-(-len(str(n)) // 3) * 3)
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        path = f"tile/{kind}/" + "".join(f"x{part}/" for part in parts[:-1]) + parts[-1]
        return self.fetch(path if width == 256 else f"{path}.p/{width}")

    def level(self, level):
        """All hashes of one level, tile by tile."""
        count, hashes = self.size // 256**level, []
        for n in range(-(-count // 256)):
            width = min(256, count - 256 * n)
            data = self.file(level, n, width)
            if len(data) != 32 * width:
                raise ValueError("tile size")
            hashes += [data[at : at + 32] for at in range(0, len(data), 32)]
        return hashes

    def entries(self):
        """Every entry, after checking bundles against tiles, tiles against each other and the root."""
        entries, leaves = [], self.level(0)
        for n in range(-(-self.size // 256)):
            data = self.file("entries", n, min(256, self.size - 256 * n))
            while data:
                length = int.from_bytes(data[:2], "big")
                entries.append(data[2 : 2 + length])
                data = data[2 + length :]
        if [hashlib.sha256(b"\0" + entry).digest() for entry in entries] != leaves:
            raise ValueError("entries")
        level, below = 1, leaves
        while len(below) >= 256:
            above = [self.fold(below[at : at + 256]) for at in range(0, len(below) // 256 * 256, 256)]
            if above != self.level(level):
                raise ValueError("level")
            level, below = level + 1, above
        if self.fold(leaves) != self.root:
            raise ValueError("root")
        return entries

    def fold(self, hashes):
        if len(hashes) < 2:
            return hashes[0] if hashes else hashlib.sha256(b"").digest()
        k = 1 << (len(hashes) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + self.fold(hashes[:k]) + self.fold(hashes[k:])).digest()
