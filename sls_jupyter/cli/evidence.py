"""``sls attest`` and ``sls verify``: evidence and receipts, offline."""

from __future__ import annotations

import argparse

from sls_jupyter.cli.anchors import believed
from sls_jupyter.cli.words import isolated, show, tell
from sls_jupyter.errors import BadInput


def attest(options: argparse.Namespace) -> int:
    """``sls attest verify`` and its neighbours; unusable input is exit status 2."""
    from sls_jupyter.identity import Home
    from sls_jupyter.notebook import attest as files

    try:
        if options.action == "show":
            show(files.report_card(options.files))
            return 0
        if options.action == "export":
            return _export(options)
        if options.action == "root":
            (pin,) = believed(["self"], Home.find(options.persona)).simulated_ark_spki
            show(pin.hex())
            return 0
        anchors = believed(["self"], Home.find(options.persona)) if options.accept_simulated else None
        verdict = files.verify_asked(options, anchors)
    except BadInput as error:
        tell(*error.lines())
        return 2
    show(files.verdict_json(verdict) if options.json else files.verdict_card(verdict).where(isolated))
    return 0 if verdict.accepted else 1


def verify(options: argparse.Namespace) -> int:
    """``sls verify``: judge one receipt, or those of a session's cells together, without a session."""
    from sls_jupyter.notebook import receipts

    try:
        read = [one for file in options.file for one in receipts.read_all(file)]
        chain = receipts.judge_all(read, options)
    except BadInput as error:
        tell(*error.lines())
        return 2
    if len(read) > 1 or chain.of_notebook:
        show(chain.to_json() if options.json else receipts.chain_card(chain).where(isolated))
        return 0 if chain.accepted else 1
    ((file, verdict),), data = chain.judged, read[0].data or b""
    advice = receipts.advice(data, verdict)
    if options.json:
        show(receipts.verdict_json(verdict, advice))
    else:
        show(receipts.receipt_card(verdict, file=file, advice=advice).where(isolated))
    return 0 if verdict.accepted else 1


def _export(options: argparse.Namespace) -> int:
    from sls_jupyter.notebook.sessions import close_all, require_persona, session_for

    require_persona(options.persona)
    try:
        digests = [bytes.fromhex(text) for text in options.host_data]
    except ValueError:
        raise BadInput("A digest is 64 hex digits.", found=", ".join(options.host_data)[:200]) from None
    try:
        exported = session_for(options.persona).export_release(options.asset, options.authority, digests)
    finally:
        close_all()
    show(exported["key_vault"])
    show(exported["maa"])
    if exported["left_out"]:
        tell(f"Not exported, because no Azure service attests it: {exported['left_out']}")
    return 0
