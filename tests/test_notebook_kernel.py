"""The whole path in a real kernel: seal, ask, approve, run, interrupt, complete; and the same under papermill."""

import os
import re
import subprocess
import sys

import nbclient
import nbformat
import pytest
from nbconvert import HTMLExporter
from notebook_kit import PATIENTS, Kernel, check_html, wait_until

from sls_jupyter.identity import Home
from sls_jupyter.notebook.status import RUN_TYPE

LOAD = "%load_ext sls_jupyter\nimport pandas as pd\n" + PATIENTS
SEAL = (
    "%seal patients --allow-code reviewed --columns age,sex --min-group 10 --purpose 'risk study' "
    "--tee simulated-snp --kinds table,text,figure"
)
CELL = """%%safestream -i patients:age,sex -o risk --purpose 'risk study'
print("inside")
risk = patients.groupby("sex").age.mean().reset_index()
risk
"""
LOOP = """%%safestream -i patients:age --purpose 'risk study'
print("looping")
while True: pass
"""
ERROR = """%%safestream -i patients:age --purpose 'risk study'
patients.no_such_thing
"""
STEPS = '<table class="sls-steps">'
APPROVE = """
import sls_jupyter, time
owner = sls_jupyter.connect("hospital")
while not (waiting := [one for one in owner.requests() if one.state == "open"]): time.sleep(0.05)
for one in waiting: owner.approve(one.id)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    environment = {
        **os.environ,
        "SLS_HOME": str(tmp_path_factory.mktemp("home")),
        "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")),
    }
    kernel = Kernel(environment)
    outcome = kernel.run(f"{LOAD}\n%sls as hospital\n{SEAL}\n%sls as analyst")
    assert outcome.error == ""
    yield kernel
    kernel.stop()


def ask_and_approve(kernel, cell):
    """Run a cell once to ask, and let the hospital approve it."""
    assert "must approve" in kernel.run(cell).error
    assert kernel.run(APPROVE).error == ""


def test_from_asking_to_the_dataframe(kernel):
    """What a newcomer sees: a question, an approval, one block, the outputs, a line, and proven records."""
    ask_and_approve(kernel, CELL)
    outcome = kernel.run(CELL)
    assert outcome.error == ""
    assert "inside" in outcome.stdout
    assert re.search(
        r"SIMULATED TEE · \d+ checks passed · receipt sha256:[0-9a-f]{8}… · log entry \d+ ✓", outcome.stdout
    )
    block = outcome.bundles[0]
    assert "· done · SIMULATED" in block["text/plain"]
    assert "✓ returned" in block["text/plain"]
    check_html(block["text/html"])
    assert outcome.updates >= 3
    assert any("sex" in bundle.get("text/html", "") for bundle in outcome.bundles[1:])
    assert kernel.run("print(len(risk))").stdout == "2\n"
    assert "every proof verified" in kernel.run(f"%sls audit {_run_id(outcome)}").plain
    assert "2 × 2" in kernel.run(f"%sls result {_run_id(outcome)}").plain


def _run_id(outcome):
    return outcome.bundles[0]["text/plain"].split()[1]


def test_an_error_in_the_cell_fails_it_with_our_text(kernel):
    """Of a remote error only what the owner lets out is seen, and the cell has failed."""
    ask_and_approve(kernel, ERROR)
    outcome = kernel.run(ERROR)
    assert "ProgramFailed: The cell raised AttributeError" in outcome.error
    assert "no_such_thing" not in outcome.error
    assert "Traceback" not in outcome.error


def test_an_interrupt_cancels_the_remote_run(kernel):
    """Stop ends the group and is logged; the kernel is free again."""
    ask_and_approve(kernel, LOOP)
    outcome = kernel.run(LOOP, when=lambda outcome: "looping" in outcome.stdout)
    assert "was cancelled" in outcome.error
    assert "Traceback" not in outcome.error
    assert "· cancelled" in outcome.bundles[0]["text/plain"]
    assert "cancelled" in kernel.run("%sls runs").plain
    assert "run.killed" in kernel.run(f"%sls audit {_run_id(outcome)}").plain


def test_a_handle_can_be_awaited_in_a_cell(kernel):
    """--no-wait lets the notebook go on while a person decides; await shows the rest."""
    cell = CELL.replace("-o risk", "-o risk --no-wait").replace("inside", "awaited")
    first = kernel.run(cell + "# another\n")
    assert "_.wait()" in first.bundles[0]["text/plain"]
    assert kernel.run("handle = _\n" + APPROVE).error == ""
    outcome = kernel.run("risk = None\nawait handle")
    assert outcome.error == ""
    assert "awaited" in outcome.stdout
    assert kernel.run("print(len(risk))").stdout == "2\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("%%safestream -i pat", "patients"),
        ("%%safestream -i patients:ag", "age"),
        ("%%safestream -i patients:age,s", "sex"),
        ("%%safestream -i patients --purp", "--purpose"),
        ("%sls pre", "preflight"),
        ("%sls as hosp", "hospital"),
        ("%seal pati", "patients"),
        ("%seal patients --columns age,s", "sex"),
        ("%%safestream -i patients:age --purpose ", "'risk study'"),
        ("%%safestream -i patients:age --purpose 'ri", "'risk study'"),
        ("%%safestream -i patients:age --tee sev-snp,", "simulated-snp"),
        ("%%safestream -i patients:age --to hos", "hospital"),
        ("%%safestream -i patients:age -p pat", "patients"),
    ],
)
def test_completion(kernel, code, expected):
    """The tab key knows assets, grantable columns, options, commands and personas."""
    wait_until(lambda: expected in kernel.complete(code), 30)  # the first answer may come before the names are read


def test_completion_never_offers_what_the_owner_keeps(kernel):
    """A column that cannot be granted is not offered."""
    assert "outcome" not in kernel.complete("%%safestream -i patients:")


def test_completion_in_the_body_of_a_cell(kernel):
    """The columns that the first line asks for, with their types, before what a frame of that name has in this kernel."""
    cell = "%%safestream -i patients=p:age,sex -i patients:sex -o risk\nrisk = 1\n"
    wait_until(lambda: kernel.complete_typed(cell + "p.") == {"age": "int64", "sex": "str"}, 30)
    assert kernel.complete_typed(cell + 'p[["age", "s') == {"sex": "str"}
    here = list(kernel.complete_typed(cell + "patients.").items())
    assert here[0] == ("sex", "str")
    assert ("groupby", "function") in here
    assert "outcome" not in dict(here)
    assert kernel.complete(cell + "patients.gro")[0] == "groupby"


@pytest.mark.parametrize("place", [4, 20, 40])
def test_the_options_stand_beside_the_cursor(kernel, place):
    """Shift+Tab anywhere on a magic's line, and a question mark; elsewhere the kernel answers as it did."""
    told = kernel.inspect(CELL, place)
    assert set(told) == {"text/plain"}
    assert "--purpose TEXT" in told["text/plain"]
    assert "--min-group" in kernel.inspect("%seal patients", 12)["text/plain"]
    assert "-o" not in kernel.inspect("len", 2)["text/plain"].split()
    assert kernel.inspect("nothing_at_all", 3) == {}


