"""The magics on a bare shell: they parse, call and show; every mistake is raised in our own words."""

import os
import threading

import pytest
from IPython.core.interactiveshell import InteractiveShell
from notebook_kit import check_html, frame, run_magic, scripted_run, shell_with_magics

import sls_jupyter
from sls_jupyter.errors import AccessDenied, BadInput, SlsError, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.notebook import people
from sls_jupyter.notebook.args import split
from sls_jupyter.notebook.handle import RunHandle
from sls_jupyter.notebook.magics import SlsMagics, register
from sls_jupyter.notebook.sessions import close_all
from sls_jupyter.session import Session
from sls_jupyter.session.contacts import Who


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("SLS_HOME", str(tmp_path_factory.mktemp("home")))
    patch.delenv("SLS_PERSONA", raising=False)
    with shell_with_magics(tmp_path_factory.mktemp("shell")) as shell:
        shell.user_ns |= {"patients": frame(), "least": 5}
        run_magic(shell, "%sls as hospital")
        run_magic(shell, "%seal patients --columns age --purpose 'risk study' --tee simulated-snp --min-group $least")
        yield shell
    close_all()
    patch.undo()


@pytest.fixture(autouse=True)
def as_hospital(shell):
    run_magic(shell, "%sls as hospital")


def test_the_persona_s_session_is_shared_with_scripts(shell):
    """A script and a magic of one notebook see the same runs and the same authority."""
    assert sls_jupyter.connect("hospital") is shell.magics_manager.registry["SlsMagics"].session
    assert sls_jupyter.connect("analyst") is not sls_jupyter.connect("hospital")


def test_sealing_shows_a_card(shell):
    """The card has the policy that the options said, variables included."""
    (info,) = [one for one in sls_jupyter.connect("hospital").assets() if one.name == "patients"]
    assert (info.policy.columns, info.policy.min_group, info.policy.purposes) == (("age",), 5, ("risk study",))
    shown = run_magic(shell, "%seal patients --as other --group both=age,outcome --expires 30d")
    assert "Sealed other" in shown.plain
    assert "inclusion proof verified" in shown.plain
    assert "both" in shown.plain
    check_html(shown.bundles[0]["text/html"])


def test_sealing_a_file_takes_its_name(shell, tmp_path):
    """A path in quotes is sealed under the file's own name."""
    path = tmp_path / "my data.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="--as"):
        run_magic(shell, f"%seal '{path}'")
    assert "Sealed visits" in run_magic(shell, f"%seal '{path}' --as visits").plain


def test_sealing_a_cell_keeps_its_text(shell):
    """The body of %%seal is sealed as it stands; braces and dollars are code."""
    shown = run_magic(
        shell, "%%seal risk_model --allow-code any --confidential", "def fit(df): return f'{df} $least'\n"
    )
    assert "Sealed risk_model" in shown.plain
    assert "code, confidential" in shown.plain


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%seal", "FRAME"),
        ("%seal patient", "Did you mean patients"),
        ("%seal pen", "Run the cell that makes it first"),
        ("%seal patients --colums age", "Did you mean --columns"),
        ("%seal patients --tee sgx2", "tee"),
        ("%seal patients --columns", "columns"),
        ("%seal patients --group a=age --group a=outcome", "one name"),
        ("%seal least --as x", ""),
        ("%seal no/such/file.csv --as x", "no such file"),
        ("%seal patients --policy no-such.yaml", "policy file"),
        ("%sls asets", "Did you mean %sls assets"),
        ("%sls as 'Not A Name'", "lower-case"),
        ("%sls as", "NAME"),
        ("%sls show 123", "no such request"),
        ("%sls approve 123", "no such request"),
        ("%sls deny 123", "--reason"),
        ("%sls audit 123", "no such run"),
        ("%sls cancel 123", "no such run"),
        ("%sls result 123", "no such run"),
        ("%sls connect http://example.org", "HTTPS"),
        ("%sls connect http://127.0.0.1:9", ""),
        ("%sls withdraw nothing", "no asset"),
        ("%sls edit nothing", "no variable"),
        ("%sls preflight", "at least one asset"),
        ("%sls preflight -i patient", "Did you mean patients"),
        ("%sls preflight -i patients:agee", "no column"),
        ("%sls preflight -i patients -p nothing", "no variable nothing"),
        ("%sls preflight -i patients -i patients", "one alias"),
        ("%sls preflight -i patients --to somebody", "contact add FILE"),
        ("%sls show '", "quotation"),
        ("%sls audit {1+1}", "plain name"),
        ("%safestream -i patients", "no code"),
    ],
)
def test_every_mistake_is_raised_in_our_words(shell, line, says):
    """Nothing is printed and swallowed, and no foreign traceback escapes."""
    with pytest.raises(SlsError) as caught:
        run_magic(shell, line)
    assert says in "\n".join(caught.value.lines())


