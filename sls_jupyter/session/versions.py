"""The versions of an asset, as far as its owner's manifests lead back (each names the one that it took the place of), and its code."""

from __future__ import annotations

from dataclasses import dataclass

from sls_jupyter.authority.answers import AssetState
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.errors import SlsError
from sls_jupyter.session.catalogue import AssetInfo, Catalogue
from sls_jupyter.session.reviewing import checked_files

MAX_VERSIONS = 20  # that are looked up


@dataclass(frozen=True, slots=True)
class AssetVersion:
    """A version of an asset; its owner's signatures are checked."""

    info: AssetInfo
    state: AssetState  # its authority's word; a grant decides
    number: int  # from 1, the version that names none before it; 0: that one was not reached


class Versions(Catalogue):
    """What was sealed under one name."""

    def versions(self, info: AssetInfo, most: int = MAX_VERSIONS) -> tuple[AssetVersion, ...]:
        """The version that is open and those before it, the newest first; and this one, wherever it stands.

        Only what verifies and has the same owner, name and authority is a version. A chain ends where its owner sealed
        the name for the first time, or after withdrawing it; or early, where the authority does not show the next one.

        Raises:
            UnknownName, Unavailable: its authority is not there.
        """
        client = self._client_of(info.manifest.authority)
        newest = [one for one in self._named(client, info.called, self.names()) if _same(one, info)]
        chain = self._back_from(client, newest[0] if newest else info, most)
        if all(one.info.id != info.id for one in chain):
            chain += self._back_from(client, info, 1)
        return tuple(chain)

    def code_in(self, info: AssetInfo) -> dict[str, str]:
        """The texts of sealed code that reviewers may read, by path, each with the digest that its owner signed.

        Raises:
            SlsError: they cannot be had, or are others.
        """
        files = self._client_of(info.manifest.authority).files(info.id)
        return dict(checked_files(info.manifest, files))

    def _back_from(self, client: AuthorityClient, info: AssetInfo, most: int) -> list[AssetVersion]:
        found, next_ = list[tuple[AssetInfo, AssetState]](), info.id
        names, reached = self.names(), False
        while next_ and len(found) < most:
            try:
                told = client.asset(next_)
                one = self._info(client, told, names)
            except SlsError:  # what cannot be looked up is no version that is known
                break
            if one.id != next_ or not _same(one, info):
                break
            found.append((one, told.state))
            next_ = one.manifest.previous or ""
            reached = not next_
        return [
            AssetVersion(one, state, len(found) - place if reached else 0) for place, (one, state) in enumerate(found)
        ]


def _same(one: AssetInfo, other: AssetInfo) -> bool:
    mine, theirs = one.manifest, other.manifest
    return (mine.owner, mine.name, mine.authority) == (theirs.owner, theirs.name, theirs.authority)
