"""A remote cell read as text: as the magic reads it, without what only its notebook knows."""

from __future__ import annotations

import pytest

from sls_jupyter.errors import BadInput
from sls_jupyter.notebook.args import HelpWanted
from sls_jupyter.notebook.cell_lines import body_of, read_cell


def test_a_cell_is_read_as_its_magic_reads_it() -> None:
    """Empty lines before the magic, any ends of lines, quotes and doubled signs are what they are in a notebook."""
    cell = read_cell("\n\r\n%%safestream  -i a:x,y=1 -i 'b c' --purpose '5 $$ for {{x}}'\r\nprint(1)\r\n")
    assert cell.options.input == ["a:x,y=1", "b c"]
    assert cell.options.purpose == "5 $ for {x}"
    assert cell.body == "print(1)\n"
    assert cell.unknown == {}


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("-i $a", {"--input": ("a",)}),
        ("-i$a -i b", {"--input": ("a",)}),
        ("--input={a}:x", {"--input": ("a",)}),
        ("-i b --purpose 'for $what in {where}'", {"--purpose": ("what", "where")}),
        ("-i b --time $t --cpu $c -o $o", {"--time": ("t",), "--cpu": ("c",), "--output": ("o",)}),
        ("-i b $more", {"the line": ("more",)}),
    ],
)
def test_an_option_whose_value_is_a_variable_is_left_out_and_named(line: str, unknown: dict[str, object]) -> None:
    """What stands for the variable is not guessed, and nobody takes the cell for one without that option."""
    cell = read_cell(f"%%safestream {line}\n1")
    assert cell.unknown == unknown
    assert cell.options.input in (["b"], [])


@pytest.mark.parametrize(
    "text",
    ["", "x = 1", "%safestream -i a", "%%seal x", "%%safestream -i", "%%safestream -i {a b}\n1", "%%safestream 'a"],
)
def test_what_the_magic_would_refuse_is_refused(text: str) -> None:
    """No other cell is taken for a remote one, and no line that the magic cannot read."""
    with pytest.raises(BadInput):
        read_cell(text)


def test_help_is_no_mistake() -> None:
    """The line asks for help, so it does nothing else."""
    with pytest.raises(HelpWanted):
        read_cell("%%safestream -i a --help\n1")


def test_a_body_is_all_but_the_first_line() -> None:
    """It is what the magic is given, whatever its first line says."""
    assert body_of("\n%%safestream -i $a\n\nx\n") == "\nx\n"
    assert body_of("%%safestream") == ""
