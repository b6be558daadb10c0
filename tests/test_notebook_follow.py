"""A run on the screen: what the cell shows arrives, what was withheld is said once, an interrupt ends the run."""

import asyncio
import base64
import signal
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from IPython.utils.capture import capture_output
from notebook_kit import FakeShell, endless_run, scripted_run, shell_with_magics

from sls_jupyter import __version__
from sls_jupyter.documents import b64encode
from sls_jupyter.errors import ApprovalPending, ProgramFailed
from sls_jupyter.guest.values import to_stream
from sls_jupyter.identity import Home
from sls_jupyter.notebook.follow import say
from sls_jupyter.notebook.handle import RunHandle, RunInterrupted
from sls_jupyter.notebook.status import RUN_TYPE, summary_line


class FakeSession:
    """A handle keeps its session; of it, a card says whose it is."""

    home = Home(Path("/private/homes"), "analyst")


@pytest.fixture(autouse=True)
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("SLS_HOME", str(tmp_path / "home"))
    with shell_with_magics(tmp_path) as shell:
        yield shell


def table(frame):
    outgoing = to_stream(frame)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, outgoing.schema) as writer:
        for batch in outgoing.batches:
            writer.write_batch(batch)
    return b64encode(sink.getvalue().to_pybytes())


def follow(run, **session):
    handle = RunHandle(FakeSession(), run, FakeShell())
    with capture_output() as captured:
        handle.wait()
    return handle, captured


def test_streams_and_figures_are_shown_as_they_are():
    """print and a plot look as if the cell had run here."""
    picture = base64.b64encode(b"png").decode()
    events = [
        {"type": "stream", "name": "stdout", "text": "hello\n"},
        {"type": "stream", "name": "stderr", "text": "careful\n"},
        {"type": "display", "data": {"image/png": picture}},
    ]
    _, captured = follow(scripted_run(events))
    assert "hello" in captured.stdout
    assert "careful" in captured.stderr
    assert captured.outputs[0].data["image/png"] == picture
    assert captured.outputs[0].data["text/plain"].startswith("<image/png of run")


def test_a_table_is_a_frame_again_and_says_what_is_missing():
    """A displayed frame keeps its types, and a cut one says n of m rows."""
    event = {"type": "table", "table": table(pd.DataFrame({"n": [1, 2]})), "shape": "frame", "rows": 2, "of": 5}
    _, captured = follow(scripted_run([{**event, "note": "groups under 3 are withheld"}]))
    assert "text/html" in captured.outputs[0].data
    assert "2 of 5 rows: groups under 3 are withheld" in captured.stdout


def test_withheld_outputs_are_one_line():
    """Ten withheld prints do not make ten lines."""
    events = [{"type": "withheld", "what": {"text": number}} for number in range(1, 11)]
    _, captured = follow(scripted_run(events))
    assert captured.stdout.count("Withheld") == 1
    assert "10 texts" in captured.stdout


def test_outputs_arrive_under_their_names():
    """The dataframe is in the notebook's own namespace, with a word on what a limit cut."""
    handle, captured = follow(scripted_run([], tables=[{"name": "risk", "rows": 2, "of": 4, "note": ""}]))
    assert list(handle._shell.user_ns["risk"].n) == [10, 20]
    assert "risk: 2 of 4 rows" in captured.stdout


def test_waiting_twice_gives_the_same():
    """A second wait neither hangs nor loses the outputs."""
    handle, _ = follow(scripted_run([]))
    handle._shell.user_ns.clear()
    with capture_output():
        handle.wait()
    assert "risk" in handle._shell.user_ns


