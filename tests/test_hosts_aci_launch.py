"""A group on ACI starts once, runs what was asked for, and is gone in every ending."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sls_jupyter.contract import cce
from sls_jupyter.errors import (
    BadInput,
    DigestMismatch,
    HostUnsuitable,
    MalformedDocument,
    NotAuthorised,
    Refused,
    RunCancelled,
    SlsError,
    Unavailable,
    UnknownName,
)
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.running import AciGroup
from sls_jupyter.hosts.aci.starting import _about_policy
from sls_jupyter.hosts.aci.template import CREATED_TAG, LAUNCH_TAG, MARKER, SPEC_TAG
from tests.aci_answers import decision_text
from tests.aci_kit import group, host, policy
from tests.aci_standin import Azure, serving


@pytest.fixture
def azure() -> Iterator[Azure]:
    with serving(Azure()) as found:
        yield found


def launched(at: AciHost, tell: Any = lambda _: None) -> AciGroup:
    made = group()
    return at.launch(made, cce.render(made), tell)


def failing(azure: Azure, at: AciHost | None = None) -> SlsError:
    """The error of a launch that must fail; nothing may be left, and nothing made twice."""
    with pytest.raises(SlsError) as raised:
        launched(at or host(azure))
    assert azure.billed() == []
    assert len(azure.creates) <= 1
    assert raised.value.hint
    return raised.value


def test_a_group_starts_and_its_doors_have_addresses(azure):
    """The usual way: progress is told, doors can be reached, and the end leaves nothing that costs money."""
    told: list[str] = []
    running = launched(host(azure), told.append)
    assert running.endpoints == {"input": ("127.0.0.1", 8443), "output": ("127.0.0.1", 8444)}
    assert all(state.running for state in running.states().values())
    assert any("pulling image" in line for line in told)
    assert any("Started container" in line for line in told)
    assert running.logs("program") == ""
    tags = azure.groups[running.name].asked["tags"]
    assert set(tags) == {MARKER, SPEC_TAG, LAUNCH_TAG, CREATED_TAG}
    assert azure.refused == []
    running.stop()
    running.stop()
    assert (azure.billed(), len(azure.creates), len(azure.deletes)) == ([], 1, 1)
    assert not any(state.running for state in running.states().values())


def test_a_group_that_nobody_holds_is_deleted(azure):
    """A forgotten run does not go on costing money."""
    running = launched(host(azure))
    assert azure.billed()
    del running
    gc.collect()
    assert azure.billed() == []


def test_a_slow_deletion_is_waited_for(azure):
    """Stopped means gone, not asked to go."""
    running = launched(host(azure))
    azure.fail("slow delete")
    running.stop()
    assert azure.billed() == []


def test_a_deletion_that_fails_is_said_and_tried_again(azure):
    """Money that may go on being spent is said, with what finds it."""
    told: list[str] = []
    running = launched(host(azure, patience=0.05), told.append)
    azure.fail("answer DELETE", 100, status=500, code="InternalServerError", message="no")
    running.stop()
    assert "is billed" in told[-1]
    assert "sls host sweep azure-eu" in told[-1]
    azure.failures.clear()
    running.stop()
    assert azure.billed() == []


@pytest.mark.parametrize("loss", ["lost", "dropped"])
def test_an_answer_that_is_lost_makes_no_second_group(azure, loss):
    """The network breaks after Azure has taken the group: it is found by its name and used."""
    azure.fail(loss)
    running = launched(host(azure))
    assert len(azure.creates) == 1
    running.stop()
    assert azure.billed() == []


@pytest.mark.parametrize(
    ("status", "code"), [(409, "ContainerGroupTransitioning"), (429, "TooManyRequests"), (503, "ServerTimeout")]
)
def test_what_passes_is_waited_for(azure, status, code):
    """Throttling and a group that still changes are no reason to fail, nor to ask without end."""
    azure.fail("put", 2, status=status, code=code, message="retry later", headers={"Retry-After": "0"})
    azure.fail("answer GET", 1, status=429, code="TooManyRequests", message="retry later")
    running = launched(host(azure))
    assert len(azure.creates) == 1
    running.stop()
    azure.fail("put", 10**6, status=status, code=code, message="retry later")
    error = failing(azure, host(azure, start=0.2))
    assert isinstance(error, Unavailable)
    assert code in str(error.found)


def test_a_group_of_that_name_is_not_touched(azure):
    """A second launch of one spec neither uses nor deletes the group of the first."""
    made = group()
    running = host(azure).launch(made, cce.render(made))
    with pytest.raises(BadInput, match="there already"):
        host(azure).launch(made, cce.render(made))
    assert azure.billed() == [running.name]
    running.stop()


def test_another_policy_than_ours_is_refused(azure):
    """Azure once put a policy that allows everything into a group by itself: such a group gets no further."""
    azure.fail("other policy")
    error = failing(azure)
    assert isinstance(error, DigestMismatch)
    assert "allows everything" in str(error.found)


def test_a_policy_that_was_changed_is_told_with_the_difference():
    """Whoever reports it knows which rule Azure changed, not only that a digest differs."""
    text = policy().text
    changed = text.replace(b'"working_dir": "/"', b'"working_dir": "/tmp"', 1)
    assert changed != text
    assert 'working_dir: "/tmp", expected "/"' in _about_policy(changed, text)


def test_a_group_that_stays_waiting_is_deleted(azure):
    """Groups get stuck in Creating now and then; the run ends and says so."""
    azure.fail("stuck")
    error = failing(azure, host(azure, start=0.3))
    assert "did not start in time" in error.message
    assert "Creating" in str(error.found)


def test_a_cancelled_run_ends_its_launch(azure):
    """Who interrupts while Azure starts a group does not wait for it, and does not pay for it."""
    azure.fail("stuck")

    def tell(words: str) -> None:
        if azure.billed():
            raise RunCancelled("The run was cancelled.")

    with pytest.raises(RunCancelled):
        launched(host(azure), tell)
    assert azure.billed() == []


_DENIED = {
    "decision": "deny",
    "reason": {"errors": ["invalid env list: APP_IDENTITY_ENDPOINT=http://x,IDENTITY_HEADER=s3cret"]},
}


def test_a_denial_names_container_rule_and_fix(azure):
    """The utility VM's decision is told in words at once, not after the service's half hour; no value is in it."""
    azure.fail("denial", container="output", decision=_DENIED)
    error = failing(azure)
    assert isinstance(error, Refused)
    assert error.detail["container"] == "output"
    assert error.detail["rule"] == "unnamed"
    assert "APP_IDENTITY_ENDPOINT" in str(error.found)
    assert "s3cret" not in repr(error) + str(error)


@pytest.mark.parametrize(
    ("kind", "how", "cls", "word"),
    [
        # the reports of others that docs/azure.md lists, and what they are told as
        ("denial", {"container": "input", "decision": {"reason": {"errors": ["deviceHash not found"]}}}, Refused, "digest"),
        ("event", {"name": "Failed", "message": "mounting scsi device failed: denied by policy: mount_device not allowed by"
                   " policy. Errors: [deviceHash not found]."}, Refused, "digest"),
        ("put", {"status": 400, "code": "InvalidCcePolicy", "message": "The CCE Policy is not valid."}, MalformedDocument, "export"),
        ("put", {"status": 400, "code": "InaccessibleImage", "message": "The image 'x' is not accessible."}, Unavailable, "AcrPull"),
        ("operation", {"code": "InaccessibleImage", "message": "The image 'x' is not accessible."}, Unavailable, "AcrPull"),
        ("event", {"name": "FailedToPull", "message": "Failed to pull image \"x\": unauthorized"}, Unavailable, "AcrPull"),
        ("put", {"status": 409, "code": "ServiceUnavailable", "message": "The requested resource is not available in the location"
                 " 'northeurope' at this moment."}, Unavailable, "another region"),
        ("operation", {"code": "Failed", "message": "The requested resource is not available in the location 'northeurope' at"
                       " this moment."}, Unavailable, "another region"),
        ("put", {"status": 400, "code": "ContainerGroupQuotaReached", "message": "container group quota 'StandardCores'"
                 " exceeded"}, Unavailable, "Quotas"),
        ("put", {"status": 403, "code": "AuthorizationFailed", "message": "The client does not have authorization"},
         NotAuthorised, "az login"),
        ("put", {"status": 404, "code": "ResourceGroupNotFound", "message": "Resource group could not be found."},
         UnknownName, "az group create"),
        ("put", {"status": 400, "code": "LocationNotAvailableForResourceType", "message": "not available"},
         HostUnsuitable, "list-locations"),
        ("put", {"status": 400, "code": "ConfidentialContainerGroupSkuIsNotSupported", "message": "no"}, HostUnsuitable, "region"),
        ("put", {"status": 403, "code": "RequestDisallowedByPolicy", "message": "no"}, NotAuthorised, "administers"),
        ("put", {"status": 409, "code": "MissingSubscriptionRegistration", "message": "no"}, Unavailable, "az provider register"),
        ("operation", {"code": "SomethingNew", "message": "in words of Azure"}, Unavailable, "doctor"),
    ],
)  # fmt: skip
def test_each_failure_has_its_error_and_its_fix(azure, kind, how, cls, word):
    """What goes wrong on Azure is told with what to do, and nothing is left running or billed twice."""
    azure.fail(kind, **how)
    error = failing(azure)
    assert type(error) is cls
    assert word in error.hint


def test_a_region_without_the_sku_and_a_small_quota_are_told(azure):
    """The service's own checks of what was sent are understood."""
    azure.confidential = False
    assert isinstance(failing(azure), HostUnsuitable)
    azure.confidential, azure.quota = True, 2
    assert "quota" in failing(azure).message


