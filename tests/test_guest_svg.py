"""SVG is drawn anew: shapes and numbers leave; words, addresses and names of the program's own do not."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.guest import svg
from sls_jupyter.guest.svg import NotDrawable, redrawn_svg

SVG = "xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'"


def drawn(inner: str, attributes: str = "") -> str:
    return redrawn_svg(f"<svg {SVG} {attributes}><text>ok</text>{inner}</svg>")


@pytest.mark.parametrize(
    "inner",
    [
        "<script>bad()</script><script href='bad'/>",
        "<rect onload='bad()' class='bad' title='bad' data-x='bad'/>",
        "<rect fill='url(//bad.example/a#b)'/><rect fill='url(data:bad)'/>",
        "<rect fill='\\75 rl(//bad.example/a)'/><rect style='fill:u/**/rl(//bad)'/>",
        "<rect style='fill: url(//bad); background: url(bad); behavior: url(bad)'/>",
        "<rect style='fill: image-set(&quot;bad&quot; 1x)'/><rect fill='image(bad)'/><rect cursor='url(bad)'/>",
        "<use href='//bad.example/a'/><use xlink:href='bad#x'/><image href='/bad'/><feImage href='bad'/>",
        "<style>@import '//bad.example'; * {fill: url(bad)}</style><link href='bad'/>",
        "<foreignObject><iframe src='/bad'/></foreignObject><a href='bad'><text>ok</text></a>",
        "<title>bad</title><desc>bad</desc><metadata>bad</metadata><g id='bad'><rect id='bad2'/></g>",
        "<!-- bad --><?xml-stylesheet href='bad'?><rect xml:base='bad'/>",
        "<animate attributeName='href' values='bad'/><set attributeName='fill' to='bad'/>",
        "<filter id='f'><feImage href='bad'/></filter><mask id='bad'/><pattern id='bad'/>",
        "<text font-family='a;b:url(bad)'>ok</text>",
    ],
)
def test_what_runs_fetches_or_only_tells_is_not_drawn(inner: str) -> None:
    """An address carries data to its server, and a title is a text that leaves as a figure."""
    found = drawn(inner)
    assert ">ok<" in found
    assert "bad" not in found
    assert redrawn_svg(found) == found


def test_references_hold_under_new_names() -> None:
    """Gradients, clips and glyphs are what libraries draw with; their names are counted anew."""
    inner = (
        "<defs><linearGradient id='patient7'><stop offset='0'/></linearGradient><path id='glyph' d='M 0 0'/></defs>"
        "<rect style=\"fill: url('#patient7'); stroke: #000000\"/><use xlink:href='#glyph' x='3'/><rect fill='url(#none)'/>"
    )
    found = drawn(inner)
    assert "patient7" not in found
    assert "glyph" not in found
    names = set(re.findall(r' id="(\w+)"', found))
    assert names == set(re.findall(r"url\(#(\w+)\)", found)) | set(re.findall(r'href="#(\w+)"', found))
    assert len(names) == 2


def test_a_reference_cannot_multiply() -> None:
    """Ten levels of ten copies each are ten thousand million shapes for whoever looks at them."""
    copies = ["<rect/>", *(f"<use href='#l{level}'/>" * 10 for level in range(9))]
    levels = "".join(f"<g id='l{level}'>{inner}</g>" for level, inner in enumerate(copies))
    assert drawn(f"<defs>{levels}</defs><use href='#l9'/>").count("<use") == 1
    wide = f"<g id='w'>{'<rect/>' * 1000}</g>" + "<use href='#w'/>" * 300
    with pytest.raises(NotDrawable):
        drawn(wide)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<p>no picture</p>",
        "<svg",
        "<svg><g></svg>",
        "<!DOCTYPE svg [<!ENTITY a 'bad'>]><svg>&a;</svg>",
        "<svg>" + "<g>" * 100 + "</g>" * 100 + "</svg>",
        "<svg>" + "<desc/>" * (svg.MAX_ELEMENTS + 1) + "</svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><desc>" + "<div>" * 60_000,
    ],
    ids=["nothing", "html", "cut", "crossed", "entity", "deep", "many", "open"],
)
def test_what_is_no_picture_or_beyond_the_bounds_is_refused(text: str) -> None:
    """The bounds are met while it is read, not afterwards."""
    with pytest.raises(NotDrawable):
        redrawn_svg(text)


def test_a_plot_of_matplotlib_stays_a_plot() -> None:
    """The commonest SVG: its paths, colours, clips and glyphs are all there."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.subplots()
    axes.plot([1, 3, 2])
    axes.set_title("patient 7")
    sink = io.StringIO()
    figure.savefig(sink, format="svg", metadata={"Title": "patient 8"})
    before, after = ElementTree.fromstring(sink.getvalue()), ElementTree.fromstring(redrawn_svg(sink.getvalue()))
    for tag in ("path", "use", "clipPath"):
        space = f".//{{http://www.w3.org/2000/svg}}{tag}"
        assert len(after.findall(space)) == len(before.findall(space)) > 0
    assert b"patient 8" not in ElementTree.tostring(after)
    assert b'stroke="#1f77b4"' in ElementTree.tostring(after)


PIECES = st.sampled_from(
    [
        *(
            "<svg>",
            "</svg>",
            "<g>",
            "</g>",
            "<text>",
            "</text>",
            "<rect/>",
            "<style>",
            "</style>",
            "<title>",
            "</title>",
        ),
        *(
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "&lt;img src=x&gt;",
            "<script>",
            "</script>",
            "x",
            "<use href='#a'/>",
            "<g id='a'>",
        ),
        *("<foreignObject>", "</foreignObject>", "<a href='http://bad'>", "</a>", "<image href='http://bad'/>"),
    ]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=12).map(lambda parts: f"<svg>{''.join(parts)}</svg>"))
def test_what_is_written_reads_the_same_for_every_parser(text: str) -> None:
    """Read as XML or as HTML, the picture has the elements of the closed list and no others."""
    try:
        found = redrawn_svg(text)
    except NotDrawable:
        return
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(found).iter()}
    assert tags <= {"svg", "g", "text", "rect", "use"}
    assert set(re.findall(r"<([A-Za-z]+)", found)) <= tags
    assert redrawn_svg(found) == found
