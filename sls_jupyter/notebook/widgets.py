"""Forms, the only place for ipywidgets: the inbox's buttons and the policy editor. Whatever a form does, a magic does too.

A saved notebook keeps a form as its ``text/plain``, so each has one that makes sense without a kernel. A
form's button reports an error under itself; it is no cell that could fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as w

from sls_jupyter.contract.spec import KINDS
from sls_jupyter.errors import SlsError
from sls_jupyter.naming import quoted, split_names
from sls_jupyter.notebook.cards import Card, Line, escape
from sls_jupyter.notebook.editing import changes_of, not_on_a_line, start_from
from sls_jupyter.notebook.render import decided_card, sealed_card
from sls_jupyter.notebook.seal_cells import policy_yaml, seal_line
from sls_jupyter.notebook.words import short_id
from sls_jupyter.policy.model import DEFAULT_KINDS, HARDWARE_TEES, SIMULATED_TEES
from sls_jupyter.session import RequestInfo, Session


class Form(w.VBox):  # type: ignore[misc]  # ipywidgets has no types here
    """A column of controls with a text that stands for it."""

    def __init__(self, children: Sequence[Any], plain: str) -> None:
        super().__init__(list(children))
        self._plain = plain

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        return {**bundle, "text/plain": self._plain}

    def __repr__(self) -> str:
        return self._plain


def _attempt(place: Any, action: Callable[[], str]) -> None:
    """Put what an action gives, or its error, into a place of the form."""
    try:
        place.value = action()
    except SlsError as error:
        place.value = f'<pre role="alert">{escape(chr(10).join(error.lines()))}</pre>'


# --- the inbox ------------------------------------------------------------------------------------


class DecisionForm:
    """Approve and Deny with a reason, for one request whose page stands above.

    Only the buttons are a form. What was decided is written into an ordinary output below them, which a saved notebook
    keeps as it keeps the page; a form is lost with its kernel.
    """

    def __init__(self, session: Session, request: RequestInfo) -> None:
        self._session, self._request = session, request
        self._place: Any = None
        self.answer = self._open_card()
        self.reason = w.Text(placeholder="Reason (a denial needs one)", layout=w.Layout(width="420px"))
        self.approve = w.Button(
            description="Approve", button_style="success", tooltip="Sign an approval on these terms"
        )
        self.deny = w.Button(description="Deny", button_style="danger", tooltip="Sign a denial; its reason is read")
        self.approve.on_click(partial(self._decide, session.approve, True))
        self.deny.on_click(partial(self._decide, session.deny, False))
        self.form = Form([w.HBox([self.reason, self.approve, self.deny])], self._words)

    @property
    def _words(self) -> str:
        short = short_id(self._request.id)
        return f"%sls approve {short}, or %sls deny {short} --reason TEXT, decides."

    def _open_card(self) -> Card:
        return Card(f"Request {short_id(self._request.id)} has no answer here yet", [Line(self._words)], tone="wait")

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.form)
        self._place = display(self.answer, display_id=True)

    def _decide(self, verb: Callable[[str, str], int], approved: bool, _: Any) -> None:
        try:
            entry = verb(self._request.id, self.reason.value)
        except SlsError as error:
            self._say(Card(f"Request {short_id(self._request.id)} is not decided", error_lines(error), tone="bad"))
            return
        self.approve.disabled = self.deny.disabled = self.reason.disabled = True
        self._say(decided_card(self._request.id, approved, entry, self.reason.value))

    def _say(self, card: Card) -> None:
        self.answer = card
        if self._place is not None:
            self._place.update(card)

    def __repr__(self) -> str:
        return self._words


def error_lines(error: SlsError) -> list[Line]:
    """An error as lines of a card."""
    return [Line(line) for line in error.lines()]


# --- the policy editor ----------------------------------------------------------------------------


def policy_form(session: Session, frame: str, data: Any) -> Form:
    """A form for the policy of a table, filled with the one in force; Seal seals.

    Below it stand the ``%seal`` line that says the same, and what it changes of the policy in force.

    Raises:
        BadInput: the policy in force is a module of the owner's, or cannot be said in options otherwise.
    """
    columns = [str(name) for name in getattr(data, "columns", ())]
    info = session.in_force(frame)
    editor = _Editor(frame, columns, start_from(info))
    words, seal, answer = w.HTML(), w.Button(description="Seal", button_style="primary"), w.HTML()
    known = {frame: info}

    def changes(options: dict[str, Any]) -> list[str]:
        name = options.pop("as", frame)
        try:
            if name not in known:
                known[name] = session.in_force(name)
            return changes_of(known[name], session.policy_from(**options), session.names())
        except SlsError as error:
            return error.lines()

    def show(_: Any = None) -> None:
        options = editor.options()
        line, text = escape(seal_line(frame, options)), escape(policy_yaml(options))
        items = "".join(f"<li>{escape(one)}</li>" for one in changes(dict(options)))
        note = escape(not_on_a_line(options))
        words.value = (
            f"<b>What changes</b><ul>{items}</ul><pre>{line}</pre>{note}"
            f"<details><summary>As YAML for --policy</summary><pre>{text}</pre></details>"
        )

    def press(_: Any) -> None:
        options = editor.options()
        name = options.pop("as", frame)
        _attempt(answer, lambda: sealed_card(session.seal(data, name, **options)).where(session.isolated)._repr_html_())
        known.clear()

    for control in editor.controls.values():
        control.observe(show, "value")
    seal.on_click(press)
    show()
    plain = f"Policy of {frame}, as a form. The same on a line: {seal_line(frame, editor.options())}"
    return Form([*editor.controls.values(), words, seal, answer], plain)


class _Editor:
    """The controls, and the options that they say.

    What nobody touches stays as it was, also what no control shows: who may ask, who approves, firmware's floors.
    """

    def __init__(self, frame: str, columns: Sequence[str], start: Mapping[str, Any]) -> None:
        self._frame, self._columns, self._start = frame, columns, dict(start)
        wanted = split_names(self._start["columns"]) if "columns" in self._start else columns
        self.controls = _controls(frame, columns, self._start, [name for name in columns if name in wanted])
        if set(wanted) - set(columns):  # the table has lost some
            self._start["columns"] = ",".join(map(quoted, self.controls["columns"].value))
        self._untouched = self._values()

    def _values(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}

    def options(self) -> dict[str, Any]:
        """What the form says, without what is the default anyway."""
        values, said = self._values(), dict(self._start)
        chosen = self._chosen(values)
        for name in (name for name, value in values.items() if value != self._untouched[name]):
            said[name] = chosen[name]
        first = {"as": said.pop("as", None), "allow_code": said.pop("allow_code", "reviewed")}
        return {name: one for name, one in {**first, **said}.items() if one is not None}

    def _chosen(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The option of each control; ``None`` where it is the default."""
        purposes = [text.strip() for text in value["purpose"].split(";") if text.strip()]
        hardware = [one for one in _tees(self._start) if one not in SIMULATED_TEES]
        tees = [*hardware, *(SIMULATED_TEES if value["tee"] else ())]
        return {
            "as": value["as"] if value["as"] != self._frame else None,
            "allow_code": value["allow_code"],
            "columns": ",".join(map(quoted, value["columns"])) if set(value["columns"]) != set(self._columns) else None,
            "purpose": purposes or None,
            "kinds": ",".join(value["kinds"]) if set(value["kinds"]) != set(DEFAULT_KINDS) else None,
            "min_group": value["min_group"] or None,
            "max_rows": value["max_rows"] or None,
            "max_runs": value["max_runs"] or None,
            "no_sessions": value["no_sessions"] or None,
            "max_cells": value["max_cells"] or None,
            "expires": value["expires"].strip() or None,
            "tee": ",".join(tees or HARDWARE_TEES) if set(tees or HARDWARE_TEES) != set(HARDWARE_TEES) else None,
        }