def test_a_policy_of_another_group_is_refused_before_azure_is_asked(azure):
    """Template and policy are one group's, whoever calls."""
    with pytest.raises(DigestMismatch):
        host(azure).launch(group(), policy().text)
    assert azure.calls == []


def test_a_group_beyond_the_limits_is_refused_before_azure_is_asked(azure):
    """Limits hold for the sum over all containers."""
    from sls_jupyter.contract.spec import Limits

    made = group(limits=Limits(cpus=30))
    with pytest.raises(Unavailable, match="larger than"):
        host(azure).launch(made, cce.render(made))
    assert azure.calls == []


def test_nobody_logged_in_is_told_with_what_to_do(caplog):
    """Without a credential the first call says how to get one, once, and Microsoft's loggers do not say it before."""
    import azure.identity  # noqa: F401 - makes its loggers
    from azure.core.exceptions import ClientAuthenticationError

    from sls_jupyter.hosts.aci.arm import Arm

    class Nobody:
        class container_groups:  # noqa: N801
            @staticmethod
            def get(*_: Any, **__: Any) -> None:
                logging.getLogger("azure.identity._credentials.chained").warning("ten lines")
                raise ClientAuthenticationError("DefaultAzureCredential failed\nto retrieve a token")

    with pytest.raises(NotAuthorised) as raised:
        Arm(Nobody(), "research").get("x")
    assert "az login" in raised.value.hint
    assert raised.value.found == "no credential (az login, managed identity, environment)"
    assert caplog.records == []
    logging.getLogger("azure.identity._credentials.chained").warning("heard again")
    assert [one.message for one in caplog.records] == ["heard again"]


def test_what_the_stand_in_says_of_a_denial_is_what_is_read():
    """Stand-in and reader agree on one form."""
    assert "policyDecision< " in decision_text(_DENIED)
