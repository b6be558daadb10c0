"""The calls of Azure Resource Manager that a host makes, through Microsoft's client; each bounded, each error ours.

The client's own retries are off. What may pass (throttling, a group that still changes, a fault of the service, a
connection that broke) is asked again here, with growing pauses and an end. Except for creating a group: that is asked
again only when the group was looked for by its name first (:mod:`sls_jupyter.hosts.aci.launch`).

Credentials are those of ``azure.identity.DefaultAzureCredential``: environment, workload or managed identity, ``az login``.
This package keeps none and prints none.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sls_jupyter.documents import parse_json
from sls_jupyter.errors import MalformedDocument, NotAuthorised, SlsError, Unavailable, UnknownName, printable
from sls_jupyter.hosts.aci.faults import Fault, error_of, fault_from, is_passing
from sls_jupyter.hosts.aci.template import MARKER, MARKER_VALUE

T = TypeVar("T")
INSTALL = "pip install 'sls-jupyter[azure]'"
CALL_SECONDS = 60.0  # of one call
PATIENCE_SECONDS = 120.0  # of asking again
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 20.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_LISTED = 1000
_LOUD = ("azure.identity", "azure.core")
_LOGIN = "az login, or set AZURE_CLIENT_ID and what goes with it; sls host doctor {host} tries it."


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to a creation that was taken."""

    group: Mapping[str, Any]  # the resource as the service has it
    operation: str  # URL of the long-running operation; "" if it named none


@dataclass(frozen=True, slots=True)
class Listed:
    """A container group of ours, as a list shows it."""

    name: str
    region: str
    state: str  # provisioning state
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Use:
    """One quota of a region."""

    name: str  # such as StandardCores or ConfidentialStandardCores
    used: int
    limit: int


def default_client(subscription: str) -> Any:
    """Microsoft's client with its default credentials.

    Raises:
        Unavailable: the Azure packages are not installed.
    """
    with needed():
        from azure.core.pipeline.policies import RetryPolicy
        from azure.identity import DefaultAzureCredential
        from azure.mgmt.containerinstance import ContainerInstanceManagementClient
    with _quiet():
        credential = DefaultAzureCredential()
    return ContainerInstanceManagementClient(
        credential,
        subscription,
        retry_policy=RetryPolicy.no_retries(),
        connection_timeout=CALL_SECONDS / 2,
        read_timeout=CALL_SECONDS,
    )


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Importing the extra's packages; where they are missing, how to get them."""
    try:
        yield
    except ImportError as error:
        raise Unavailable("The packages for Azure are not installed.", found=f"no {error.name}", hint=INSTALL) from None