def test_a_cell_that_fails_is_a_failed_cell(shell):
    """run_cell, hence papermill, sees the error; what is shown is our lines without a stack."""
    result = shell.run_cell("%seal patient", store_history=False)
    assert isinstance(result.error_in_exec, UnknownName)


@pytest.mark.parametrize(
    "command", ["", "whoami", "assets", "requests", "can-run", "runs", "hosts", "help", "preflight -i patients:age"]
)
def test_commands_show_cards(shell, command):
    """Each has text and HTML, and the HTML is well formed."""
    shown = run_magic(shell, f"%sls {command}")
    assert shown.plain.strip()
    for bundle in shown.bundles:
        check_html(bundle["text/html"])


def test_help_is_printed_and_does_nothing(shell):
    """--help ends no kernel and seals nothing."""
    for line in ("%seal --help", "%safestream -h", "%sls audit --help", "%sls --help"):
        assert "sls" in run_magic(shell, line).plain or "usage" in run_magic(shell, line).plain


def test_a_request_from_asking_to_denial(shell):
    """The analyst asks, the hospital reads the code and denies, the analyst reads why."""
    run_magic(shell, "%sls as analyst")
    cell = "risk = {'$least': '{least}'}\n"
    line = "%%safestream -i patients:age -o risk --purpose 'risk study'"
    with pytest.raises(SlsError, match="must approve"):
        run_magic(shell, line, cell)
    run_magic(shell, "%sls as hospital")
    (waiting,) = sls_jupyter.connect("hospital").requests()
    assert waiting.code == cell.rstrip()
    shown = run_magic(shell, f"%sls show {waiting.id[7:19]}")
    assert "risk = {'$least': '{least}'}" in shown.plain
    assert "Denied request" in run_magic(shell, f"%sls deny {waiting.id[7:19]} --reason 'not this year'").plain
    run_magic(shell, "%sls as analyst")
    with pytest.raises(AccessDenied, match="not this year"):
        run_magic(shell, line, cell)
    assert "failed" in run_magic(shell, "%sls runs").plain


def test_options_reach_the_contract(shell, monkeypatch):
    """Limits, kinds, TEEs, parameters and the host are what the line said; the code is the cell but for its last line end."""
    session, seen = sls_jupyter.connect("hospital"), {}

    def run(request, *, host, wait_for_approval, results_to):
        seen.update(request=request, host=host, wait=wait_for_approval, to=results_to)
        return scripted_run([])

    monkeypatch.setattr(session, "run", run)
    cell = "  odd = risk = 1 \n\n  # ${least} \t\n"
    options = "--cpu 2 --memory 1G --time 1m --result-size 8M --kinds table --tee simulated-snp --host local -p least --no-wait"
    options += " --to az://c-1@acct.blob.core.windows.net/x --to hospital"
    shell.run_cell_magic("safestream", f"-i patients=p:age -o risk {options}", cell)
    spec = seen["request"].spec
    assert (spec.limits.cpus, spec.limits.memory_bytes, spec.limits.wall_seconds) == (2, 2**30, 60)
    assert (spec.kinds, spec.tees, spec.outputs, spec.inputs[0].alias) == (
        ("table",),
        ("simulated-snp",),
        ("risk",),
        "p",
    )
    assert (seen["request"].code, seen["host"], seen["wait"]) == (cell[:-1], "local", True)
    assert b'"least":5' in seen["request"].parameters
    assert seen["to"] == "az://c-1@acct.blob.core.windows.net/x"
    assert [person.did for person in spec.recipients] == [session.did]
    with pytest.raises(BadInput, match="one place"):
        shell.run_cell_magic("safestream", "-i patients=p:age -o risk --to file:///a --to file:///b", cell)


