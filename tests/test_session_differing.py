"""What a request has that an approved one had not: said to both sides, from what was signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest
from e2e import World, patients

from sls_jupyter.contract.spec import Limits
from sls_jupyter.errors import ApprovalPending
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.safestream.request import ask_all
from sls_jupyter.session.differing import MAX_LINES, Material, differences

CELL = "x = patients.age.mean()\ny = 2"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hospital with two tables that it reviews code for."""
    made = World(tmp_path_factory.mktemp("differing") / "home")
    made.seal("patients", patients(20), allow_code="reviewed", requester=None, columns="age,sex")
    made.seal("other", patients(5), allow_code="reviewed", requester=None)
    yield made
    made.close()


def material(
    world: World, code: str = CELL, inputs: tuple[str, ...] = ("patients:age",), **options: object
) -> Material:
    request = world.analyst.prepare(code, list(inputs), **options)  # type: ignore[arg-type]
    return Material(request.spec, request.code, request.parameters)


def said(world: World, **options: object) -> str:
    """The sentences about one change."""
    return "\n".join(differences(material(world, **options), material(world)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"code": CELL + "  # two"}, ["1 line new (+), 1 line gone (−)", "− 2: y = 2", "+ 2: y = 2  # two"]),
        ({"limits": Limits(memory_bytes=3 * 2**30)}, ["memory: raised from 2.0 GiB to 3.0 GiB"]),
        ({"limits": Limits(wall_seconds=60, cpus=2)}, ["CPUs: raised from 1 to 2", "time: lowered from 600 s to 60 s"]),
        ({"inputs": ("patients:age,sex",)}, ["columns of patients: sex added"]),
        ({"inputs": ("patients:sex",)}, ["columns of patients: sex added; age taken away"]),
        ({"inputs": ("patients",)}, ["every column that its owner lets go added; age taken away"]),
        ({"inputs": ("patients:age", "other")}, ["input other: new"]),
        ({"inputs": ("other=patients:age",)}, ["input patients: another version, or another asset, by this name"]),
        ({"outputs": ["y"]}, ["results: y added"]),
        ({"kinds": ["table"]}, ["kinds of output: text, figure taken away"]),
        ({"purpose": "care"}, ["purpose: “care”, was “”"]),
        ({"tees": ["simulated-snp", "sev-snp"]}, ["TEEs: sev-snp added"]),
        ({"parameters": {"n": 3}}, ["parameter n: new, 3"]),
        ({"recipients": ["hospital"]}, ["recipients: hospital (did:key:", "analyst (did:key:"]),
    ],
)
def test_each_change_is_a_sentence(world: World, options: dict[str, object], words: list[str]) -> None:
    """Whatever the terms name is named when it is another."""
    text = said(world, **options)
    for one in words:
        assert one in text
    assert "TEEs" in text or "tees" not in options


def test_another_address_is_a_difference(world: World) -> None:
    """Whoever moved an authority sees why the same cell is another request."""
    before = material(world)
    moved = before.spec.inputs[0].model_copy(update={"authority_url": "https://hospital.example/authority"})
    after = replace(before, spec=before.spec.model_copy(update={"inputs": (moved,)}))
    assert differences(after, before) == ("input patients: its authority is at another address",)


def test_the_same_terms_differ_in_nothing(world: World) -> None:
    """Another run on the same terms has nothing to say."""
    assert said(world) == ""


def test_parameters_are_compared_by_name_and_content(world: World) -> None:
    """A value that changed is told with the one before; a table that did not change is not told."""
    frame = pd.DataFrame({"a": [1]})
    before = replace(material(world), parameters=pack_parameters({"n": 1, "gone": True, "f": frame, "g": frame}))
    after = replace(before, parameters=pack_parameters({"n": 1.0, "f": frame, "g": frame + 1, "s": "a\u202eb"}))
    assert differences(after, before) == (
        "parameter g: a DataFrame, with other content",
        "parameter gone: taken away",
        "parameter n: 1.0, was 1",
        "parameter s: new, 'a\\u202eb'",
    )


def test_many_lines_are_counted_and_nobody_s_time_is_taken(world: World) -> None:
    """A request that repeats one line a thousand times, or changes them all, costs a sentence."""
    before = replace(material(world), code="\n".join(f"x{n} = 1" for n in range(100)))
    lines = differences(replace(before, code="\n".join(f"x{n} = 2" for n in range(100))), before)
    assert len(lines) == MAX_LINES + 2
    assert lines[-1] == f"code: {200 - MAX_LINES} more such lines"
    alike = replace(before, code="pass\n" * 1500)
    assert differences(replace(alike, code="pass\n" * 1501), alike) == (
        "code: another text of 1,502 lines, was 1,501 lines",
    )


def test_code_of_a_stranger_steers_nothing(world: World) -> None:
    """Lines of code are shown in one line each, with what is not seen by its number."""
    lines = differences(replace(material(world), code=CELL + "\nz = '\x1b[2J\u202e'"), material(world))
    assert lines[-1] == "+ 3: z = '⟦U+001B⟧[2J⟦U+202E⟧'"


# --- to both sides --------------------------------------------------------------------------------


def pending(world: World, code: str, inputs: tuple[str, ...] = ("patients:age",), **options: object) -> ApprovalPending:
    run = world.analyst.run(world.analyst.prepare(code, list(inputs), **options))  # type: ignore[arg-type]
    with pytest.raises(ApprovalPending) as raised:
        run.wait(30)
    return raised.value


def test_both_sides_read_what_differs_from_what_was_approved(world: World) -> None:
    """A comment more, and the requester sees why the yes does not hold, and the owner which line to read."""
    first = pending(world, CELL)
    assert "differs" not in str(first)
    assert f"request {first.detail['request'][7:19]} first" in first.message
    assert "it is in their inbox since 20" in first.message
    world.hospital.approve(first.detail["request"])
    later = pending(world, CELL + "  # two", limits=Limits(memory_bytes=4 * 2**30))
    text = str(later)
    assert f"differs from request {first.detail['request'][7:19]}, which was approved, as its authority says:" in text
    assert "• + 2: y = 2  # two" in text
    assert "• memory: raised from 2.0 GiB to 4.0 GiB" in text
    shown = world.hospital.request(later.detail["request"])
    assert shown.earlier is not None
    assert shown.earlier.id == first.detail["request"]
    assert "+ 2: y = 2  # two" in shown.earlier.differences


def test_a_request_is_compared_with_its_own_kind(world: World) -> None:
    """Another table, or somebody else's approved request, is nothing to compare with."""
    assert pending(world, "z = other.age.mean()", ("other",)).detail["compared"] == []
    stranger = world.session("stranger")
    request = stranger.prepare(CELL, ["patients:age"], outputs=["x"], tees=["simulated-snp"])
    ask_all(request, stranger._run_clients(request))
    assert world.hospital.request(request.spec.terms).earlier is None
