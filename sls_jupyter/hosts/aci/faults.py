"""What Azure Resource Manager answers when it does not do what was asked: one table from its codes to our errors.

Some failures have no code of their own: a group that finds no capacity ends with code ``Failed`` and a sentence. So a
row names codes and the beginnings of sentences. What a row does not know stays Azure's own words, with its code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sls_jupyter.errors import (
    MAX_SAID,
    BadInput,
    HostUnsuitable,
    MalformedDocument,
    NotAuthorised,
    SlsError,
    TooManyRequests,
    Unavailable,
    UnknownName,
    printable,
)

TRANSITIONING = "ContainerGroupTransitioning"
MAX_DETAILS = 8
_PORTAL = "the Azure portal, Quotas"


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure as Azure tells it."""

    code: str
    message: str
    status: int = 0  # HTTP; 0 for the end of an operation
    retry_after: float | None = None  # seconds


@dataclass(frozen=True, slots=True)
class _Row:
    codes: tuple[str, ...]
    cls: Callable[..., SlsError]
    sentence: str
    fix: str  # {host}: what the host is called
    texts: tuple[str, ...] = ()  # in the message, lower case


_ROWS = (
    _Row(
        ("InvalidCcePolicy",), MalformedDocument, "Azure does not take the policy of this group.",
        "Export it (sls export arm) and compare with sls host doctor {host}; report both.", ("ccepolicy",),
    ),
    _Row(
        ("InaccessibleImage", "RegistryErrorResponse", "InvalidImageRegistryIdentity", "ImagePullFailed"), Unavailable,
        "Azure cannot pull the image.",
        "Look whether the registry answers from outside and the digest is there (sls host doctor {host}). A private registry"
        " needs --pull-identity with the role AcrPull; Docker Hub's limits are per address.",
        ("is not accessible", "failed to pull image", "errimagepull", "toomanyrequests"),
    ),
    _Row(
        ("ContainerGroupQuotaReached", "QuotaExceeded"), Unavailable, "The subscription's quota is used up.",
        f"End groups that run (sls host sweep {{host}}), ask for more in {_PORTAL}, or use another region.",
        ("container group quota", "quota exceeded", "resource quota of container groups"),
    ),
    _Row(
        ("InsufficientCapacity", "ServiceUnavailable", "CapacityNotAvailable"), Unavailable,
        "Azure has no room for this group in this region now.",
        "Run again later, ask for less (--cpu, --memory), or add a host in another region. Above 4 vCPU or 16 GB a region"
        " may have none.",
        ("is not available in the location", "insufficient capacity", "insufficientcapacity"),
    ),
    _Row(
        ("ConfidentialContainerGroupSkuIsNotSupported", "SkuNotAvailable"), HostUnsuitable,
        "This region has no confidential container groups.",
        "Add a host in a region that has them; sls host doctor {host} says so before anything is billed.",
        ("confidential sku",),
    ),
    _Row(
        ("RegionNotSupported", "LocationNotAvailableForResourceType", "InvalidLocation", "LocationNotAvailable"), HostUnsuitable,
        "Azure has no container groups in this region.", "Write the region as az account list-locations names it.",
    ),
    _Row(
        ("AuthorizationFailed", "LinkedAuthorizationFailed", "InvalidAuthenticationToken", "ExpiredAuthenticationToken",
         "AuthenticationFailed", "InvalidAuthenticationTokenTenant"),
        NotAuthorised, "Azure does not let you do this.",
        "az login, az account set --subscription ID; you need Contributor on the resource group (or Azure Container"
        " Instances Contributor).",
    ),
    _Row(("SubscriptionNotFound", "InvalidSubscriptionId"), UnknownName, "There is no such subscription, or not for you.",
         "az account list shows yours."),
    _Row(("ResourceGroupNotFound",), UnknownName, "There is no such resource group.",
         "az group create --name GROUP --location REGION"),
    _Row(
        ("MissingSubscriptionRegistration",), Unavailable, "The subscription is not registered for container groups.",
        "az provider register --namespace Microsoft.ContainerInstance, then wait for Registered.",
    ),
    _Row(("RequestDisallowedByPolicy",), NotAuthorised, "A policy of your organisation forbids this group.",
         "Ask who administers the subscription: it needs a public address and the Confidential SKU."),
    _Row(
        (TRANSITIONING,), Unavailable, "Azure is still changing this group.",
        "Wait a minute; if it stays so, sls host sweep {host} deletes it.", ("still transitioning",),
    ),
    _Row(
        ("TooManyRequests", "SubscriptionRequestsThrottled", "RequestThrottled"), TooManyRequests,
        "Azure was asked too often.", "Wait: 300 groups an hour, 100 in five minutes, are the default limits.",
    ),
    _Row(("ResourceNotFound",), UnknownName, "There is no such container group.", "sls host sweep {host} lists those that run."),
    _Row(
        ("InvalidRequestContent", "InvalidTemplate", "BadRequest", "InvalidContainerGroup"), BadInput,
        "Azure does not understand the group.", "Report it with sls export arm of the same run.",
    ),
)  # fmt: skip