def test_the_inbox_s_form_is_its_buttons_only(kernel):
    """The page is an ordinary output, and the form's text/plain says what to do without it."""
    kernel.run(CELL + "# a third\n")
    outcome = kernel.run("%sls as hospital\n%sls requests\n%sls as analyst")
    (form,) = [one for one in outcome.bundles if "application/vnd.jupyter.widget-view+json" in one]
    assert "%sls approve " in form["text/plain"]
    (page,) = [one for one in outcome.bundles if "Code, exactly as it will run" in one.get("text/plain", "")]
    assert "# a third" in page["text/html"]
    assert set(page) == {"text/plain", "text/html"}


def _notebook(*cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


@pytest.mark.filterwarnings("default")  # nbclient's own event loop
def test_in_a_notebook_errors_are_error_outputs(tmp_path, monkeypatch):
    """nbclient, hence every tool on it, stops at our error and shows our words."""
    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    client = nbclient.NotebookClient(_notebook("%load_ext sls_jupyter", "%sls audit nothing"), timeout=60)
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="There is no such run"):
        client.execute()
    (output,) = client.nb.cells[1].outputs
    assert output.ename == "UnknownName"


CLICK = """
import gc, ipywidgets
deny = next(one for one in gc.get_objects() if isinstance(one, ipywidgets.Button) and one.description == "Deny")
reason = next(one for one in gc.get_objects() if isinstance(one, ipywidgets.Text))
reason.value = "not this week"
deny.click()
"""


