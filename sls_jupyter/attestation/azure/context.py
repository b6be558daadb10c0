"""Where a container in Azure finds what speaks for its report: certificates and the UVM endorsement.

A directory that ``UVM_SECURITY_CONTEXT_DIR`` names, usually ``/security-context-`` and a random part, or, in
older groups, environment variables. What the files look like is :mod:`~sls_jupyter.attestation.azure.forms`'
business; they are hints until they have verified against the report, and nothing here verifies. It has not met
a running group: tested against a file tree, with genuine contents.

Sources: microsoft/confidential-aci-examples, docs/Confidential_ACI_SCHEME.md; microsoft/confidential-sidecar-
containers ``pkg/common/info.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sls_jupyter.attestation.azure.forms import Parts, gather, order_chain, read_security_context
from sls_jupyter.errors import BadInput, MalformedDocument, Unavailable

DIRECTORY = "UVM_SECURITY_CONTEXT_DIR"
OLDER_VARIABLES = ("UVM_HOST_AMD_CERTIFICATE", "UVM_REFERENCE_INFO")


def find_endorsements(environ: Mapping[str, str], root: Path) -> tuple[bytes, ...] | None:
    """The endorsements in the order of our evidence (VCEK, ASK, ARK, UVM); None where there is no context.

    The directory is the one that the environment names, or the only ``/security-context-*`` below ``root``.

    Raises:
        Unavailable: it is there and has no certificates, or cannot be read, or there are several.
    """
    folder = _directory(environ, root)
    if folder is None and not environ.get(OLDER_VARIABLES[0]):
        return None
    source = ", ".join(OLDER_VARIABLES) if folder is None else str(folder)
    try:
        parts = _from_variables(environ) if folder is None else read_security_context(folder)
        chain = order_chain(parts.certificates)
    except (MalformedDocument, BadInput) as error:
        raise _unusable(source, error.message) from None
    if not chain:
        raise _unusable(source, "no certificates")
    return chain if parts.uvm is None else (*chain, parts.uvm)


def _from_variables(environ: Mapping[str, str]) -> Parts:
    return gather(environ[name].encode() for name in OLDER_VARIABLES if environ.get(name))


def _directory(environ: Mapping[str, str], root: Path) -> Path | None:
    named = environ.get(DIRECTORY, "")
    if named:
        return root / named.lstrip("/")
    try:
        found = sorted(path for path in root.glob("security-context-*") if path.is_dir())
    except OSError:
        found = []
    if len(found) > 1:
        raise _unusable(str(root), f"{len(found)} directories security-context-*")
    return found[0] if found else None


def _unusable(source: str, found: str) -> Unavailable:
    return Unavailable(
        "The security context of this container group cannot be used.",
        found=f"{source}: {found}",
        expected=f"the directory that {DIRECTORY} names, as Azure writes it",
        hint="Start the group again; Azure writes the directory when it starts a confidential group.",
    )