def test_a_failed_run_raises_its_error_after_its_outputs():
    """A remote error fails the cell; what was printed before and the remote traceback are seen."""
    events = [
        {"type": "stream", "name": "stdout", "text": "so far\n"},
        {"type": "error", "error": {"name": "ValueError", "value": "x", "traceback": ["line 1", "line 2"]}},
    ]
    handle = RunHandle(
        FakeSession(), scripted_run(events, end=ProgramFailed("The cell raised ValueError.")), FakeShell()
    )
    with capture_output() as captured, pytest.raises(ProgramFailed):
        handle.wait()
    assert "so far" in captured.stdout
    assert "line 2" in captured.stderr
    assert "failed" in handle.status


def test_an_interrupt_cancels_the_run_and_stays_an_interrupt():
    """Stop in the notebook stops the group, says so, and ends the cell."""
    run = endless_run()
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    handle = RunHandle(FakeSession(), run, FakeShell())
    with capture_output() as captured, pytest.raises(KeyboardInterrupt) as caught:
        handle.wait()
    assert run.state == "cancelled"
    assert "Interrupted: cancelling run" in captured.stdout
    assert isinstance(caught.value, RunInterrupted)
    assert caught.value._render_traceback_() == [f"KeyboardInterrupt: run {run.id} was cancelled"]


