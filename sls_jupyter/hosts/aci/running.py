"""A group on ACI that was asked for, and how it ends whatever happens: it is deleted, because it is billed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sls_jupyter.errors import SlsError
from sls_jupyter.hosts.aci import view
from sls_jupyter.hosts.aci.arm import Arm
from sls_jupyter.safestream.host import ContainerState

GONE_SECONDS = 60.0  # how long a deletion may take before it is left to the service
STALE_SECONDS = 120.0  # for which a state that cannot be asked for is believed to go on
_LOST = ContainerState(running=False, detail="its state cannot be asked for")


@dataclass(slots=True)
class Remains:
    """What may be billed; knows nothing of the object that the user holds."""

    arm: Arm
    name: str
    poll: float  # seconds
    owner: int = field(default_factory=os.getpid)  # the process that asked for the group
    asked: bool = False  # a creation was sent, so there may be a group
    gone: bool = False
    trouble: str = ""  # why it may still run
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end(self, seconds: float = GONE_SECONDS) -> None:
        """Delete the group and see that it is gone. A forked child ends nothing. Raises nothing; ``trouble`` says."""
        if os.getpid() != self.owner:
            return
        with self.lock:
            if self.gone or not self.asked:
                return
            try:
                self._delete(seconds)
            except SlsError as error:
                self.trouble = f"{error.sentence} {error.found or ''}".strip()

    def _delete(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.arm.delete(self.name) and self.arm.get(self.name) is not None:
            if time.monotonic() > deadline:
                self.trouble = "its deletion was taken, and takes long"
                return
            time.sleep(self.poll)
        self.gone, self.trouble = True, ""


class AciGroup:
    """A group, from before it is asked for. It ends with :meth:`stop`, when nobody holds this object, or with Python.

    When the process is killed nothing deletes the group: ``sls host sweep`` finds it by its tag, and its program ends
    by its own limits.
    """

    def __init__(self, remains: Remains, ports: Mapping[str, int], tell: Callable[[str], None]) -> None:
        self._remains, self._ports, self._tell = remains, dict(ports), tell
        self._group: view.Resource = {}
        self._seen = 0.0
        self._finalizer = weakref.finalize(self, remains.end)

    def take(self, group: view.Resource) -> None:
        """Believe this answer to be the group's state as of now."""
        self._group, self._seen = group, time.monotonic()

    @property
    def name(self) -> str:
        return self._remains.name

    @property
    def endpoints(self) -> Mapping[str, tuple[str, int]]:
        return {name: (view.address(self._group), port) for name, port in self._ports.items()}

    def states(self) -> Mapping[str, ContainerState]:
        """As the service told it last; asked again when the last answer is older than one interval of polling."""
        now = time.monotonic()
        if not self._remains.gone and now - self._seen >= self._remains.poll:
            try:
                found = self._remains.arm.get(self.name)
                self.take(found if found is not None else {})
            except SlsError:
                if now - self._seen > STALE_SECONDS:
                    self._group = {}
        known = {} if self._remains.gone else view.states(self._group)
        return {name: known.get(name, _LOST) for name in ("input", "program", "output", "audit")}

    def logs(self, container: str) -> str:
        """Nothing: the policy gives nobody the output of a container, so that nothing leaves that way."""
        del container
        return ""

    def stop(self) -> None:
        """Delete the group; what cannot be deleted now is tried again when Python ends, and said."""
        remains = self._remains
        remains.end()
        if remains.gone or not remains.asked:
            self._finalizer.detach()
        elif remains.trouble:
            with contextlib.suppress(SlsError):  # the run may be cancelled already
                self._tell(
                    f"group {self.name} may still run, and is billed ({remains.trouble}): sls host sweep {remains.arm.host}"
                )
