"""Forms, the only place for ipywidgets: the inbox's buttons and the policy editor. Whatever a form does, a magic does too.

A saved notebook keeps a form as its ``text/plain``, so each has one that makes sense without a kernel. A
form's button reports an error under itself; it is no cell that could fail.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as w
import yaml

from sls_jupyter.contract.spec import KINDS
from sls_jupyter.errors import SlsError
from sls_jupyter.naming import quoted
from sls_jupyter.notebook.cards import Card, Line, escape
from sls_jupyter.notebook.render import decided_card, sealed_card
from sls_jupyter.notebook.words import short_id
from sls_jupyter.policy.model import DEFAULT_KINDS
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


def seal_line(frame: str, options: Mapping[str, Any]) -> str:
    """The ``%seal`` line that says the same as a form."""
    words = ["%seal", frame]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", shlex.quote(str(one))]
    return " ".join(words)


def policy_yaml(options: Mapping[str, Any]) -> str:
    """The same as a file for ``--policy``."""
    fields = {name.replace("_", "-"): value for name, value in options.items() if name != "as"}
    return str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))


def policy_form(session: Session, frame: str, data: Any) -> Form:
    """A form for the policy of a table; it shows the ``%seal`` line that says the same, and Seal seals."""
    columns = [str(name) for name in getattr(data, "columns", ())]
    controls = _controls(frame, columns)
    words, seal, answer = w.HTML(), w.Button(description="Seal", button_style="primary"), w.HTML()

    def show(_: Any = None) -> None:
        options = _options(frame, columns, controls)
        line, text = escape(seal_line(frame, options)), escape(policy_yaml(options))
        words.value = f"<pre>{line}</pre><details><summary>As YAML for --policy</summary><pre>{text}</pre></details>"

    def press(_: Any) -> None:
        options = _options(frame, columns, controls)
        name = options.pop("as", frame)
        _attempt(answer, lambda: sealed_card(session.seal(data, name, **options)).where(session.isolated)._repr_html_())

    for control in controls.values():
        control.observe(show, "value")
    seal.on_click(press)
    show()
    plain = f"Policy of {frame}, as a form. The same on a line: {seal_line(frame, {'allow_code': 'reviewed'})}"
    return Form([*controls.values(), words, seal, answer], plain)


def _controls(frame: str, columns: Sequence[str]) -> dict[str, Any]:
    wide, style = w.Layout(width="520px"), {"description_width": "150px"}
    common = {"layout": wide, "style": style}
    return {
        "as": w.Text(frame, description="Name", **common),
        "columns": w.SelectMultiple(
            options=columns, value=tuple(columns), rows=min(8, max(2, len(columns))), description="Columns", **common
        ),
        "allow_code": w.Dropdown(
            options=[("after my review", "reviewed"), ("any", "any")], description="Code may run", **common
        ),
        "purpose": w.Text(placeholder="any purpose; several with ;", description="Purposes", **common),
        "kinds": w.SelectMultiple(options=KINDS, value=DEFAULT_KINDS, rows=3, description="May leave", **common),
        "min_group": w.BoundedIntText(0, min=0, max=10**9, description="Least group size", **common),
        "max_rows": w.BoundedIntText(0, min=0, max=10**9, description="Most rows", **common),
        "max_runs": w.BoundedIntText(0, min=0, max=10**9, description="Most runs", **common),
        "expires": w.Text(placeholder="never; for instance 30d", description="Expires after", **common),
        "tee": w.Checkbox(False, description="SIMULATED TEE too (for demonstrations)", indent=True, **common),
    }


def _options(frame: str, columns: Sequence[str], controls: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says, without what is the default anyway."""
    value = {name: control.value for name, control in controls.items()}
    purposes = [text.strip() for text in value["purpose"].split(";") if text.strip()]
    chosen: dict[str, Any] = {
        "as": value["as"] if value["as"] != frame else None,
        "allow_code": value["allow_code"],
        "columns": ",".join(map(quoted, value["columns"])) if set(value["columns"]) != set(columns) else None,
        "purpose": purposes or None,
        "kinds": ",".join(value["kinds"]) if set(value["kinds"]) != set(DEFAULT_KINDS) else None,
        "min_group": value["min_group"] or None,
        "max_rows": value["max_rows"] or None,
        "max_runs": value["max_runs"] or None,
        "expires": value["expires"].strip() or None,
        "tee": "sev-snp,tdx,sgx,simulated-snp" if value["tee"] else None,
    }
    return {name: one for name, one in chosen.items() if one is not None}
