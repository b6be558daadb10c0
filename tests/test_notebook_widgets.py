"""Forms do what the magics do, and their text makes sense without a kernel."""

import pytest
from IPython.display import display
from IPython.utils.capture import capture_output
from notebook_kit import frame, shell_with_magics
from review_kit import reviewed

from sls_jupyter.identity import Home
from sls_jupyter.notebook.args import split
from sls_jupyter.notebook.editing import edit_card
from sls_jupyter.notebook.parsers import seal_parser
from sls_jupyter.notebook.review import request_card
from sls_jupyter.notebook.seal_cells import policy_yaml, seal_line
from sls_jupyter.notebook.widgets import DecisionForm, policy_form
from sls_jupyter.policy.options import policy_from_yaml
from sls_jupyter.session import Session
from sls_jupyter.session.contacts import Who


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    session = Session(Home(tmp_path_factory.mktemp("home"), "hospital"))
    yield session
    session.close()


class FakeSession:
    """Answers approvals and denials, and remembers them."""

    def __init__(self):
        self.said = []

    def approve(self, id_, reason):
        self.said.append(("approve", id_, reason))
        return 7

    def deny(self, id_, reason):
        from sls_jupyter.errors import BadInput

        if not reason:
            raise BadInput("A denial needs a reason <b>.")
        self.said.append(("deny", id_, reason))
        return 8


@pytest.fixture
def request_info(session):
    session.seal(frame(), "patients", tee="simulated-snp")
    return reviewed(session, ["patients"], "x = 1", requester=Who(session.did, None, "<i>analyst</i>"))


def test_approve_signs_and_shows_the_log_entry(request_info):
    """The button is %sls approve, once."""
    session = FakeSession()
    form = DecisionForm(session, request_info)
    form.reason.value = "fine"
    form.approve.click()
    assert session.said == [("approve", request_info.id, "fine")]
    assert "log entry  7" in str(form.answer)
    assert form.approve.disabled
    assert form.deny.disabled


def test_an_error_is_shown_under_the_form_and_escaped(request_info):
    """A denial without a reason says so, and can be tried again."""
    form = DecisionForm(FakeSession(), request_info)
    form.deny.click()
    assert "A denial needs a reason &lt;b&gt;" in form.answer._repr_html_()
    assert not form.approve.disabled


def test_what_was_decided_stays_in_the_notebook(request_info, tmp_path):
    """Page and answer are ordinary outputs: a form is lost with its kernel, what was read and decided is not."""
    form = DecisionForm(FakeSession(), request_info)
    with shell_with_magics(tmp_path), capture_output() as captured:
        display(request_card(request_info), form)
        form.reason.value = "fine"
        form.approve.click()
    page, buttons, place = (output.data for output in captured.outputs[:3])
    assert "x = 1" in page["text/plain"]
    assert "&lt;i&gt;analyst" in page["text/html"]
    assert "widget-view+json" not in " ".join([*page, *place])
    assert "%sls approve" in buttons["text/plain"]
    answer = captured.outputs[-1]
    assert answer.data["text/plain"].startswith("Approved request")
    assert "text/html" in answer.data


def test_the_editor_shows_the_line_that_says_the_same(session):
    """Who learns from the form can type it the next time."""
    form = policy_form(session, "visits", frame())
    controls = {control.description: control for control in form.children if getattr(control, "description", "")}
    controls["Columns"].value = ("age",)
    controls["Purposes"].value = "risk study; <b>care</b>"
    controls["Least group size"].value = 10
    words = form.children[-3].value
    assert "%seal visits --allow-code reviewed --columns age" in words
    assert "--min-group 10" in words
    assert "&lt;b&gt;care" in words
    form.children[-2].click()
    assert "Sealed visits" in form.children[-1].value
    policy = next(info.policy for info in session.assets() if info.name == "visits")
    assert (policy.columns, policy.min_group, policy.purposes) == (("age",), 10, ("<b>care</b>", "risk study"))


def test_a_bad_value_is_said_under_the_form(session):
    """A form raises nothing into the void."""
    form = policy_form(session, "visits", frame())
    controls = {control.description: control for control in form.children if getattr(control, "description", "")}
    controls["Expires after"].value = "soon"
    form.children[-2].click()
    assert "takes a duration" in form.children[-1].value


def test_line_and_yaml_are_what_the_policy_reads():
    """What the editor writes is what %seal and --policy take."""
    options = {"allow_code": "any", "purpose": ["a b", "c"], "min_group": 5}
    assert seal_line("x", options) == "%seal x --allow-code any --purpose 'a b' --purpose c --min-group 5"
    owner = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    assert policy_from_yaml(policy_yaml(options), owner, 0).purposes == ("a b", "c")


# --- editing what is in force ---------------------------------------------------------------------


def controls_of(form):
    return {control.description: control for control in form.children if getattr(control, "description", "")}


def in_force(session, name):
    return next(info.policy for info in session.assets() if info.name == name)