def test_a_result_is_stored_again(shell, monkeypatch, capsys):
    """When the place was full or out of reach at the end of a run, nothing has to be computed twice."""
    asked = []
    monkeypatch.setattr(
        sls_jupyter.connect("hospital"), "store_results", lambda *given: asked.append(given) or "az://there/RUN"
    )
    shell.run_line_magic("sls", "result abc123 --to az://c-1@acct.blob.core.windows.net/x")
    assert asked == [("abc123", "az://c-1@acct.blob.core.windows.net/x")]
    assert "az://there/RUN" in capsys.readouterr().out


def test_no_wait_returns_a_handle(shell, monkeypatch):
    """The cell ends at once; the outputs come when somebody waits."""
    monkeypatch.setattr(sls_jupyter.connect("hospital"), "run", lambda *_, **__: scripted_run([]))
    handle = shell.run_cell_magic("safestream", "-i patients --no-wait", "1")
    assert isinstance(handle, RunHandle)
    assert "risk" not in shell.user_ns
    handle.wait()
    assert list(shell.user_ns.pop("risk").n) == [10, 20]


def test_configuration_names_persona_and_host(shell, monkeypatch):
    """%config SlsMagics.host is what runs use when the line says nothing."""
    hosts = []

    def run(*_, host, **__):
        hosts.append(host)
        return scripted_run([])

    monkeypatch.setattr(sls_jupyter.connect("hospital"), "run", run)
    shell.run_line_magic("config", "SlsMagics.host = 'local'")
    shell.run_cell_magic("safestream", "-i patients --no-wait", "1")
    shell.run_line_magic("config", "SlsMagics.host = ''")
    shell.run_cell_magic("safestream", "-i patients --no-wait", "1")
    assert hosts == ["local", None]


def test_withdrawing_is_logged(shell):
    """A withdrawn asset is gone from the list, and its card tells the log entry; again, that nothing changed."""
    run_magic(shell, "%seal patients --as brief")
    assert "log entry" in run_magic(shell, "%sls withdraw brief --shred").plain
    assert "brief" not in run_magic(shell, "%sls assets").plain
    assert "before" in run_magic(shell, "%sls withdraw brief").plain
    with pytest.raises(UnknownName):
        run_magic(shell, "%sls withdraw never")


def test_loading_twice_changes_nothing(shell):
    """A notebook that loads the extension in two cells has one set of magics."""
    magics = shell.magics_manager.registry["SlsMagics"]
    assert register(shell) is magics
    assert isinstance(magics, SlsMagics)
    assert isinstance(shell, InteractiveShell)


def test_editing_without_a_screen_says_what_would_change(shell):
    """In a terminal and in papermill %sls edit says in words what is in force, and what options would change of it."""
    run_magic(shell, "%sls as hospital")
    before = sls_jupyter.connect("hospital").in_force("patients")
    assert "The policy in force" in run_magic(shell, "%sls edit patients").plain
    shown = run_magic(shell, "%sls edit patients --max-runs 3").plain
    assert "+ At most 3 runs; each cell of a session counts as one." in shown
    assert "--max-runs 3" in shown
    assert "Nothing was published" in shown
    assert sls_jupyter.connect("hospital").in_force("patients") == before


def test_a_mistyped_persona_is_not_made(shell):
    """A slip of the pen costs a sentence, not a second self without assets; on purpose it is one word more."""
    with pytest.raises(UnknownName, match=r"Did you mean hospital\?") as raised:
        run_magic(shell, "%sls as hosptal")
    assert "%sls as hosptal --new" in raised.value.hint
    with pytest.raises(UnknownName):
        sls_jupyter.connect("hosptal")
    assert "hosptal" not in sls_jupyter.connect("hospital").home.personas()
    assert "New persona hosptal, with new keys (you have: " in run_magic(shell, "%sls as hosptal --new").plain
    for line in ("%sls as hosptal", "%sls as hosptal --new"):  # "run all" a second time
        shown = run_magic(shell, line).plain
        assert "You are hosptal" in shown
        assert "New persona" not in shown


