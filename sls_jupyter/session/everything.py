"""The whole session: all of its layers as one object."""

from __future__ import annotations

from sls_jupyter.session.inbox import Inbox
from sls_jupyter.session.lately import Lately
from sls_jupyter.session.muting import Muting
from sls_jupyter.session.submitting import Submitting
from sls_jupyter.session.versions import Versions


class Session(Submitting, Inbox, Muting, Lately, Versions):
    """Everything one persona can do."""