def test_a_second_interrupt_gives_up_waiting_and_names_the_run(monkeypatch):
    """Who cannot wait for the cancelling either learns the run's id."""
    run = endless_run()

    def impatient(timeout):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "cancel", impatient)
    monkeypatch.setattr(run, "follow", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with capture_output(), pytest.raises(KeyboardInterrupt, match=f"%sls cancel {run.id}"):
        RunHandle(FakeSession(), run, FakeShell()).wait()
    monkeypatch.undo()
    run.cancel()


def test_a_handle_can_be_awaited_while_the_loop_is_free():
    """An async cell shows the run and other tasks go on."""
    handle = RunHandle(FakeSession(), scripted_run([{"type": "stream", "name": "stdout", "text": "hi\n"}]), FakeShell())
    ticks = []

    async def both():
        async def tick():
            while True:
                ticks.append(1)
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        await handle
        ticking.cancel()

    with capture_output() as captured:
        asyncio.run(both())
    assert "hi" in captured.stdout
    assert ticks
    assert "risk" in handle._shell.user_ns


def test_a_handle_shows_itself():
    """What --no-wait returns tells the state and what to do with it."""
    run = endless_run()
    handle = RunHandle(FakeSession(), run, FakeShell())
    bundle = handle._repr_mimebundle_()
    assert f"SafeStream {run.id} · running" in bundle["text/plain"]
    assert "wait()" in bundle["text/html"]
    assert f"UTC · %sls attach {run.id} brings the end." in bundle["text/plain"]
    handle.cancel()
    assert "cancelled" in repr(handle)
    assert "wait()" not in handle._repr_mimebundle_()["text/plain"]
    done = scripted_run([])
    done.wait()
    assert "%sls result" in RunHandle(FakeSession(), done, FakeShell())._repr_mimebundle_()["text/plain"]


def test_where_nothing_can_be_updated_each_step_is_a_line():
    """A terminal shows progress without repeating the block."""
    _, captured = follow(scripted_run([]))
    assert captured.stdout.count("✓ planned") == 2  # once when it was done, once in the last picture
    assert not captured.outputs


def test_in_a_kernel_there_is_one_block(monkeypatch):
    """The block is one display that changes in place."""
    shell = FakeShell()
    shell.kernel = object()
    with capture_output() as captured:
        RunHandle(FakeSession(), scripted_run([]), shell).wait()
    assert captured.outputs[0].data["text/plain"].startswith("SafeStream")
    assert "✓ planned" in captured.outputs[-1].data["text/plain"]
    assert "✓ planned" not in captured.stdout


def test_a_card_says_which_run_it_is_of():
    """A front end finds the run of a saved card again, and reads no path, no key and no word of others in it."""
    receipt = "sha256:" + "b" * 64
    handle, _ = follow(scripted_run([], receipt=receipt, label="secret"))
    data = handle._repr_mimebundle_()[RUN_TYPE]
    assert data == {
        "run": handle.id,
        "state": "done",
        "persona": "analyst",
        "home": FakeSession.home.mark,
        "version": __version__,
        "receipt": receipt,
    }
    assert not [value for value in data.values() if "/" in value or "did:" in value]


@pytest.mark.parametrize(
    ("error", "state"),
    [(ApprovalPending("The hospital must approve."), "waits for approval"), (ProgramFailed("It raised."), "failed")],
)
def test_a_card_s_state_is_the_one_that_it_shows(error, state):
    """A run that a person has to decide on is none that failed."""
    run = scripted_run([], end=error)
    with capture_output(), pytest.raises(type(error)):
        RunHandle(FakeSession(), run, FakeShell()).wait()
    bundle = RunHandle(FakeSession(), run, FakeShell())._repr_mimebundle_()
    assert bundle[RUN_TYPE]["state"] == state
    assert state in bundle["text/plain"]


def test_the_block_of_a_cell_says_it_from_its_beginning():
    """Each picture of the block does, with the state it had then; the line below it is of no run."""
    shell = FakeShell()
    shell.kernel = object()
    with capture_output() as captured:
        RunHandle(FakeSession(), scripted_run([]), shell).wait()
    blocks = [one.data for one in captured.outputs if "sls-steps" in one.data.get("text/html", "")]
    others = [one.data for one in captured.outputs if one.data not in blocks]
    assert all(set(block) == {"text/plain", "text/html", RUN_TYPE} for block in blocks)
    assert blocks[-1][RUN_TYPE]["state"] == "done"
    assert not [data for data in others if RUN_TYPE in data]


EVIL = "hospital\x1b]0;owned\x07\x1b[2J\x1b[H\r✓ approved\n✓ attested SEV-SNP\x9b\u202e"
STEERING = set("\x1b\x07\r\x9b\u202e")


def test_a_stranger_s_name_steers_no_screen_and_adds_no_step():
    """Whoever a run waits for, whatever ends it or vouches for it, each step is one line, in every form of the screen."""
    run = scripted_run(
        [], end=ProgramFailed(f"{EVIL} must approve"), label=EVIL, tables=[{"name": EVIL, "rows": 1, "of": 2}]
    )
    run.steps.note("approved", EVIL, evidence=EVIL)
    handle = RunHandle(FakeSession(), run, FakeShell())
    with capture_output() as captured, pytest.raises(ProgramFailed) as caught:
        handle.wait()
    bundle = handle._repr_mimebundle_()
    shown = [captured.stdout, repr(handle), handle.status, summary_line(run), *caught.value.lines()]
    shown += [*bundle.pop(RUN_TYPE).values(), *bundle.values()]
    shown += [repr(run), str(caught.value), *caught.value._render_traceback_()]
    for text in shown:
        assert not STEERING & set(text)
        assert not [line for line in text.splitlines() if line.lstrip().startswith("✓ attested")]


def test_a_line_of_our_own_is_one_line():
    """Whatever is said beside a run, one call of ours is one line for each text."""
    with capture_output() as captured:
        say(EVIL, "    indented")
    assert len(captured.stdout.splitlines()) == 2
    assert not STEERING & set(captured.stdout)
    assert captured.stdout.endswith("    indented\n")


def test_printed_text_of_the_group_steers_no_terminal():
    """A code asset of somebody else prints what it likes: it is text, in its place."""
    events = [{"type": "stream", "name": "stdout", "text": EVIL}, {"type": "display", "data": {"text/plain": EVIL}}]
    events.append({"type": "error", "error": {"traceback": [EVIL]}})
    _, captured = follow(scripted_run(events))
    for text in (captured.stdout, captured.stderr, captured.outputs[0].data["text/plain"]):
        assert not (STEERING - {"\r"}) & set(text)
        assert "hospital" in text
