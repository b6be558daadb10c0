"""The texts of sealed code, for those who judge a request that names it. Confidential code is for nobody."""

from __future__ import annotations

import sqlalchemy as sa

from sls_jupyter.assets.opening import local_parts, open_code
from sls_jupyter.authority import catalogue
from sls_jupyter.authority import store as db
from sls_jupyter.authority.service import Authority
from sls_jupyter.errors import BadInput, NotAuthorised

MAX_FILES_BYTES = 4 * 2**20  # of all files of one asset


def open_files(authority: Authority, caller: str, asset: str) -> dict[str, bytes]:
    """The files of a code asset that is not confidential, by path.

    They are for its owner, and for the people of a request that names it: its requester, its approvers, and
    the owners of what it is used with.

    Raises:
        UnknownName. NotAuthorised: nobody of them. BadInput: a table, confidential code, or too large.
    """
    rows = db.readers
    with authority.store.read() as connection:
        published = catalogue.find(connection, asset)
        where = (rows.c.asset == asset) & (rows.c.did == caller)
        named = connection.execute(sa.select(rows.c.seq).where(where).limit(1)).first() is not None
        manifest = published.manifest
        if caller != authority.owner and not named:
            raise NotAuthorised("Code is read by those who judge a request that names it.", found=caller)
        if manifest.kind != "code" or manifest.confidential or published.state == "shredded":
            raise BadInput(
                f"The files of {manifest.name} cannot be shown.",
                found="confidential code" if manifest.confidential else f"{published.state} {manifest.kind}",
                expected="code that reviewers may read",
            )
        if sum(part.size for part in manifest.parts) > MAX_FILES_BYTES:
            raise BadInput("The code is too large to be shown.", expected=f"{MAX_FILES_BYTES} bytes at most")
        keys = catalogue.unwrap_keys(connection, authority, published, manifest.key_ids_for(None))
    return open_code(manifest, keys, open_part=local_parts(manifest))