def test_a_persona_with_a_name_of_its_own_is_made_and_announced(shell):
    """Notebooks that begin with %sls as NAME need no ceremony."""
    assert "New persona registry, with new keys (you have: " in run_magic(shell, "%sls as registry").plain


def test_a_shared_notebook_names_no_folder_of_the_machine(shell):
    """The path of a home has its user's name in it, and notebooks are handed on."""
    for line in ("%sls as hospital", "%sls whoami"):
        shown = run_magic(shell, line).plain
        assert "$SLS_HOME" in shown
        assert os.environ["SLS_HOME"] not in shown


def test_connecting_shows_whom_to_compare(shell):
    """The DID, which the owner can confirm, and not only a name that anybody can choose."""
    hospital = sls_jupyter.connect("hospital").own_authority()
    shown = run_magic(shell, f"%sls connect {hospital.url}").plain
    assert hospital.did in shown
    assert hospital.url in shown
    assert "is a persona of yours" in shown
    card = people.connected_card(Who("did:key:z6Mk", "north"), hospital.did, hospital.url, compared=False, mine=False)
    assert "Not proven" in str(card)
    odd = Who("did:key:z6Mk", "St. Mary's")
    said = str(people.connected_card(odd, hospital.did, hospital.url, compared=False, mine=False))
    (line,) = (line for line in said.splitlines() if "changes that" in line)
    assert split(line.partition("; ")[2], {})[:3] == ["%sls", "name", "St. Mary's"]
    assert "Compare the DID with its owner by another channel" in " ".join(str(card).split())
    with pytest.raises(BadInput, match=r"or http://127\.0\.0\.1:PORT on this machine"):
        run_magic(shell, "%sls connect 127.0.0.1:1")


def test_people_get_names_by_magics(shell, tmp_path):
    """A contact is saved, kept under a name, renamed and listed, as on the command line."""
    path = tmp_path / "mine.json"
    assert "Saved your contact" in run_magic(shell, f"%sls contact {path}").plain
    other = Session(Home(tmp_path / "elsewhere", "board"))
    other.save_contact(tmp_path / "board.json")
    shown = run_magic(shell, f"%sls contact add {tmp_path / 'board.json'}")
    assert "Kept the contact of board" in shown.plain
    assert other.did in shown.plain
    run_magic(shell, "%sls name board 'the board'")
    shown = run_magic(shell, f"%sls contact add {tmp_path / 'board.json'}").plain
    assert "%seal --recipient 'the board' use" in " ".join(shown.split())
    assert "the board" in run_magic(shell, "%sls contacts").plain
    assert "(you)" in run_magic(shell, "%sls contacts").plain
    run_magic(shell, "%seal patients --as pinned --recipient 'the board' --tee simulated-snp")
    assert "to the board (key pinned) only" in run_magic(shell, "%sls assets").plain
    for line in ("%sls contact add", "%sls contact a b", "%sls contact --as x"):
        with pytest.raises(BadInput):
            run_magic(shell, line)
    other.close()


def test_hints_name_a_line_that_ipython_takes(shell):
    """%%safestream --help is refused by IPython itself, without a word of ours."""
    with pytest.raises(BadInput, match=r"→ .*(?<!%)%safestream --help"):
        run_magic(shell, "%%safestream --hots x", "1")


def test_importing_the_package_loads_nothing():
    """The guest imports the package for one module; it must not pay for pandas and IPython."""
    import subprocess
    import sys

    code = "import sys, sls_jupyter; print([m for m in ('pandas', 'pydantic', 'IPython', 'httpx') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_sessions_are_made_once_in_threads():
    """Two threads that ask for a persona at once get the same session."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(sls_jupyter.connect("twice"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
