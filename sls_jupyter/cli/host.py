"""``sls host`` and ``sls export``: what this machine can do, hosts on Azure, and a run's group as a template."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sls_jupyter.cli.words import card_in_shell, in_shell, say, show, tell
from sls_jupyter.errors import BadInput

if TYPE_CHECKING:
    from sls_jupyter.hosts.aci.sweep import Leftover
    from sls_jupyter.hosts.doctor import Finding
    from sls_jupyter.session import Session


def host(options: argparse.Namespace) -> int:
    """``sls host ACTION``; of ``doctor`` and ``sweep``, exit status 1 where something is not ok, or is left."""
    if options.action == "doctor" and not options.host:
        if options.record is not None:
            raise BadInput("This machine has nothing to record.", expected="sls host doctor HOST --record FILE")
        return _this_machine(options)
    with _session(options) as session:
        if options.action == "doctor":
            return _doctor(session, options)
        if options.action == "sweep":
            return _sweep(session, options)
        from sls_jupyter.notebook import hosts

        card = (
            hosts.add(session, options.kind, options)
            if options.action == "add"
            else hosts.remove(session, options.host)
        )
        show(card_in_shell(card, options.persona))
        return 0


def export(options: argparse.Namespace) -> int:
    """``sls export arm|bicep REQUEST --host HOST``."""
    from sls_jupyter.contract.group import group_for
    from sls_jupyter.identity import save_file
    from sls_jupyter.session.host_checks import exported

    with _session(options) as session:
        spec = session.request(options.id).spec
        group = group_for(spec, session.aci_host(options.host).settings.image.image())
        name, text = exported(session, options.host, group, options.form)
    if options.output:
        tell(f"{name}: {save_file(options.output, text.encode(), 'template')}")
    else:
        show(text.rstrip("\n"))
    return 0


@contextmanager
def _session(options: argparse.Namespace) -> Iterator[Session]:
    from sls_jupyter.notebook.sessions import close_all, require_persona, session_for

    require_persona(options.persona)
    try:
        yield session_for(options.persona)
    finally:
        close_all()


# --- doctor ---------------------------------------------------------------------------------------


def _this_machine(options: argparse.Namespace) -> int:
    from sls_jupyter.hosts.doctor import examine

    return _show_findings("This machine", examine(os.environ, datetime.now(UTC)), options)


def _doctor(session: Session, options: argparse.Namespace) -> int:
    from sls_jupyter.hosts.podman.doctor import examine_podman
    from sls_jupyter.hosts.podman.host import PodmanHost
    from sls_jupyter.session.host_checks import check_host, record_host

    known = session.hosts.get(options.host)
    if isinstance(known, PodmanHost):
        if options.record is not None:
            raise BadInput(
                "A host on podman has nothing to record.",
                found=f"{options.host} --record",
                expected="a host on Azure",
                hint=f"sls host doctor {options.host} tries it.",
            )
        return _show_findings(f"Host {options.host}", examine_podman(known), options)
    if options.record is not None:
        seen = record_host(session, options.host, options.record, lambda line: tell(line))
        tell(f"recorded what {seen.region} brings to a container, as of {seen.at}: {options.record}")
    return _show_findings(f"Host {options.host}", check_host(session, options.host), options)


def _show_findings(title: str, findings: Sequence[Finding], options: argparse.Namespace) -> int:
    from sls_jupyter.notebook.hosts import findings_card

    if options.json:
        show(json.dumps([asdict(one) for one in findings], indent=2))
    else:
        show(card_in_shell(findings_card(title, findings), options.persona))
    return 0 if all(one.ok for one in findings) else 1


# --- sweep ----------------------------------------------------------------------------------------


def _sweep(session: Session, options: argparse.Namespace) -> int:
    from sls_jupyter.hosts.podman.host import PodmanHost
    from sls_jupyter.notebook.args import duration
    from sls_jupyter.session.host_checks import left_behind, sweep

    if isinstance(session.hosts.get(options.host), PodmanHost):
        raise BadInput(
            "A host on podman is not swept.",
            found=options.host,
            expected="a host on Azure",
            hint="The next launch there removes what is left.",
        )
    found = left_behind(session, options.host, timedelta(seconds=duration(options.older)))
    if not found:
        say("Nothing of ours is there.")
        return 0
    say(f"{len(found)} of ours; one may be a run that goes on:", *(f"  {_words(one)}" for one in found))
    if not options.yes and not _asked(f"Delete {'it' if len(found) == 1 else 'them all'}? [y/N] "):
        say("Nothing was deleted.")
        return 1
    troubles = [(one, trouble) for one in found if (trouble := sweep(session, options.host, one))]
    for one, trouble in troubles:
        tell(f"{one.name} may still run: {trouble}")
    say(f"{len(found) - len(troubles)} deleted.")
    return 1 if troubles else 0


def _words(one: Leftover) -> str:
    age = "of unknown age" if one.age is None else f"{one.age.total_seconds() / 60:.0f} minutes old"
    return f"{one.name}  {one.state}, {age}, in {one.region}, spec {one.spec[:19] or 'unknown'}"


def _asked(question: str) -> bool:
    """Whether somebody at a terminal says yes; nobody there means no."""
    if not sys.stdin.isatty():
        tell(in_shell("Nobody can be asked here: --yes deletes them.", None))
        return False
    tell(question)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