@pytest.mark.filterwarnings("default")
def test_a_saved_notebook_keeps_what_was_read_and_decided(tmp_path, monkeypatch):
    """Reopened without its kernel, the notebook still has the page, and below it the answer that a button gave."""
    monkeypatch.setenv("SLS_HOME", str(tmp_path / "home"))
    start = (
        f"%load_ext sls_jupyter\nimport pandas as pd\n{PATIENTS}\n%sls as hospital\n%seal patients --tee simulated-snp"
    )
    ask = "%%safestream -i patients -o risk --no-wait\nrisk = patients.age.mean()\n"
    notebook = _notebook(start, "%sls as analyst", ask, "%sls as hospital\n%sls requests", CLICK)
    nbclient.NotebookClient(notebook, timeout=60).execute()
    nbformat.write(notebook, tmp_path / "saved.ipynb")
    outputs = nbformat.read(tmp_path / "saved.ipynb", 4).cells[3].outputs
    kept = [
        one.data["text/plain"]
        for one in outputs
        if "application/vnd.jupyter.widget-view+json" not in one.get("data", {})
    ]
    assert any("risk = patients.age.mean()" in text for text in kept)
    assert kept[-1].startswith("Denied request")
    assert "not this week" in kept[-1]


@pytest.mark.filterwarnings("default")
def test_a_saved_card_names_its_run_and_every_other_reader_shows_its_page(tmp_path, monkeypatch):
    """A front end of ours finds the run again; an export shows the card as it always was and not a word of the rest."""
    monkeypatch.setenv("SLS_HOME", str(tmp_path / "home"))
    start = f"%load_ext sls_jupyter\nimport pandas as pd\n{PATIENTS}\n"
    seal = "%seal patients --allow-code any --requester me --tee simulated-snp"
    cell = "%%safestream -i patients -o risk\nrisk = patients.groupby('sex').age.mean().reset_index()\n"
    notebook = _notebook(start + seal, cell, cell.replace("-o", "--no-wait -o") + "# another\n", "_.wait()")
    nbclient.NotebookClient(notebook, timeout=60).execute()
    nbformat.validate(notebook)
    shown = [one.data for cell in notebook.cells for one in cell.outputs if "data" in one]
    blocks = [data for data in shown if STEPS in data.get("text/html", "")]
    assert len(blocks) == 3
    for data in blocks:
        about = data[RUN_TYPE]
        assert about["run"] in data["text/plain"]
        assert (about["state"], about["persona"], about["home"]) == ("done", "me", Home.find("me").mark)
        assert about["receipt"].startswith("sha256:")
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert page.count(STEPS) == 3
    assert RUN_TYPE not in page
    assert Home.find("me").mark not in page


def test_papermill_fails_when_a_magic_does(tmp_path):
    """A pipeline notices: the exit code is not zero and the message is ours."""
    nbformat.write(_notebook("%load_ext sls_jupyter", "%seal nothing"), tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "--no-progress-bar"]
    environment = {**os.environ, "SLS_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "The notebook has no variable nothing" in done.stderr
