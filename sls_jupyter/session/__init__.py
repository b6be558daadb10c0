"""One persona's session: everything a magic, the command line or a script can do, as plain calls.

``sls_jupyter.connect()`` gives one. It is one object in layers, each a file of this folder that uses only those before
it: contacts (people), remembering (what the folder says: nobody is asked), directory (whom I know), muting, catalogue
(assets; versions.py and lately.py beside it), inbox (requests), hosting (hosts), preparing (contracts; cell.py looks at
the code), running (runs), following (runs that others drive or drove), auditing (records), proving (kept receipts),
warming (sessions of many cells). everything.py is all of them. Importing the room loads no layer: who needs the lowest
ones only does not wait for hosts, authorities and tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sls_jupyter.session.auditing import Audit, AuditLine
    from sls_jupyter.session.catalogue import AssetInfo, Sealed, Withdrawn
    from sls_jupyter.session.everything import Session
    from sls_jupyter.session.inbox import RequestInfo
    from sls_jupyter.session.remembering import RunRecord, SessionRecord

__all__ = [
    "AssetInfo",
    "Audit",
    "AuditLine",
    "RequestInfo",
    "RunRecord",
    "Sealed",
    "Session",
    "SessionRecord",
    "Withdrawn",
]
_FILES = {
    "AssetInfo": "catalogue",
    "Audit": "auditing",
    "AuditLine": "auditing",
    "RequestInfo": "inbox",
    "RunRecord": "remembering",
    "Sealed": "catalogue",
    "Session": "everything",
    "SessionRecord": "remembering",
    "Withdrawn": "catalogue",
}


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_FILES[name]}"), name)
