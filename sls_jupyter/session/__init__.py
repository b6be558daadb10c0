"""One persona's session: everything a magic, the command line or a script can do, as plain calls.

``sls_jupyter.connect()`` gives one. It is one object in layers, each a file of this folder that uses
only those before it: directory (whom I know), muting, catalogue (assets), inbox (requests), preparing
(contracts; cell.py looks at the code), running (runs), auditing (records).
"""

from __future__ import annotations

from sls_jupyter.session.auditing import Audit, Auditing, AuditLine
from sls_jupyter.session.catalogue import AssetInfo, Sealed, Withdrawn
from sls_jupyter.session.inbox import Inbox, RequestInfo
from sls_jupyter.session.muting import Muting
from sls_jupyter.session.running import RunRecord

__all__ = ["AssetInfo", "Audit", "AuditLine", "RequestInfo", "RunRecord", "Sealed", "Session", "Withdrawn"]


class Session(Auditing, Inbox, Muting):
    """Everything one persona can do."""