def fault_from(value: Any, status: int, retry_after: float | None = None) -> Fault:
    """Read an error object of ARM: ``{"error": {code, message, details}}`` or what stands within; details count too."""
    if isinstance(value, dict) and isinstance(value.get("error"), dict):
        value = value["error"]
    if not isinstance(value, dict):
        return Fault("", "", status, retry_after)
    details = value.get("details")
    inner = [one for one in details[:MAX_DETAILS] if isinstance(one, dict)] if isinstance(details, list) else []
    texts = [str(one.get("message") or "")[: 4 * MAX_SAID] for one in (value, *inner)]
    codes = [str(one.get("code") or "")[:120] for one in (*inner, value)]
    known = next((code for code in codes if any(code in row.codes for row in _ROWS)), codes[-1])
    return Fault(known, " ".join(filter(None, texts)), status, retry_after)


def error_of(fault: Fault, host: str = "HOST") -> SlsError:
    """Our error for it; ``detail`` has Azure's code and the HTTP status.

    Args:
        host: what its user calls the host, for commands in hints.
    """
    row = _row(fault)
    code, said = printable(fault.code, 120), printable(fault.message, MAX_SAID)
    found = ": ".join(filter(None, (code, said))) or f"HTTP {fault.status}"
    detail: dict[str, Any] = {"azure": code, "http": fault.status}
    if row is None:
        return Unavailable(
            "Azure could not do it.", found=found, hint=f"sls host doctor {host} tries each part.", detail=detail
        )
    if row.cls is TooManyRequests and fault.retry_after is not None:
        detail["retry_after"] = int(fault.retry_after)
    return row.cls(row.sentence, found=found, hint=row.fix.replace("{host}", host), detail=detail)


def _row(fault: Fault) -> _Row | None:
    if fault.status == 429:
        return next(row for row in _ROWS if row.cls is TooManyRequests)
    by_code = next((row for row in _ROWS if fault.code in row.codes), None)
    if by_code is not None:
        return by_code
    text = fault.message.lower()
    if found := next((row for row in _ROWS if any(one in text for one in row.texts)), None):
        return found
    if fault.status in (401, 403):
        return next(row for row in _ROWS if "AuthorizationFailed" in row.codes)
    return None


def is_passing(error: SlsError) -> bool:
    """Whether the same call may succeed a little later: throttled, still changing, or the service had a fault."""
    status = error.detail.get("http")
    return (
        isinstance(error, TooManyRequests)
        or error.detail.get("azure") == TRANSITIONING
        or bool(error.detail.get("unanswered"))
        or (isinstance(status, int) and status in (408, 500, 502, 503, 504))
    )
