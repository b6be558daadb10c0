"""What each error text of Microsoft's policy framework means, and what to do about it. Data, and one look-up.

The judge says the framework's own texts; the local host and the reader of Azure's denials both turn them into
errors of ours with this table, so a refusal reads the same wherever it happens. A text that is not in the table is
shown as it is, under the rule ``unknown``.

Source of the texts: hcsshim ``pkg/securitypolicy/framework.rego`` (framework 0.5.0) and, for what is said of a
policy as a whole, ``securitypolicyenforcer_rego.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SAME_GROUP = "Make template and policy from one group with one version of sls-jupyter, and change neither by hand."
_PLATFORM = (
    "The platform starts containers differently today. Run the preflight, which compares with the data of this version."
)


@dataclass(frozen=True, slots=True)
class Words:
    """One rule of the framework in words.

    ``text`` is a regular expression that fits the framework's text as a whole; its group ``what``, if there is one,
    is the part that names things (variables, mount points, versions), never a value of a variable.
    """

    rule: str
    text: str
    means: str
    fix: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One error text, explained."""

    rule: str
    what: str  # the names in the text, "" where it has none
    means: str
    fix: str
    text: str  # as the framework said it


WORDS: tuple[Words, ...] = (
    # --- layers
    Words(
        "layer",
        "deviceHash not found",
        "A layer of the image is not one that the policy names: the image is another one.",
        "Deploy the image by digest, and hash its layers again; a tag may have moved.",
    ),
    Words(
        "layer_path",
        "mountpoint invalid",
        "A layer or a disk is mounted at a place where the utility VM keeps none.",
        "Report this: the platform chooses these places, not the template.",
    ),
    Words(
        "mounted_twice",
        "device already mounted at path|scratch already mounted at path",
        "Something is mounted there already.",
        "Start the group anew; a group is not repaired while it runs.",
    ),
    Words(
        "not_mounted",
        "no (?:device|overlay|scratch) at path to unmount",
        "Nothing is mounted there.",
        "Start the group anew; a group is not repaired while it runs.",
    ),
    Words(
        "wrong_unmount",
        "received read-(?:only|write) unmount request, but device provided is read-(?:write|only)",
        "A disk is unmounted as another kind than it was mounted.",
        "Report this: the platform unmounts, not the template.",
    ),
    Words(
        "layers",
        "no matching containers for overlay",
        "No container of the policy has these layers in this order.",
        "Deploy the image by digest; its layers, their number and their order are part of the policy.",
    ),
    Words(
        "overlay_twice",
        "overlay has already been mounted",
        "This container has its root file system already.",
        "Start the group anew; a container id is used once.",
    ),
    Words(
        "block_device",
        "blockdev mounts are not supported",
        "A raw block device is given to a container; no policy can allow that.",
        "Take the volume out of the template.",
    ),
    # --- scratch space
    Words(
        "unencrypted_scratch",
        "unencrypted scratch not allowed(?:, non-readonly mount request for SCSI disk must request encryption)?",
        "A writable disk is not encrypted.",
        "Report this: the platform encrypts scratch disks of confidential groups by itself.",
    ),
    Words(
        "scratch_format",
        "ensureFilesystem must be set on rw device mounts",
        "A writable disk is mounted without being formatted first.",
        "Report this: the platform formats scratch disks by itself.",
    ),
    Words(
        "scratch_filesystem",
        "rw device mounts uses a filesystem that is not allowed",
        "A writable disk has a file system that is neither ext4 nor xfs.",
        "Report this: the platform chooses it.",
    ),
    # --- one container's start
    Words(
        "command",
        "invalid command",
        "The command or one of its arguments is not the policy's.",
        _SAME_GROUP,
    ),
    Words(
        "environment",
        "invalid env list(?:: (?P<what>.*))?",
        "A variable is set that the policy does not name, or to another value.",
        "Take the variable out of the template. If the platform set it, make the policy anew: its data has a date.",
    ),
    Words(
        "required_environment",
        "missing required environment variable",
        "A variable is missing that the policy insists on.",
        _SAME_GROUP,
    ),
    Words(
        "mounts",
        "invalid mount list: (?P<what>.*)",
        "Something is mounted there that the policy does not name, or with other options.",
        "Take the volume out of the template. If the platform mounts it, make the policy anew: its data has a date.",
    ),
    Words(
        "working_directory",
        "invalid working directory",
        "The working directory is not the policy's.",
        "Build the image without WORKDIR, or with the one that the policy names.",
    ),
    Words(
        "no_new_privileges",
        "invalid noNewPrivileges",
        "The container may gain privileges, which the policy forbids.",
        "Set allowPrivilegeEscalation to false in the template's securityContext.",
    ),
    Words(
        "user",
        "invalid user",
        "User, group or umask is not the policy's.",
        "Set runAsUser and runAsGroup in the template's securityContext as the group says.",
    ),
    Words(
        "seccomp",
        "invalid seccomp",
        "The seccomp profile is not the one whose digest the policy has.",
        "Put the profile of this version into securityContext.seccompProfile, as base64 of exactly those bytes.",
    ),
    Words(
        "capabilities",
        "capabilities don't match",
        "The container has capabilities that the policy does not give it, or lacks some.",
        "Drop each of the platform's 14 capabilities by its name; the word ALL is not understood.",
    ),
    Words(
        "privileged",
        "privileged escalation not allowed",
        "The container is started as a privileged one.",
        "Set privileged to false in the template's securityContext.",
    ),
    Words(
        "devices",
        "devices not supported",
        "A device node is given to the container; no policy can allow that.",
        "Take the device out of the template.",
    ),
    Words(
        "started_twice",
        "container already started",
        "A container of this id was started before.",
        "Set restartPolicy to Never, and start a new group.",
    ),
    Words(
        "not_started",
        "container not started",
        "No container of this id was started.",
        "Start the group anew.",
    ),
    Words(
        "ambiguous_stdio",
        "(?:containers|external processes) only distinguishable by allow_stdio_access",
        "Two containers of the policy differ in nothing but whether their output may be read.",
        _SAME_GROUP,
    ),
    Words(
        "ambiguous_capabilities",
        "containers only distinguishable by capabilties",  # spelt like this there
        "Two containers of the policy differ in nothing but their capabilities.",
        _SAME_GROUP,
    ),
    # --- a started container
    Words(
        "signal",
        "target isn't allowed to receive the signal",
        "A signal is sent that the policy does not allow.",
        "Stop the group as a whole; it ends by SIGTERM or SIGKILL.",
    ),
    # --- fragments and lists of ledgers
    Words(
        "fragment_issuer",
        "invalid fragment issuer",
        "Somebody's signed addition to the policy is loaded, and this policy takes none of theirs.",
        "Ask for the fragment in the spec if the group needs it; owners then decide on it.",
    ),
    Words(
        "fragment_feed",
        "invalid fragment feed",
        "A signed addition to the policy is loaded that this policy does not take from its issuer.",
        "Ask for the fragment in the spec if the group needs it; owners then decide on it.",
    ),
    Words(
        "fragment_version",
        "fragment svn is below the specified minimum",
        "A signed addition to the policy is older than the policy allows.",
        _PLATFORM,
    ),
    Words(
        "fragment_version_form",
        "fragment svn and the specified minimum are different types|svn in header (?P<what>.*)"
        "|missing fragment svn in either header or rego payload",
        "The version of a signed addition to the policy is missing, or cannot be compared with what the policy asks.",
        _PLATFORM,
    ),
    Words(
        "fragment_receipt",
        "missing receipt from (?P<what>.*)",
        "A signed addition to the policy lacks a ledger's receipt that the policy asks for.",
        _PLATFORM,
    ),
    Words(
        "ledger_list",
        "no TTL candidate matches the provided TTL's issuer, subject and svn"
        "|The provided TTL does not contain any ledgers it is allowed to load",
        "A list of ledgers is loaded that the policy does not take.",
        _PLATFORM,
    ),
    # --- the policy itself
    Words(
        "framework_version",
        "(?:fragment )?framework_version is (?P<what>missing|ahead of the current version).*",
        "The policy is written for another version of the framework than this machine has.",
        "Make the policy with a version of sls-jupyter that the region's machines know.",
    ),
    Words(
        "missing_rule",
        "rule for (?P<what>.*) is missing from policy|enforcement point rule (?P<point>.*) (?:does not exist|is invalid)"
        "|policy does not define api_version",
        "The policy does not answer one of the machine's questions.",
        _SAME_GROUP,
    ),
    Words(
        "invalid_policy",
        "Security policy is (?:not valid|either not valid or did not provide a reason for denial).*",
        "The machine could not use the policy, or the policy gives no reasons.",
        _SAME_GROUP,
    ),
)
_PATTERNS = tuple((re.compile(words.text, re.DOTALL), words) for words in WORDS)
_UNKNOWN = "The policy does not allow this."
_MEANINGS = {words.rule: words.means for words in WORDS}
MAX_TEXT = 4096  # characters of one text that are looked at


def explain(text: str) -> Explained:
    """What one error text of the framework means. Never raises; never longer than the text it is given."""
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(text[:MAX_TEXT]):
            what = next((part for part in found.groupdict().values() if part), "")
            return Explained(words.rule, what, words.means, words.fix, text[:MAX_TEXT])
    return Explained("unknown", "", _UNKNOWN, _PLATFORM, text[:MAX_TEXT])


def explain_all(texts: Iterable[str], *, drops_variables: bool) -> list[Explained]:
    """What the texts of one denial mean, without what is no reason.

    Args:
        texts: all that the framework said.
        drops_variables: whether the policy drops unknown variables (ours do). The framework then still names them in
            a denial that has another reason.
    """
    found = [explain(text) for text in texts]
    others = [one for one in found if one.rule != "environment"]
    return others if drops_variables and others else found


def meaning(rule: str) -> str:
    """What it means that a rule does not hold, in one sentence."""
    return _MEANINGS.get(rule, _UNKNOWN)
