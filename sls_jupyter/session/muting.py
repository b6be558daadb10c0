"""Whom this persona's own authority takes no requests from."""

from __future__ import annotations

from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.session.directory import Directory


class Muting(Directory):
    """Mutes."""

    def mute(self, who: str) -> tuple[str, int]:
        """Take no request of somebody any more; returns their DID, and how many undecided requests were dropped.

        Grants that they have hold until they expire.

        Raises:
            UnknownName, BadInput: nobody, or several, are called so.
        """
        did = self._somebody(who)
        return did, self.own_authority().mute(did)

    def unmute(self, who: str) -> str:
        """Take requests of somebody again; returns their DID."""
        did = self._somebody(who)
        self.own_authority().unmute(did)
        return did

    def muted(self) -> tuple[str, ...]:
        """DIDs of those whom this persona muted, the newest first."""
        return self.own_authority().muted()

    def _somebody(self, who: str) -> str:
        """The DID of somebody by what this persona calls them, or by the DID itself."""
        if who.startswith("did:"):
            return who
        found = sorted(did for did, name in self.names().items() if name == who)
        if len(found) > 1:
            raise BadInput(f"Several are called {who}.", found=", ".join(found), hint="Write the DID.")
        if not found:
            raise UnknownName(
                f"You know nobody called {who}.", found=who[:80], hint="Write the DID: %sls requests has it."
            )
        return found[0]
