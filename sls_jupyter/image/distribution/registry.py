"""A registry: manifests and layers from it, and an image into it (OCI distribution specification 1.1).

TLS, but on this machine. Every answer has a bound, every call a time; blobs are compared with their digests where they are
read, manifests here. A redirect is followed for blobs only, without our credentials, and never from TLS to plain HTTP.
What a public registry names is reached at public addresses only (`sls_jupyter.image.distribution.calls`).
Authorisation: none, Basic (RFC 7617), or a token from the registry's own service (CNCF distribution, "Token
authentication"), also by refresh token. No credential, token or signed URL is in an exception, a ``repr`` or a log.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast
from urllib.parse import urlencode, urlsplit

from sls_jupyter.errors import DigestMismatch, NotAuthorised, Unavailable, UnknownName
from sls_jupyter.image.distribution.calls import Calls, url_of
from sls_jupyter.image.distribution.credentials import find
from sls_jupyter.image.distribution.reference import Reference
from sls_jupyter.image.distribution.token import Tokens
from sls_jupyter.image.manifest import (
    ACCEPTED,
    DOCKER_INDEX,
    MAX_CONFIG,
    MAX_MANIFEST,
    OCI_INDEX,
    Descriptor,
    Manifest,
    diff_ids,
    for_this_platform,
    json_object,
    parse_index,
    parse_manifest,
)
from sls_jupyter.image.stored import Layer, StoredImage
from sls_jupyter.network import Answer, Stream

BLOB_SECONDS = 3600.0  # of a whole blob
REDIRECTS = 3
WHOLE = 32 << 20  # bytes that are sent in one request; a larger blob goes in pieces of this size
_CHUNK = 1 << 20
_REDIRECTS = (301, 302, 303, 307, 308)


class Registry:
    """Calls on one repository of a registry. Use it in a ``with`` block."""

    def __init__(
        self, reference: Reference, *, environment: Mapping[str, str] | None = None, home: Path | None = None
    ) -> None:
        environment = os.environ if environment is None else environment
        self.reference = reference
        self._base = f"{reference.origin}/v2/{reference.repository}"
        self._calls = Calls(reference.origin)
        credential = find(reference.host, reference.repository, environment, home or Path.home())
        self._tokens = Tokens(self._calls, reference, credential)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.close()

    def manifest(self) -> tuple[Manifest, bytes, str]:
        """The image's manifest for Linux on amd64, its bytes and its digest.

        Raises:
            UnknownName: the registry has no such image.
            NotAuthorised: it does not give it to us.
            Unavailable: no answer, or none of a registry.
            DigestMismatch, MalformedDocument: what it gave is not what was named, or no image.
        """
        data, kind, digest = self._manifest_bytes(self.reference.version)
        if kind in (OCI_INDEX, DOCKER_INDEX) or (not kind and b'"manifests"' in data):
            chosen = for_this_platform(parse_index(data), str(self.reference))
            data, kind, digest = self._manifest_bytes(chosen.digest)
        return parse_manifest(data), data, digest

    def image(self) -> StoredImage:
        """The image, its layers to be read from the registry."""
        manifest, _, digest = self.manifest()
        config = json_object(self._blob_bytes(manifest.config, MAX_CONFIG), "an image's configuration")
        layers = tuple(
            Layer(layer.digest, diff_id, layer.size, _opener(self, layer))
            for layer, diff_id in zip(manifest.layers, diff_ids(config, len(manifest.layers)), strict=True)
        )
        return StoredImage(str(self.reference), digest, config, layers)

    @contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[BinaryIO]:
        """A blob's bytes as they come, not more than it has; whoever reads them compares the digest."""
        url, headers = f"{self._base}/blobs/{descriptor.digest}", self._tokens.headers()
        for _ in range(REDIRECTS + 1):
            with self._calls.stream("GET", url, headers=headers, seconds=BLOB_SECONDS, what=self._what) as answer:
                if answer.status in _REDIRECTS:
                    target = self._redirected(url, answer)
                elif answer.status != 401 or not self._calls.is_own(url):
                    self._require(answer.status, (200,), "a layer")
                    yield cast(BinaryIO, _Bytes(answer, descriptor.size, self.reference.host))
                    return
                else:
                    target = url
            if target == url and not self._tokens.renew(answer.headers.get("www-authenticate", "")):
                self._require(answer.status, (200,), "a layer")
            headers = self._tokens.headers() if self._calls.is_own(target) and self._calls.is_own(url) else {}
            url = target
        raise Unavailable(
            f"{self.reference.host} sends us round without end", expected=f"at most {REDIRECTS} redirects"
        )

    def _redirected(self, url: str, answer: Stream) -> str:
        """Where a redirect leads."""
        target = url_of(answer.headers.get("location", ""), base=url)
        plain = self._base.startswith("http:") and url.startswith("http:")
        if not target.startswith("https:") and not plain:
            raise Unavailable("a registry sends us to a place without TLS", found=urlsplit(target).hostname or "")
        return target

    def has_blob(self, digest: str) -> bool:
        return self._call("HEAD", f"{self._base}/blobs/{digest}", (200, 404)).status == 200

    def push_blob(self, descriptor: Descriptor, source: BinaryIO) -> bool:
        """Put a blob there; ``False`` if it was there already.

        Raises:
            DigestMismatch: the source is not the blob that it was said to be, or the registry kept another.
        """
        if self.has_blob(descriptor.digest):
            return False
        begin = f"{self._base}/blobs/uploads/"
        url = self._upload_url(begin, self._call("POST", begin, (202,)))
        seen, hashed = 0, hashlib.sha256()
        while seen < descriptor.size:
            piece = source.read(min(WHOLE, descriptor.size - seen))
            if not piece:
                break
            hashed.update(piece)
            last = seen + len(piece) == descriptor.size
            if last and seen == 0 and f"sha256:{hashed.hexdigest()}" == descriptor.digest:
                return self._finish(url, descriptor, piece)
            headers = {"Content-Range": f"{seen}-{seen + len(piece) - 1}", "Content-Type": "application/octet-stream"}
            url = self._upload_url(url, self._call("PATCH", url, (202, 204), headers=headers, content=piece))
            seen += len(piece)
        if f"sha256:{hashed.hexdigest()}" != descriptor.digest:
            raise DigestMismatch(
                "a blob changed while it was sent", found=hashed.hexdigest(), expected=descriptor.digest
            )
        return self._finish(url, descriptor, b"")

    def push_manifest(self, data: bytes, media_type: str, version: str) -> str:
        """Put a manifest under a tag or its digest; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        url = f"{self._base}/manifests/{version}"
        answer = self._call("PUT", url, (201,), headers={"Content-Type": media_type}, content=data)
        stated = answer.headers.get("docker-content-digest")
        if stated is not None and stated != digest:
            raise DigestMismatch("the registry kept another manifest", found=str(stated)[:100], expected=digest)
        return digest

    def _finish(self, url: str, descriptor: Descriptor, data: bytes) -> bool:
        target = f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({'digest': descriptor.digest})}"
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._call("PUT", target, (201, 204), headers=headers, content=data)
        stated = answer.headers.get("docker-content-digest")
        if stated is not None and stated != descriptor.digest:
            raise DigestMismatch("the registry kept another blob", found=str(stated)[:100], expected=descriptor.digest)
        return True

    def _upload_url(self, asked: str, answer: Answer) -> str:
        found = url_of(answer.headers.get("location", ""), base=asked)
        if self._base.startswith("https:") and found.startswith("http:"):
            return f"https:{found.removeprefix('http:')}"  # registries behind a proxy say http
        return found

    def _manifest_bytes(self, version: str) -> tuple[bytes, str, str]:
        answer = self._call("GET", f"{self._base}/manifests/{version}", (200,), headers={"Accept": ACCEPTED})
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if version.startswith("sha256:") and digest != version:
            raise DigestMismatch(
                "the registry gave another manifest than the one named", found=digest, expected=version
            )
        return answer.body, answer.headers.get("content-type", "").partition(";")[0].strip(), digest

    def _blob_bytes(self, descriptor: Descriptor, most: int) -> bytes:
        if descriptor.size > most:
            raise Unavailable(
                "an image's configuration is too large", found=descriptor.size, expected=f"at most {most}"
            )
        with self.blob(descriptor) as source:
            data = source.read()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest != descriptor.digest:
            raise DigestMismatch(
                "the registry gave another blob than the one named", found=digest, expected=descriptor.digest
            )
        return data

    def _call(
        self,
        method: str,
        url: str,
        wanted: tuple[int, ...],
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Answer:
        """One call with a small answer, and once more with a token if the registry asks for one."""
        ours = self._calls.is_own(url)
        for attempt in (1, 2):
            all_headers = {**(headers or {}), **(self._tokens.headers() if ours else {})}
            answer = self._calls.send(
                method, url, headers=all_headers, content=content, most=MAX_MANIFEST, what=self._what
            )
            challenge = answer.headers.get("www-authenticate", "")
            if answer.status != 401 or not ours or attempt == 2 or not self._tokens.renew(challenge):
                break
        self._require(answer.status, wanted, f"{method} {urlsplit(url).path}")
        return answer

    @property
    def _what(self) -> str:
        return f"the registry {self.reference.host}"

    def _require(self, status: int, wanted: tuple[int, ...], what: str) -> None:
        if status in wanted:
            return
        found, expected = f"HTTP {status}", " or ".join(map(str, wanted))
        where = f"{self.reference.host}/{self.reference.repository}"
        if status in (401, 403):
            hint = f"log in: podman login {self.reference.host}"
            raise NotAuthorised(f"{where} does not let us: {what}", found=found, expected=expected, hint=hint)
        if status == 404:
            raise UnknownName(f"{where} does not have this: {what}", found=found, expected=expected)
        raise Unavailable(f"{where} answers otherwise than a registry does: {what}", found=found, expected=expected)


class _Bytes:
    """The body of an answer as a source, with a bound."""

    def __init__(self, answer: Stream, most: int, host: str) -> None:
        self._pieces, self._left, self._host = answer.pieces, most, host
        self._kept = b""

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            parts = []
            while part := self.read(_CHUNK):
                parts.append(part)
            return b"".join(parts)
        if not self._kept:
            self._kept = next(self._pieces, b"")
            self._left -= len(self._kept)
            if self._left < 0:
                raise Unavailable(f"{self._host} sends more than the blob has")
        data, self._kept = self._kept[:size], self._kept[size:]
        return data


def _opener(registry: Registry, descriptor: Descriptor) -> Any:
    return lambda: registry.blob(descriptor)
