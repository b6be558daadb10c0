"""How an owner's authority makes a read pass: with the account's key, or as the identity it is logged in with.

An identity signs with a *user delegation key*, which the storage gives to those who hold the role Storage Blob Delegator
(or Data Reader and the like); what it signs can do no more than that identity can. The key is kept for some hours.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from sls_jupyter.assets.azure.account import CONNECTION, Account, account_at, missing_extra
from sls_jupyter.assets.azure.place import AzurePlace
from sls_jupyter.assets.azure.read_pass import ReadPass, sas_time
from sls_jupyter.assets.azure.store import telling
from sls_jupyter.errors import BadInput

KEY_SECONDS = 6 * 3600  # how much longer than needed a delegation key is asked for
SKEW_SECONDS = 300  # of the clocks here and there
CALL_SECONDS = 10


class Minter:
    """Makes read passes; safe to be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[int, Any]] = {}  # by endpoint: until when, and the delegation key

    def __repr__(self) -> str:
        return "<Minter>"

    def mint(self, place: AzurePlace, parts: Sequence[str], *, until: int) -> ReadPass | None:
        """A pass for these parts, up to ``until`` (seconds since 1970); ``None`` where the environment says that
        the container is public (``AZURE_STORAGE_ANON``).

        Raises:
            BadInput: the environment has another account's credential, or one that cannot sign.
            Unavailable: nobody is logged in, or the storage gives no key.
        """
        account = account_at(place, os.environ)
        if account.is_anonymous and not account.has_secret:
            return None
        if account.sas is not None and account.key is None:
            raise BadInput(
                "A SAS cannot make read passes for others.",
                found=f"a SAS for {place.host}",
                expected="an identity or the account's key",
                hint=f"Log in (az login, a managed identity), or set {CONNECTION} with a key.",
            )
        try:
            from azure.storage.blob import generate_blob_sas
        except ImportError as error:
            raise missing_extra(error) from None
        signer = {"account_key": account.key} if account.key else {"user_delegation_key": self._key(account, until)}
        query: dict[str, str] = {}
        signatures: dict[str, str] = {}
        with telling(place):
            for name in parts:
                token = generate_blob_sas(
                    place.account,
                    place.container,
                    f"{place.path}/{name}".lstrip("/"),
                    permission="r",
                    expiry=sas_time(until),
                    protocol="https,http" if account.endpoint.startswith("http:") else "https",
                    **signer,
                )
                query = dict(parse_qsl(token, strict_parsing=True))
                signatures[name] = query.pop("sig")
        return ReadPass(endpoint=account.endpoint, query=query, signatures=signatures)

    def _key(self, account: Account, until: int) -> Any:
        """A user delegation key that holds up to ``until`` at least."""
        with self._lock:
            known_until, key = self._keys.get(account.endpoint, (0, None))
            if known_until >= until:
                return key
        try:
            from azure.identity import DefaultAzureCredential
            from azure.storage.blob import BlobServiceClient
        except ImportError as error:
            raise missing_extra(error) from None
        begins, ends = int(time.time()) - SKEW_SECONDS, until + KEY_SECONDS
        waits = {"connection_timeout": CALL_SECONDS, "read_timeout": CALL_SECONDS, "retry_total": 1}
        with (
            telling(account.endpoint),
            DefaultAzureCredential(process_timeout=CALL_SECONDS) as credential,
            BlobServiceClient(account.endpoint, credential, **waits) as client,
        ):
            key = client.get_user_delegation_key(*(datetime.fromtimestamp(one, UTC) for one in (begins, ends)))
        with self._lock:
            self._keys[account.endpoint] = (ends, key)
        return key
