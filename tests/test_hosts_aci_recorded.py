"""Our client reads what the real service answered, as Azure CLI recorded it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.pipeline.policies import RetryPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.containerinstance import ContainerInstanceManagementClient
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from sls_jupyter.contract import cce
from sls_jupyter.errors import DigestMismatch, MalformedDocument
from sls_jupyter.hosts.aci import view
from sls_jupyter.hosts.aci.arm import Arm
from sls_jupyter.hosts.aci.launch import AciHost, Pace
from tests.aci_kit import FAST, group
from tests.aci_kit_plain import SUBSCRIPTION, settings
from tests.arm_schema import problems

RECORDED = json.loads((Path(__file__).parent / "vectors/aci/confidential-create.json").read_text())
ANSWERS = json.loads((Path(__file__).parent / "vectors/aci/answers.json").read_text())
NAME = "clicontainer000002"


def _response(request: Any, status: int, body: Any, headers: dict[str, str]) -> requests.Response:
    data = json.dumps(body, separators=(",", ":")).encode()
    headers = {**headers, "content-type": "application/json; charset=utf-8"}
    raw = HTTPResponse(io.BytesIO(data), headers, status, preload_content=False)
    return HTTPAdapter().build_response(request, raw)


class Replay(BaseAdapter):
    """The recorded answers in their order, by method and place; a group that was never made, or was deleted, is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.left = [dict(one) for one in RECORDED]
        self.calls: list[str] = []
        self.tags: dict[str, str] | None = None  # the service gives back what it was sent

    def send(self, request: Any, **_: Any) -> requests.Response:
        self.calls.append(request.method)
        if request.method == "PUT":
            self.tags = json.loads(request.body)["tags"]
        operation = "/operations/" in request.url
        fitting = [
            one for one in self.left if one["method"] == request.method and ("/operations/" in one["url"]) == operation
        ]
        if not fitting or (self.tags is None and request.method == "GET"):
            missing = {"error": {"code": "ResourceNotFound", "message": "not found"}}
            return _response(request, 404, missing, {})
        answer = fitting[0]
        if len(fitting) > 1:
            self.left.remove(answer)
        if request.method == "DELETE":
            self.left = []
        body = {**answer["body"], "tags": self.tags} if "tags" in answer["body"] else answer["body"]
        return _response(request, answer["status"], body, answer.get("headers", {}))

    def close(self) -> None:
        pass


@pytest.fixture
def replay() -> Replay:
    return Replay()


def arm_of(replay: Replay) -> Arm:
    """Microsoft's client, unmodified, at Azure's own address."""
    session = requests.Session()
    session.mount("https://", replay)
    client = ContainerInstanceManagementClient(
        object(), SUBSCRIPTION, authentication_policy=SansIOHTTPPolicy(), retry_policy=RetryPolicy.no_retries(),
        transport=RequestsTransport(session=session, session_owner=False),
    )  # fmt: skip
    return Arm(client, "clitest.rg000001", patience=0.1, pause=FAST)


def test_a_recorded_group_is_made_followed_and_deleted(replay):
    """The whole conversation is understood: operation, events, state, address, end."""
    arm = arm_of(replay)
    created = arm.create(NAME, json.dumps(RECORDED[0]["sent"]).encode())
    assert created.group["properties"]["provisioningState"] == "Pending"
    assert view.progress(created.group, arm.operation(created.operation)) == ""
    assert arm.operation(created.operation)["status"] == "Pending"
    done = arm.operation(created.operation)
    assert done["status"] == "Succeeded"
    found = arm.get(NAME)
    assert found is not None
    assert [name for _, name, _ in view.events(found, done)] == ["Pulling", "Pulled", "Started"]
    assert view.progress(found, done) == f"{NAME}: Started container"
    assert view.address(found) == "20.234.72.235"
    assert view.states(found)[NAME].running
    assert view.pull_failure(found, done) == ""
    assert arm.delete(NAME)
    assert arm.get(NAME) is None


def test_a_container_that_is_started_again_is_not_taken_for_one_that_runs():
    """The group says Succeeded and Running all the while; the container's own state is what counts."""
    found = ANSWERS["restarting"]
    assert view.provisioning(found) == "Succeeded"
    state = view.states(found)[NAME]
    assert (state.running, state.exit_code) == (False, None)
    assert state.detail == "Waiting CrashLoopBackOff: Back-off 10s restarting failed"
    assert view.progress(found, None) == f"{NAME}: Back-off restarting failed container"


def test_a_group_from_a_private_registry_is_read():
    """Its credential does not come back, its image was pulled by digest, and without a port it has no address."""
    found = ANSWERS["private_registry"]
    assert view.states(found)[NAME].running
    assert (view.address(found), view.policy_text(found), view.pull_failure(found, None)) == ("", "", "")
    assert "password" not in json.dumps(found)


def test_an_operation_whose_address_is_signed_is_asked_as_it_was_given():
    """Since 2024 the address carries a certificate and a signature: a character more or less, and it is refused."""
    asked: list[str] = []

    class Operation(Replay):
        def send(self, request: Any, **_: Any) -> requests.Response:
            asked.append(request.url)
            return _response(request, 200, ANSWERS["signed_operation"]["body"], {})

    url = ANSWERS["signed_operation"]["url"]
    assert arm_of(Operation()).operation(url)["status"] == "Pending"
    assert asked == [url]


def test_the_policy_that_the_service_put_in_by_itself_is_refused(replay):
    """May 2023: sent without a policy, the group ran under one that allows everything. Ours ends at once, deleted."""
    host = AciHost("aci", settings(resource_group="clitest.rg000001"), arm=arm_of(replay), pace=Pace(5, FAST))
    made = group()
    with pytest.raises(DigestMismatch) as raised:
        host.launch(made, cce.render(made))
    assert "allows everything" in str(raised.value.found)
    assert "73973b78d70cc68353426de188db5dfc57e5b766e399935fb73a61127ea26d20" in str(raised.value.found)
    assert replay.calls == ["GET", "PUT", "DELETE", "GET"]


def test_what_was_sent_then_is_what_the_types_say():
    """The stand-in would have taken the recorded request, too."""
    assert problems(RECORDED[0]["sent"]) == []


def test_an_operation_elsewhere_is_not_asked(replay):
    """A header cannot send our credential to another server."""
    for url in (
        "https://management.azure.com.evil.example/x",
        "https://evil.example/operations/1",
        "http://management.azure.com/x",
    ):
        with pytest.raises(MalformedDocument):
            arm_of(replay).operation(url)
    assert replay.calls == []
