"""Whom this persona knows by which name, and the signed contacts that it keeps.

Anybody can call themselves anything. So a *petname* is what this persona calls a DID: its own personas go by
their folders, others by a name that was given here. Everybody else is ``unknown · z6Mk…abcd``, with what they call
themselves in quotation marks, and a warning where that looks like a name that is known.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated

from pydantic import Field

from sls_jupyter.contract.spec import Recipient
from sls_jupyter.documents import Did, Model, canonical_json, sign
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, UnknownName
from sls_jupyter.identity import Home, locked, public_key_from_did, save_file, write_whole
from sls_jupyter.printing import one_line

MAX_NAME = 40  # characters of a petname
MAX_SAID = 60  # characters that are shown of what somebody calls themselves
MAX_CONTACT_BYTES = 64 * 1024
MAX_KNOWN = 10_000
_GIVEN = re.compile(r"\w[\w .'-]{0,39}")  # a petname that its giver wrote
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")  # what somebody chose for themselves and is taken over
_MYSELF = ("me", "you")
_RESERVED = (*_MYSELF, "owner", "the owner", "requester", "the requester", "anyone", "nobody")  # words of cards
# letters of other scripts, and digits, that look like one of a to z
_LOOKALIKES = str.maketrans(
    {"0": "o", "1": "l", "i": "l", "і": "l", "ӏ": "l", "ι": "l", "ı": "l", "а": "a", "α": "a", "е": "e", "ε": "e"}
    | {"о": "o", "ο": "o", "р": "p", "ρ": "p", "с": "c", "у": "y", "υ": "u", "х": "x", "ј": "j", "ѕ": "s", "к": "k"}
    | {"κ": "k", "м": "m", "т": "t", "τ": "t", "в": "b", "н": "h", "ν": "v", "ԁ": "d", "һ": "h", "ԛ": "q", "ԝ": "w"}
)


def fold(name: str) -> str:
    """The form in which two names are the same name: NFKC, without case, spaces joined."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())


def look(name: str) -> str:
    """The form in which two names look alike: letters and digits only, without accents, look-alikes as one."""
    plain = unicodedata.normalize("NFKD", fold(name))
    letters = "".join(one for one in plain if one.isalnum()).translate(_LOOKALIKES)
    return letters.replace("rn", "m").replace("vv", "w")


def _can_be_called(name: str) -> bool:
    """Whether a name is in one spelling and none of the words that cards use for others."""
    return name == " ".join(name.split()) and fold(name) not in _RESERVED and not look(name).startswith(look("unknown"))


def short_did(did: str) -> str:
    """``z6Mk…abcd``: enough to see that two are not one, too little to recognise anybody by."""
    key = did.rpartition(":")[2]
    return f"{key[:4]}…{key[-4:]}"


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody, as this persona may call them on a card."""

    did: str
    petname: str | None  # what this persona calls them; None: nothing, they are unknown here
    said: str = ""  # what they call themselves: their word, not checked by anybody
    warning: str = ""  # the self-chosen name looks like one that is known

    def __str__(self) -> str:
        if self.petname is not None:
            return self.petname
        shown = one_line(self.said[: MAX_SAID + 1]).replace('"', "'")
        quoted = shown if len(shown) <= MAX_SAID else shown[: MAX_SAID - 1] + "…"
        words = [f"unknown · {short_did(self.did)}", *([f'"{quoted}"'] if quoted else [])]
        return " ".join([*words, *([f"({self.warning})"] if self.warning else [])])


class Known(Model):
    """An entry of the book."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    contact: Annotated[str, Field(max_length=MAX_CONTACT_BYTES)] = ""  # DSSE envelope; "": only the DID is known


class _Book(Model):
    known: Annotated[dict[Did, Known], Field(max_length=MAX_KNOWN)]


