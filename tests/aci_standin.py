"""Azure Resource Manager for container groups, as far as a host sees it: stateful, strict, on the loopback.

Requests are checked against the published types; groups have long-running operations, events and states; the policy is
decoded and the template judged as the utility VM would, where a judge is given. What may go wrong on Azure is put in with :meth:`Azure.fail`.
Every creation and deletion is counted, so that a test can say that nothing is left and nothing was made twice.

Answers have the form of Azure CLI's public recordings (``vectors/aci``); errors have the texts of public reports.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.aci_answers import Group, Landed, arm_error, current, decision_text, event, policy_of
from tests.aci_kit_plain import GROUP, SUBSCRIPTION
from tests.arm_schema import problems

ALLOW_ALL = (Path(__file__).parent / "vectors/cce/allow-all/cleanroom-769.rego").read_bytes()  # Azure's own default
_BASE = f"/subscriptions/{SUBSCRIPTION}"
_IN_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerInstance/containerGroups"
_LOCATION = "/subscriptions/{subscription}/providers/Microsoft.ContainerInstance/locations/{region}"

Judge = Callable[[bytes, dict[str, Any]], list[tuple[str, dict[str, Any]]]]
"""(policy, resource as asked for) -> (container, decision) for each denial; empty when all may start."""


class Azure:
    """The stand-in.

    Args:
        judge: says what the utility VM denies.
        started: called when a group has started, with its resource; it may really start it.
        quota: of the region, StandardCores and ConfidentialStandardCores.
        largest: vCPUs and gigabytes of its largest ordinary group.
    """

    def __init__(
        self,
        judge: Judge | None = None,
        started: Callable[[dict[str, Any]], Landed] | None = None,
        quota: int = 100,
        largest: tuple[float, float] = (4.0, 16.0),
    ) -> None:
        self.judge, self.started, self.quota, self.largest = judge, started, quota, largest
        self.groups: dict[str, Group] = {}
        self.creates: list[str] = []  # names, each time a group was really made
        self.deletes: list[str] = []
        self.calls: list[tuple[str, str]] = []  # method, name
        self.refused: list[str] = []  # what the schema found
        self.failures: list[dict[str, Any]] = []
        self.confidential = True  # whether the region has the SKU
        self.url = ""
        self.lock = threading.RLock()

    # --- what a test asks for and looks at ------------------------------------------------------------

    def fail(self, kind: str, times: int = 1, **more: Any) -> None:
        """Let ``kind`` happen the next ``times``: see :meth:`_put`, :meth:`_look`, :meth:`_delete`."""
        self.failures.append({"kind": kind, "times": times, **more})

    def billed(self) -> list[str]:
        """The groups that cost money now."""
        return [one.name for one in self.groups.values()]

    def _takes(self, kind: str) -> dict[str, Any] | None:
        for one in self.failures:
            if one["kind"] == kind and one["times"] > 0:
                one["times"] -= 1
                return one
        return None

    def _stuck(self) -> bool:
        return any(one["kind"] == "stuck" for one in self.failures)

    # --- calls ----------------------------------------------------------------------------------------

    async def one(self, request: Request) -> Response:
        name, body = request.path_params["name"], await request.body()
        with self.lock:
            self.calls.append((request.method, name))
            if request.path_params["subscription"] != SUBSCRIPTION:
                return arm_error(404, "SubscriptionNotFound", "The subscription could not be found.")
            if request.path_params["group"] != GROUP:
                return arm_error(
                    404, "ResourceGroupNotFound", f"Resource group '{request.path_params['group']}' could not be found."
                )
            if failing := self._takes("answer " + request.method):
                return arm_error(failing["status"], failing["code"], failing["message"], **failing.get("headers", {}))
            if request.method == "PUT":
                return self._put(name, body)
            return self._get(name) if request.method == "GET" else self._delete(name)

    def _put(self, name: str, body: bytes) -> Response:
        """``put``: answered with an error, nothing is made. ``lost``: made, and the answer is lost."""
        if failing := self._takes("put"):
            return arm_error(failing["status"], failing["code"], failing["message"], **failing.get("headers", {}))
        asked = json.loads(body)
        refusal = self._refusal(name, asked)
        if refusal is not None:
            return refusal
        group = self.groups[name] = Group(name, asked)
        self.creates.append(name)
        self._doom(group)
        if self._takes("lost"):
            return arm_error(500, "InternalServerError", "The server encountered an error.")
        if self._takes("dropped"):
            return Response(b"{", 201, {"content-length": "4000"})  # the connection breaks; the group is there
        place = f"{self.url}{_BASE}/providers/Microsoft.ContainerInstance/locations/{asked['location']}"
        operation = f"{place}/operations/{group.operation}?api-version=2018-06-01"
        return JSONResponse(self._shown(group), 201, {"azure-asyncoperation": operation})

    def _refusal(self, name: str, asked: dict[str, Any]) -> Response | None:
        """What the service says before it makes anything."""
        wrong = problems(asked)
        if wrong:
            self.refused += wrong
            return arm_error(400, "InvalidRequestContent", "; ".join(wrong)[:1000])
        properties, region = asked["properties"], asked["location"]
        if name in self.groups:
            return arm_error(
                409,
                "ContainerGroupTransitioning",
                f"The container group '{name}' is still transitioning, please retry later.",
            )
        if not self.confidential:
            return arm_error(
                400, "ConfidentialContainerGroupSkuIsNotSupported", f"Not supported in location '{region}'."
            )
        cores = sum(one["properties"]["resources"]["requests"]["cpu"] for one in properties["containers"])
        if cores > self.quota:
            said = f"container group quota 'StandardCores' exceeded in region '{region}'. Limit: '{self.quota}', Usage: '0'"
            type_ = "Resource type 'Microsoft.ContainerInstance/containerGroups'"
            return arm_error(409, "ContainerGroupQuotaReached", f"{type_} {said} Requested: '{cores:g}'.")
        if not policy_of(asked).startswith(b"package policy"):
            return arm_error(400, "InvalidCcePolicy", "The CCE Policy is not valid Base64 or is empty.")
        return None

    def _doom(self, group: Group) -> None:
        """What is in store for a group that was made."""
        policy = policy_of(group.asked)
        if self._takes("other policy"):
            changed = base64.b64encode(ALLOW_ALL).decode()
            group.asked["properties"]["confidentialComputeProperties"]["ccePolicy"] = changed
        if failing := self._takes("operation"):
            group.failed = {"code": failing["code"], "message": failing["message"]}
        if failing := self._takes("event"):
            group.events.append(event(failing["name"], failing["message"], "Warning"))
        denials = self.judge(policy, group.asked) if self.judge is not None else []
        if failing := self._takes("denial"):
            denials = [*denials, (failing.get("container", ""), failing["decision"])]
        for container, decision in denials:
            group.denied.setdefault(container, []).append(event("Failed", decision_text(decision), "Warning"))

    def _look(self, group: Group) -> None:
        group.looks += 1
        if group.deleting:
            group.deleting -= 1
            if not group.deleting:
                self._gone(group.name)

    def _gone(self, name: str) -> None:
        group = self.groups.pop(name, None)
        if group is not None and group.landed is not None:
            group.landed.stop()

    def _get(self, name: str) -> Response:
        group = self.groups.get(name)
        if group is not None:
            self._look(group)
        if group is None or name not in self.groups:
            return arm_error(
                404,
                "ResourceNotFound",
                f"The Resource 'Microsoft.ContainerInstance/containerGroups/{name}' under resource group '{GROUP}' was not found.",
            )
        return JSONResponse(self._shown(group))

    def _delete(self, name: str) -> Response:
        """``slow delete``: gone only after some looks."""
        group = self.groups.get(name)
        if group is None:
            return Response(status_code=204)
        self.deletes.append(name)
        shown = self._shown(group)
        if self._takes("slow delete"):
            group.deleting = 3
        else:
            self._gone(name)
        return JSONResponse(shown)

    def _state(self, group: Group) -> str:
        state = group.state(self._stuck() or bool(group.denied))
        return "Failed" if group.failed and state == "Succeeded" else state

    def _shown(self, group: Group) -> dict[str, Any]:
        """The resource as the service gives it: with what it knows and members that the types do not have."""
        state = self._state(group)
        shown = json.loads(json.dumps(group.asked))
        properties = shown["properties"]
        properties |= {
            "provisioningState": state,
            "provisioningTimeoutInSeconds": 1800,
            "isCustomProvisioningTimeout": False,
        }
        properties["instanceView"] = {
            "events": group.denied.get("", []),
            "state": "Running" if state == "Succeeded" else state,
        }
        if state == "Succeeded":
            if self.started is not None and group.landed is None:
                group.landed = self.started(shown)
            properties.setdefault("ipAddress", {})["ip"] = group.landed.address if group.landed else "127.0.0.1"
        states = group.landed.states() if group.landed else {}
        for one in properties["containers"]:
            inner = one["properties"]
            events = [*self._pulling(inner["image"], state), *group.events, *group.denied.get(one["name"], [])]
            inner["instanceView"] = {"restartCount": 0, "events": events}
            if state == "Succeeded":
                inner["instanceView"]["currentState"] = current(*states.get(one["name"], (True, None)))
        id_ = f"{_BASE}/resourceGroups/{GROUP}/providers/Microsoft.ContainerInstance/containerGroups/{group.name}"
        return {**shown, "id": id_, "name": group.name, "type": "Microsoft.ContainerInstance/containerGroups"}

    def _pulling(self, image: str, state: str) -> list[dict[str, Any]]:
        if state == "Pending":
            return []
        found = [event("Pulling", f'pulling image "{image}"'), event("Pulled", f'Successfully pulled image "{image}"')]
        return [*found, event("Started", "Started container")] if state == "Succeeded" else found[:1]

    async def operation(self, request: Request) -> Response:
        with self.lock:
            group = next((one for one in self.groups.values() if one.operation == request.path_params["id"]), None)
            if group is None:
                return arm_error(404, "ResourceNotFound", "The operation was not found.")
            state = self._state(group)
            shown = {"id": group.name, "status": {"Succeeded": "Succeeded", "Failed": "Failed"}.get(state, "Pending")}
            shown |= {"startTime": "2026-11-25T10:00:00.3369067Z", "properties": {"events": group.denied.get("", [])}}
            if state == "Failed" and group.failed:
                shown["error"] = group.failed
            return JSONResponse(shown)

    async def listed(self, request: Request) -> Response:
        with self.lock:
            if request.path_params["group"] != GROUP:
                return arm_error(404, "ResourceGroupNotFound", "Resource group could not be found.")
            return JSONResponse({"value": [self._shown(one) for one in self.groups.values()]})

    async def usages(self, request: Request) -> Response:
        del request
        used = sum(len(one.asked["properties"]["containers"]) for one in self.groups.values())
        values = [("ContainerGroups", len(self.groups), 100), ("StandardCores", used, self.quota)]
        return JSONResponse({"value": [
            {"id": name, "unit": "Count", "currentValue": now, "limit": limit, "name": {"value": name, "localizedValue": name}}
            for name, now, limit in values
        ]})  # fmt: skip

    async def capabilities(self, request: Request) -> Response:
        size = {"maxMemoryInGB": self.largest[1], "maxCpu": self.largest[0], "maxGpuCount": 0.0}
        return JSONResponse({"value": [
            {"resourceType": "containerGroups", "osType": "Linux", "location": request.path_params["region"],
             "ipAddressType": "Public", "gpu": "None", "capabilities": size},
        ]})  # fmt: skip

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(_IN_GROUP, self.listed, methods=["GET"]),
                Route(_IN_GROUP + "/{name}", self.one, methods=["GET", "PUT", "DELETE"]),
                Route(_LOCATION + "/operations/{id}", self.operation, methods=["GET"]),
                Route(_LOCATION + "/usages", self.usages, methods=["GET"]),
                Route(_LOCATION + "/capabilities", self.capabilities, methods=["GET"]),
            ]
        )


@contextlib.contextmanager
def serving(azure: Azure) -> Iterator[Azure]:
    """Serve the stand-in on a free loopback port."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(azure.app(), log_config=None, lifespan="off"))
        azure.url = f"http://127.0.0.1:{held.getsockname()[1]}"
        thread = threading.Thread(target=server.run, args=([held],), daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.01)
        try:
            yield azure
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)
