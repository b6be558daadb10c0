"""What was shown, as a screen would have it in the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.guest.shown import Line, Shown

pieces = st.lists(st.text("ab\r\n", max_size=6), max_size=6)


def screen(texts: list[str]) -> str:
    """A terminal, slowly: letters overwrite from where the last carriage return put the cursor."""
    done, line, place = "", "", 0
    for one in "".join(texts).replace("\r\n", "\n"):
        if one == "\n":
            done, line, place = done + line + "\n", "", 0
        elif one == "\r":
            place = 0
        else:
            line, place = line[:place] + one + line[place + 1 :], place + 1
    return done + line


@given(pieces)
def test_the_last_state_of_a_line_is_what_a_terminal_shows(texts: list[str]) -> None:
    """A progress bar takes one line of a result, however often it moved."""
    shown, whole = Shown(), []
    for text in texts:
        text = text.replace("\r\n", "\n")
        whole.append(text)
        new = shown.written("stdout", text)
        if new:
            shown.add({"type": "stream", "name": "stdout", "text": new})
    assert "".join(event["text"] for event in shown.events) == screen(whole)


def test_steering_goes_before_lines_are_put_together() -> None:
    """An escape sequence does not count as letters that could be written over."""
    line = Line()
    assert line.write("\x1b[31mred\x1b[0m") == "red"
    assert line.write("\rb") == "\rbed"


def test_an_update_takes_the_place_of_what_it_updates() -> None:
    """A sealed result has the last state, where the first one stood."""
    shown = Shown()
    number = shown.number("any name of the program's")
    shown.add({"type": "display", "data": {"text/plain": "first"}, "display": number, "update": False})
    shown.add({"type": "stream", "name": "stdout", "text": "between"})
    shown.add({"type": "display", "data": {"text/plain": "last"}, "display": number, "update": True})
    assert [event.get("data", {}).get("text/plain") for event in shown.events] == ["last", None]
    assert (number, shown.number("another"), shown.number(None)) == (1, 2, None)


def test_a_cleared_screen_keeps_its_error() -> None:
    """What a cell cleared is gone; why it failed is not."""
    shown = Shown()
    shown.add({"type": "stream", "name": "stdout", "text": "x"})
    shown.add({"type": "error", "error": {}})
    shown.clear()
    assert [event["type"] for event in shown.events] == ["error"]