class People:
    """A persona and the people it knows.

    Args:
        home: whose; see :class:`sls_jupyter.identity.Home`.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.identity = home.identity()
        self._book_path = home.path / "contacts.json"
        self._read: tuple[object, Mapping[str, Known]] = (None, {})  # what the book was when it was read last
        self._own: dict[str, Recipient] = {}  # by the folder of a persona of this user

    @property
    def name(self) -> str:
        return self.home.persona

    @property
    def did(self) -> str:
        return self.identity.did

    # --- who is who -------------------------------------------------------------------------------

    def who(self, did: str, said: str = "") -> Who:
        """How a card calls somebody.

        Args:
            said: what they call themselves.
        """
        known = self._labels()
        if did in known:
            return Who(did, known[did], said)
        return Who(did, None, said, self._warning(said, self._petnames().values()))

    def _labels(self) -> dict[str, str]:
        """DID -> name, of everybody who has one here; with the key where two have the same."""
        names = self._petnames()
        twins = Counter(map(fold, names.values()))
        return {did: name if twins[fold(name)] == 1 else f"{name} ({short_did(did)})" for did, name in names.items()}

    def _warning(self, said: str, names: Iterable[str]) -> str:
        for known in [*_MYSELF, *names]:
            if said and look(said) == look(known):
                return "not you" if known in _MYSELF else f"not the {known} that you know"
        return ""

    def _petnames(self) -> dict[str, str]:
        """DID -> name; a persona of this user goes by its folder, whatever the book says."""
        given = {did: known.name for did, known in self._book().items()}
        return given | {contact.did: folder for folder, contact in self._personas().items()}

    def _personas(self) -> Mapping[str, Recipient]:
        """The contacts of this user's personas, by folder."""
        for folder in self.home.personas():
            if folder not in self._own:
                identity = Home(self.home.root, folder).identity()
                self._own[folder] = Recipient.of(sign(identity.contact(), identity))
        return self._own

    def personas(self) -> list[tuple[str, str]]:
        """(name, DID) of this user's personas."""
        return [(name, one.did) for name, one in self._personas().items()]

    def is_mine(self, did: str) -> bool:
        """Whether it is a persona of this user."""
        return any(one.did == did for one in self._personas().values())

    def find(self, word: str) -> str:
        """The DID that a petname, a DID or the file of a contact means; self-chosen names mean nobody.

        Raises:
            UnknownName: nobody. BadInput: two people go by that name here.
            MalformedDocument, SignatureInvalid: a file that is no contact.
        """
        found = self._look_up(word)
        return found if isinstance(found, str) else found.did

    def recipient(self, word: str) -> Recipient:
        """The signed contact of somebody, named as in :meth:`find`.

        Raises:
            as :meth:`find`. UnknownName: their key is not known here.
        """
        found = self._look_up(word)
        if isinstance(found, Recipient):
            return found
        contact = self._contact_of(found)
        if contact is None:
            raise UnknownName(
                "This recipient's key is not known.",
                found=str(self.who(found)),
                expected="somebody whose contact file or authority you know",
                hint="Ask for their contact file (%sls contact): %sls contact add FILE. Or %sls connect URL.",
            )
        return contact

    def _look_up(self, word: str) -> str | Recipient:
        if word.startswith("did:"):
            try:
                public_key_from_did(word)
            except MalformedDocument as error:
                raise BadInput(error.message, found=word[:80], expected=error.expected) from None
            return word
        names = self._petnames()
        fitting = [did for did, name in names.items() if fold(name) == fold(word)]
        if len(fitting) > 1:
            raise BadInput(
                f"Two people are called {one_line(word, MAX_NAME)} here.",
                found=", ".join(fitting),
                hint="Give the DID, or another name to one of them: %sls name DID NAME.",
            )
        if fitting:
            return fitting[0]
        if any(one in word for one in "/\\.") and Path(word).is_file():  # a bare word is never what lies in this folder
            return read_contact(word)
        raise UnknownName(
            "Nobody is known by this name.",
            found=word[:80],
            expected=", ".join(sorted(names.values())[:8]),
            hint="Names are those that you gave: %sls connect URL, or %sls contact add FILE. %sls contacts lists them.",
        )

    def _contact_of(self, did: str) -> Recipient | None:
        own = next((one for one in self._personas().values() if one.did == did), None)
        kept = self._book().get(did)
        return own or (Recipient.of(kept.contact.encode()) if kept is not None and kept.contact else None)

    def contacts(self) -> list[tuple[Who, Recipient | None]]:
        """Everybody who has a name here, by name, with the contact that is kept of them."""
        found = [(self.who(did), self._contact_of(did)) for did in self._petnames()]
        return sorted(found, key=lambda one: fold(str(one[0])))

    # --- giving names -----------------------------------------------------------------------------

    def call(self, word: str, name: str) -> Who:
        """Give somebody a name, or another one; returns who they are now.

        Raises:
            as :meth:`find`. BadInput: the name cannot be one, or somebody else has it; nothing is kept.
        """
        did = self.find(word)
        kept = self._book().get(did)
        contact = self._look_up(word)
        envelope = contact.envelope().decode() if isinstance(contact, Recipient) else (kept.contact if kept else "")
        self._keep_known(did, self._given_name(did, name), envelope)
        return self.who(did)

    def add_contact(self, path: str | Path, name: str = "") -> Who:
        """Keep the contact in a file, under ``name``, or under the self-chosen name if that is plain and free.

        Raises:
            BadInput: it needs another name; nothing is kept. MalformedDocument, SignatureInvalid: it is no contact.
        """
        return self._meet(read_contact(path), name, f"%sls contact add {quote(str(path))} --as NAME")

    def keep_contact(self, data: bytes, name: str = "") -> Who:
        """The same with what is in the file.

        Raises:
            as :meth:`add_contact`.
        """
        return self._meet(contact_in(data), name, "%sls contact add FILE --as NAME")

    def save_contact(self, path: str | Path) -> Path:
        """Write this persona's own signed contact: what others need to seal results to it."""
        return save_file(path, sign(self.identity.contact(), self.identity), "contact")

    def _meet(self, contact: Recipient, name: str, how: str) -> Who:
        """Keep a contact. Somebody who has a name here keeps it unless another is given.

        Args:
            how: the call that gives a name, for the hint.

        Raises:
            BadInput: another name is needed; or the key is another one than is kept, and no name says that it is meant.
        """
        known = self._petnames().get(contact.did)
        if self.is_mine(contact.did):
            return self.who(contact.did)
        kept = self._contact_of(contact.did)
        if kept is not None and kept.key_digest != contact.key_digest and not name:
            raise BadInput(  # a contact has no date: an old one, whose key somebody else may hold, is signed as well
                f"This contact of {self.who(contact.did)} has another key than the one that you keep.",
                found=contact.key_digest,
                expected=kept.key_digest,
                hint=f"Ask them by another channel which key is theirs. If it is this one: {how}",
            )
        chosen = self._given_name(contact.did, name) if name else known or self._taken_over(contact, how)
        self._keep_known(contact.did, chosen, contact.envelope().decode())
        return self.who(contact.did)

    def _taken_over(self, contact: Recipient, how: str) -> str:
        """The self-chosen name of somebody new, if it is plain and looks like nobody's."""
        others = [*self._petnames().values(), *_RESERVED]
        twin = next((other for other in others if look(other) == look(contact.name)), None)
        if twin is None and _PLAIN.fullmatch(contact.name) and _can_be_called(contact.name):
            return contact.name
        said = str(Who(contact.did, None, contact.name))
        raise BadInput(
            f"The name is {f'like {twin}, which you know' if twin else 'not a plain one'}.",
            found=said,
            hint=f"Choose what you call them: {how}",
        )

    def _given_name(self, did: str, name: str) -> str:
        name = unicodedata.normalize("NFKC", name).strip()
        if not _GIVEN.fullmatch(name) or not _can_be_called(name):
            raise BadInput(
                "This cannot be a name for somebody.",
                found=name[:80],
                expected=f"letters, digits, single spaces and . _ ' -, {MAX_NAME} at most; not 'me', 'you', 'owner', …",
            )
        if self.is_mine(did):
            raise BadInput("A persona of yours goes by its folder's name.", found=str(self.who(did)))
        twin = next((one for one, known in self._petnames().items() if one != did and fold(known) == fold(name)), None)
        if twin is not None:
            raise BadInput("You call somebody else so.", found=f"{name} is {twin}", hint="Choose another name.")
        return name

    # --- the book ---------------------------------------------------------------------------------

    def _book(self) -> Mapping[str, Known]:
        try:
            seen = self._book_path.stat()
        except FileNotFoundError:
            return {}
        mark = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
        if self._read[0] != mark:
            try:
                book = _Book.read(self._book_path.read_bytes(), max_bytes=64 * 2**20)
            except SlsError as error:
                error.hint = f"Restore {self._book_path} from a backup, or remove it and give the names anew."
                raise
            self._read = (mark, book.known)
        return self._read[1]

    def _keep_known(self, did: str, name: str, contact: str) -> None:
        with locked(self._book_path):
            book = _Book(known={**self._book(), did: Known(name=name, contact=contact)})
            write_whole(self._book_path, canonical_json(book.model_dump(mode="json")))


def read_contact(path: str | Path) -> Recipient:
    """The signed contact in a file, verified.

    Raises:
        BadInput: the file cannot be read. MalformedDocument, SignatureInvalid: it is no contact, or a forged one.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_CONTACT_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput("The contact cannot be read.", found=f"{path}: {why}") from None
    if len(data) > MAX_CONTACT_BYTES:
        raise BadInput("This is no contact.", found=f"{path}: more than {MAX_CONTACT_BYTES} bytes")
    return contact_in(data)


def contact_in(data: bytes) -> Recipient:
    """The signed contact that is the content of a file, verified.

    Raises:
        MalformedDocument, SignatureInvalid: it is no contact, or a forged one.
    """
    contact = Recipient.of(data.rstrip(b"\r\n"))
    contact.verify()
    return contact
