"""Whom this persona's own authority takes no requests from."""

from __future__ import annotations

from sls_jupyter.session.directory import Directory


class Muting(Directory):
    """Mutes."""

    def mute(self, who: str) -> tuple[str, int]:
        """Take no request of somebody any more; returns their DID, and how many undecided requests were dropped.

        Grants that they have hold until they expire.

        Raises:
            UnknownName, BadInput: nobody, or several, are called so here.
        """
        did = self.find(who)
        return did, self.own_authority().mute(did)

    def unmute(self, who: str) -> str:
        """Take requests of somebody again; returns their DID."""
        did = self.find(who)
        self.own_authority().unmute(did)
        return did

    def muted(self) -> tuple[str, ...]:
        """DIDs of those whom this persona muted, the newest first."""
        return self.own_authority().muted()