class Arm:
    """Calls on one resource group.

    Args:
        client: Microsoft's ``ContainerInstanceManagementClient`` (10.1), without retries of its own.
        patience: seconds of asking again in all, for one call.
        pause: of the first waiting; each further one is twice as long.
        host: what its user calls the host, for commands in hints.
        sleep, clock: arguments for tests.
    """

    def __init__(
        self,
        client: Any,
        resource_group: str,
        *,
        patience: float = PATIENCE_SECONDS,
        pause: float = FIRST_PAUSE,
        host: str = "HOST",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._group, self.host = client, resource_group, host
        self._patience, self._pause, self._sleep, self._clock = patience, pause, sleep, clock

    def create(self, name: str, body: bytes) -> Created:
        """Ask once for a group of this name. An error says nothing about whether it was made: look for it by name.

        Args:
            body: the resource as JSON, sent as it is.
        """
        with _told(self.host):
            poller = self._client.container_groups.begin_create_or_update(
                self._group, name, body, polling=False, cls=_answer_with_operation
            )
            answer: tuple[Any, str] = poller.result()
        return Created(_resource(answer[0]), answer[1])

    def operation(self, url: str) -> Mapping[str, Any]:
        """How a long-running operation stands: ``status``, ``error``, ``properties.events``."""
        with needed():
            from azure.core.rest import HttpRequest
        base = str(self._client._client._base_url).rstrip("/") + "/"  # the client does not tell it otherwise
        if not url.startswith(base):
            raise MalformedDocument(
                "An operation's address is not Azure Resource Manager's.", found=printable(url, 200), expected=base
            )

        def ask() -> Mapping[str, Any]:
            response = self._client._send_request(HttpRequest("GET", url))
            value = _parsed(response.content)
            if response.status_code not in (200, 201, 202):
                raise error_of(fault_from(value, response.status_code, _retry_after(response.headers)), self.host)
            return _resource(value)

        return self.patiently(ask)

    def get(self, name: str) -> Mapping[str, Any] | None:
        """The group of this name as the service has it; ``None`` where there is none."""
        try:
            return _resource(self.patiently(lambda: self._client.container_groups.get(self._group, name, cls=_answer)))
        except UnknownName as error:
            if error.detail.get("azure") == "ResourceNotFound":
                return None
            raise

    def delete(self, name: str) -> bool:
        """Have the group of this name deleted; whether there was one. It is gone once :meth:`get` finds none."""
        try:
            response = self.patiently(
                lambda: self._client.container_groups.begin_delete(
                    self._group, name, polling=False, cls=lambda response, *_: response
                ).result()
            )
        except UnknownName as error:
            if error.detail.get("azure") == "ResourceNotFound":
                return False
            raise
        return bool(response.http_response.status_code != 204)

    def ours(self) -> list[Listed]:
        """The groups that carry our tag, at most :data:`MAX_LISTED` groups looked at."""

        def ask() -> list[Listed]:
            found = []
            for _, one in zip(
                range(MAX_LISTED), self._client.container_groups.list_by_resource_group(self._group), strict=False
            ):
                tags = {str(key): str(value) for key, value in (one.tags or {}).items()}
                if tags.get(MARKER) == MARKER_VALUE:
                    found.append(Listed(str(one.name), str(one.location), str(one.provisioning_state or ""), tags))
            return found

        return self.patiently(ask)

    def usage(self, region: str) -> tuple[Use, ...]:
        """The quotas of a region and what is used of them."""

        def ask() -> tuple[Use, ...]:
            found = [one for _, one in zip(range(MAX_LISTED), self._client.location.list_usage(region), strict=False)]
            return tuple(Use(str(one.name.value), int(one.current_value), int(one.limit)) for one in found if one.name)

        return self.patiently(ask)

    def largest(self, region: str) -> tuple[float, float] | None:
        """vCPUs and gigabytes of the largest Linux group that a region says it has; ``None`` if it says nothing."""

        def ask() -> list[tuple[float, float]]:
            listed = self._client.location.list_capabilities(region)
            found = [one for _, one in zip(range(MAX_LISTED), listed, strict=False)]
            return [
                (float(one.capabilities.max_cpu), float(one.capabilities.max_memory_in_gb))
                for one in found
                if one.capabilities
                and str(one.os_type).lower() == "linux"
                and str(one.gpu or "None").lower() == "none"
                and one.capabilities.max_cpu is not None
                and one.capabilities.max_memory_in_gb is not None
            ]

        sizes = self.patiently(ask)
        return max(sizes) if sizes else None

    def patiently(self, call: Callable[[], T]) -> T:
        """Make a call that does no harm when it is made twice; again while its error may pass.

        Raises:
            SlsError: the first error that will not pass, or the last one when patience is over.
        """
        end, pause = self._clock() + self._patience, self._pause
        while True:
            try:
                with _told(self.host):
                    return call()
            except SlsError as error:
                wait = max(pause, float(error.detail.get("retry_after") or 0))
                if not is_passing(error) or self._clock() + wait > end:
                    raise
            self._sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Microsoft's loggers say nothing meanwhile: what fails is told once, by our error. Undone afterwards.

    A logger's filter sees its own records only, so each logger below the two that exists by now has one.
    """

    def drop(record: logging.LogRecord) -> bool:
        del record
        return False

    names = [
        name for name in tuple(logging.root.manager.loggerDict) if name.startswith(tuple(f"{one}." for one in _LOUD))
    ]
    loggers = [logging.getLogger(name) for name in (*_LOUD, *names)]
    for logger in loggers:
        logger.addFilter(drop)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(drop)


@contextlib.contextmanager
def _told(host: str) -> Iterator[None]:
    """Microsoft's exceptions as ours, without their text of headers and requests."""
    with needed():
        from azure.core import exceptions as azure
    try:
        with _quiet():
            yield
    except azure.HttpResponseError as error:
        response = error.response
        if response is None and isinstance(error, azure.ClientAuthenticationError):
            raise NotAuthorised(
                "No credential for Azure was found.",
                found="no credential (az login, managed identity, environment)",
                hint=_LOGIN.format(host=host),
            ) from None
        if response is None or isinstance(error, azure.DecodeError):  # it broke off, or is no JSON
            raise _unanswered(error) from None
        headers = getattr(response, "headers", None) or {}
        raise error_of(
            fault_from(_error_body(response), int(response.status_code), _retry_after(headers)), host
        ) from None
    except (azure.ServiceRequestError, azure.ServiceResponseError) as error:
        raise _unanswered(error) from None
    except azure.DeserializationError as error:
        raise MalformedDocument(
            "Azure's answer is not what its types say.",
            found=type(error).__name__,
            hint=f"Update azure-mgmt-containerinstance within 10.1, or report it with sls host doctor {host}.",
        ) from None
    except azure.AzureError as error:
        raise Unavailable(
            "Azure's client cannot go on.", found=type(error).__name__, hint=_LOGIN.format(host=host)
        ) from None


def _unanswered(error: Exception) -> Unavailable:
    return Unavailable(
        "Azure Resource Manager does not answer.",
        found=type(error).__name__,
        hint="Look at the network and its proxy. Whether a group was made is looked up by its name.",
        detail={"unanswered": True},
    )


def _error_body(response: Any) -> Any:
    try:
        return _parsed(response.body() if callable(getattr(response, "body", None)) else response.content)
    except SlsError:
        return None


def _parsed(data: bytes) -> Any:
    return parse_json(data, max_bytes=MAX_ANSWER_BYTES)


def _answer(response: Any, *_: Any) -> Any:
    return _parsed(response.http_response.body())


def _answer_with_operation(response: Any, *_: Any) -> tuple[Any, str]:
    headers = response.http_response.headers
    return _parsed(response.http_response.body()), str(headers.get("azure-asyncoperation") or "")


def _resource(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedDocument("Azure's answer is no object.", found=type(value).__name__)
    return value


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, bounded; a date is not read."""
    text = str(headers.get("Retry-After") or "")
    return min(float(text), 300.0) if text.isdigit() and len(text) < 6 else None


def error_of_operation(value: Mapping[str, Any], host: str) -> SlsError:
    """Why an operation failed."""
    error = value.get("error")
    fault = fault_from(error if isinstance(error, dict) else value, 0)
    return error_of(
        fault if fault.code or fault.message else Fault("Failed", "the operation failed without a reason"), host
    )
