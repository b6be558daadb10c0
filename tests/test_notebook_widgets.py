"""Forms do what the magics do, and their text makes sense without a kernel."""

import pytest
from IPython.display import display
from IPython.utils.capture import capture_output
from notebook_kit import frame, shell_with_magics
from review_kit import reviewed

from sls_jupyter.identity import Home
from sls_jupyter.notebook.review import request_card
from sls_jupyter.notebook.widgets import DecisionForm, policy_form, policy_yaml, seal_line
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