def _tees(start: Mapping[str, Any]) -> list[str]:
    return str(start["tee"]).split(",") if "tee" in start else list(HARDWARE_TEES)


def _controls(frame: str, columns: Sequence[str], start: Mapping[str, Any], chosen: Sequence[str]) -> dict[str, Any]:
    wide, style = w.Layout(width="520px"), {"description_width": "150px"}
    common = {"layout": wide, "style": style}
    codes = [("after my review", "reviewed"), ("any", "any")]
    code = start["allow_code"]
    codes += [] if code in ("reviewed", "any") else [("as it is now: " + code[:60], code)]
    kinds = tuple(start["kinds"].split(",")) if "kinds" in start else DEFAULT_KINDS

    def number(name: str, words: str) -> Any:
        return w.BoundedIntText(start.get(name, 0), min=0, max=10**15, description=words, **common)

    return {
        "as": w.Text(frame, description="Name", **common),
        "columns": w.SelectMultiple(
            options=columns, value=tuple(chosen), rows=min(8, max(2, len(columns))), description="Columns", **common
        ),
        "allow_code": w.Dropdown(options=codes, value=code, description="Code may run", **common),
        "purpose": w.Text(
            "; ".join(start.get("purpose", ())),
            placeholder="any purpose; several with ;",
            description="Purposes",
            **common,
        ),
        "kinds": w.SelectMultiple(options=KINDS, value=kinds, rows=3, description="May leave", **common),
        "min_group": number("min_group", "Least group size"),
        "max_rows": number("max_rows", "Most rows"),
        "max_runs": number("max_runs", "Most runs"),
        "no_sessions": w.Checkbox(
            bool(start.get("no_sessions")),
            description="No sessions: each cell is a run of its own",
            indent=True,
            **common,
        ),
        "max_cells": number("max_cells", "Most cells of a session"),
        "expires": w.Text(
            start.get("expires", ""), placeholder="never; for instance 30d", description="Expires after", **common
        ),
        "tee": w.Checkbox(
            any(one in SIMULATED_TEES for one in _tees(start)),
            description="SIMULATED TEE too (for demonstrations)",
            indent=True,
            **common,
        ),
    }
