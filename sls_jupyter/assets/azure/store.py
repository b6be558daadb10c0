"""A storage account's containers as an fsspec file system, and its library's errors as ours.

adlfs reads the environment by itself where it is told nothing. So it is told everything: the account of the place, and
with what that is opened. What it raises may quote a request with its credential; of that only the kind is told.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from sls_jupyter.assets.azure.account import account_at, missing_extra
from sls_jupyter.assets.azure.place import AzurePlace
from sls_jupyter.errors import SlsError, Unavailable

CONNECT_SECONDS, READ_SECONDS = 20, 60
BUFFER_BYTES = 1 << 20


def filesystem(place: AzurePlace) -> Any:
    """The file system of the account of ``place``; paths in it begin with the container. Touches nothing.

    Raises:
        BadInput: the environment's credential is for another account.
        Unavailable: the extra ``azure`` is not installed.
    """
    account = account_at(place, os.environ)
    try:
        from adlfs import AzureBlobFileSystem
    except ImportError as error:
        raise missing_extra(error) from None
    options: dict[str, Any] = {"account_name": account.name, "anon": account.is_anonymous}
    if account.connection is not None:
        options["connection_string"] = account.connection
    else:
        options |= {"account_host": place.host, "account_key": account.key, "sas_token": account.sas}
    with telling(place):
        return AzureBlobFileSystem(
            **options,
            assume_container_exists=True,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            use_listings_cache=False,  # others write there too
        )


@contextlib.contextmanager
def telling(place: AzurePlace | str) -> Iterator[None]:
    """Whatever Azure's libraries raise, as :class:`Unavailable`, without their words.

    A ``FileExistsError`` and a ``FileNotFoundError`` pass: they mean something to the caller.
    """
    try:
        yield
    except (SlsError, FileExistsError, FileNotFoundError):
        raise
    except Exception as error:  # noqa: BLE001  # azure-core, azure-identity, aiohttp and adlfs have no common base
        raise Unavailable(
            "Azure Blob Storage cannot be used.",
            found=f"{place}: {_kind(error)}",
            hint="Check that the container exists (az storage container create), that you may use it (the role Storage"
            " Blob Data Contributor to seal, Reader to read), and that you are logged in (az login).",
        ) from None


def _kind(error: BaseException) -> str:
    """The kind of the first error of a chain, with its HTTP status and Azure's code where it has them."""
    while error.__cause__ is not None and not getattr(error, "status_code", None):
        error = error.__cause__
    code = getattr(error, "error_code", None)
    code = str(getattr(code, "value", code) or "")
    said = [str(getattr(error, "status_code", "") or ""), code if code.isalnum() and len(code) < 80 else ""]
    return " ".join([type(error).__name__, *filter(None, said)])


class BlobWriter(io.RawIOBase):
    """A new blob that is written to; it is there, whole, when this is closed.

    Args:
        file: adlfs's, opened with ``xb``.
        taken: the error of a blob that is there by then.
    """

    def __init__(self, file: Any, place: str, taken: Callable[[], SlsError]) -> None:
        super().__init__()
        self._file, self._place, self._taken = file, place, taken

    def buffered(self) -> BinaryIO:
        return cast("BinaryIO", io.BufferedWriter(self, BUFFER_BYTES))

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with telling(self._place):
            return int(self._file.write(data))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if self.closed:
            return
        try:
            with telling(self._place):
                self._file.close()
        except FileExistsError:
            raise self._taken() from None
        finally:
            super().close()