@pytest.fixture
def strict(session):
    """A table with restrictions, some of which no control shows."""
    options = {"allow_code": "reviewed", "columns": "age", "purpose": ["risk study"], "min_group": 10, "max_rows": 0}
    options |= {
        "expires": "30d",
        "tee": "simulated-snp",
        "requester": session.did,
        "minimum_tcb": {"sev-snp": {"snp": 20}},
    }
    session.seal(frame(), "strict", **options)
    return in_force(session, "strict")


def test_the_form_opens_with_the_policy_in_force(session, strict):
    """An owner who opens the form and seals changes nothing, also of what no control shows."""
    form = policy_form(session, "strict", frame())
    controls = controls_of(form)
    assert (controls["Columns"].value, controls["Purposes"].value) == (("age",), "risk study")
    assert (controls["Least group size"].value, controls["SIMULATED TEE too (for demonstrations)"].value) == (10, True)
    assert "The policy stays as it is." in form.children[-3].value
    assert "minimum-tcb can only stand in a file" in form.children[-3].value
    form.children[-2].click()
    assert "Sealed strict" in form.children[-1].value
    assert in_force(session, "strict") == strict


def test_the_form_says_what_changes_before_it_is_published(session, strict):
    """Loosened or tightened, the owner reads it in words first, and the version that is made says it again."""
    form = policy_form(session, "strict", frame())
    controls = controls_of(form)
    controls["Least group size"].value = 5
    controls["Purposes"].value = "risk study; <b>"
    words = form.children[-3].value
    assert "− A row of a result describes at least 10 records." in words
    assert "+ A row of a result describes at least 5 records." in words
    assert "+ Only for the purpose “&lt;b&gt;” or “risk study”." in words
    assert in_force(session, "strict") == strict
    form.children[-2].click()
    assert "+ A row of a result describes at least 5 records." in form.children[-1].value
    now = in_force(session, "strict")
    assert (now.min_group, now.max_rows, now.requesters) == (5, 0, strict.requesters)
    assert (now.minimum_tcb, now.expires_at, now.tees) == (strict.minimum_tcb, strict.expires_at, strict.tees)


def test_the_form_allows_bounds_and_forbids_sessions(session, strict):
    """What an owner can say of sessions on a line, the form says too; both together are told to mean nothing."""
    form = policy_form(session, "strict", frame())
    controls = controls_of(form)
    controls["Most cells of a session"].value = 40
    assert "--max-cells 40" in form.children[-3].value
    assert "A session has at most 40 cells." in form.children[-3].value
    controls["No sessions: each cell is a run of its own"].value = True
    assert "has no meaning where there are no sessions" in form.children[-3].value
    controls["Most cells of a session"].value = 0
    form.children[-2].click()
    assert not in_force(session, "strict").sessions
    assert controls_of(policy_form(session, "strict", frame()))["No sessions: each cell is a run of its own"].value


def test_another_name_is_compared_with_its_own_policy(session, strict):
    """A form that seals under another name says that nothing of that name is in force, or what it would replace."""
    form = policy_form(session, "strict", frame())
    controls_of(form)["Name"].value = "fresh"
    assert "this one is the first" in form.children[-3].value
    session.seal(frame(), "other", allow_code="any", tee="simulated-snp")
    controls_of(form)["Name"].value = "other"
    assert "− Any code may run." in form.children[-3].value


def test_a_table_that_lost_a_column_offers_those_that_it_has(session):
    """What the form seals names no column that is not there."""
    session.seal(frame(), "narrow", columns="age,outcome", tee="simulated-snp")
    form = policy_form(session, "narrow", frame()[["age"]])
    assert "− Only these columns may be used: age and outcome." in form.children[-3].value
    form.children[-2].click()
    assert in_force(session, "narrow").columns == ("age",)


def test_without_a_screen_the_change_is_a_card(session, strict):
    """Papermill and a terminal get the same words, and the line that publishes it; nothing is published."""
    text = str(edit_card(session, "strict", {}))
    assert "The policy in force" in text
    assert "%seal strict --allow-code reviewed" in text
    assert "--purpose 'risk study'" in text
    text = str(edit_card(session, "strict", {"min_group": 5}))
    assert "− A row of a result describes at least 10 records." in text
    assert "+ A row of a result describes at least 5 records." in text
    assert "snp: 20" in text  # what the line cannot say stands as YAML
    assert "this one is the first" in str(edit_card(session, "nothing-yet", {"min_group": 5}))
    assert in_force(session, "strict") == strict


def test_a_line_means_what_the_form_means(tmp_path):
    """Signs that a magic's line has a meaning for, and flags, survive being typed."""
    line = seal_line("x", {"purpose": ["50 $ {a} 'b'"], "full_errors": True, "min_group": 5})
    options = seal_parser(False).parse(split(line.removeprefix("%seal "), {}))
    assert (options.purpose, options.full_errors, options.min_group) == (["50 $ {a} 'b'"], True, 5)
