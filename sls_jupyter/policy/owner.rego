# Our one policy module: rules over the parameters of an OwnerPolicy, which come in as input.policy.
#
# It answers with every condition that fails, not with the first:
#   deny   conditions that nobody waives by approving this request
#   ask    conditions that a person has to decide
#   note   what will be cut, although the answer is yes
# each a set of {code, text, fix, values}, where {name} in a text stands for the value of that name.
#
# Columns come in already compared (input.columns): a table may have thousands, and the engine compares
# lists element by element.
#
# The rules keep to equality, membership, count and comparison of numbers: the engine orders values of
# different types differently from OPA (null < false is false there), so a number is compared only after
# is_number; and it joins strings with their quotes, so sentences are put together outside.

package sls.owner_policy

import rego.v1

result := {"deny": deny, "ask": ask, "note": note}

# An owner's own module decides who may ask, which code may run and whose approval is needed.
own_module if is_string(input.policy.module)

# --- the policy itself ---------------------------------------------------------------------------

deny contains {
	"code": "not-the-owner",
	"text": "The policy is by {signer}; the asset belongs to {owner}.",
	"fix": "The asset's owner has to publish a policy of their own.",
	"values": {"signer": input.policy.owner, "owner": input.asset.owner},
} if {
	input.policy.owner != input.asset.owner
}

deny contains {
	"code": "denied",
	"text": "A person who decides for the owner said no: {reason}",
	"fix": "Change what the reason names and run again; changed terms are a new request.",
	"values": {"reason": reason},
} if {
	some reason in input.denied
}

deny contains {
	"code": "expired",
	"text": "The owner's policy ended at {end}.",
	"fix": "Ask the owner to seal again with a later --expires.",
	"values": {"end": input.words.expires_at},
} if {
	is_number(input.policy.expires_at)
	input.now >= input.policy.expires_at
}

deny contains {
	"code": "runs-used-up",
	"text": "The asset's keys were released for {runs} earlier runs; the owner allows {allowed}.",
	"fix": "Ask the owner to seal again with a higher --max-runs.",
	"values": {"runs": input.runs, "allowed": input.policy.max_runs},
} if {
	is_number(input.policy.max_runs)
	input.runs >= input.policy.max_runs
}

# --- sessions ------------------------------------------------------------------------------------

in_session if is_object(input.request.session)

deny contains {
	"code": "session",
	"text": "The owner takes no sessions: each cell has to be a run of its own.",
	"fix": "Run the cell without --session, or ask the owner to seal again without --no-sessions.",
	"values": {},
} if {
	in_session
	input.policy.sessions == false
}

# A list fixes the code before anything runs; a session's code comes afterwards.
deny contains {
	"code": "session",
	"text": "The owner lets only listed code run, so there are no sessions.",
	"fix": "Run listed code without --session, or ask the owner to seal again with --allow-code reviewed.",
	"values": {},
} if {
	in_session
	not own_module
	input.policy.code == "listed"
	input.policy.sessions == true
}

deny contains {
	"code": "session-cells",
	"text": "The session asks for {asked} cells; the owner allows {allowed}.",
	"fix": "Open it with --cells {allowed}, or ask the owner to seal again with a higher --max-cells.",
	"values": {"asked": input.request.session.cells, "allowed": input.policy.max_cells},
} if {
	in_session
	is_number(input.policy.max_cells)
	input.request.session.cells > input.policy.max_cells
}

# --- who, why, for whom --------------------------------------------------------------------------

known_requester if input.request.requester in input.policy.requesters

# The owner holds the keys anyway.
known_requester if input.request.requester == input.policy.owner

deny contains {
	"code": "requester",
	"text": "The requester {did} is not on the owner's list.",
	"fix": "Ask the owner to seal again with --requester {did}.",
	"values": {"did": input.request.requester},
} if {
	not own_module
	count(input.policy.requesters) > 0
	not known_requester
}

deny contains {
	"code": "purpose",
	"text": "The purpose is '{purpose}'; the owner allows: {allowed}.",
	"fix": "Give one of the allowed purposes with --purpose, word for word.",
	"values": {"purpose": input.request.purpose, "allowed": input.policy.purposes},
} if {
	count(input.policy.purposes) > 0
	not input.request.purpose in input.policy.purposes
}

allowed_recipients := input.policy.recipients if count(input.policy.recipients) > 0

allowed_recipients := [input.request.requester] if count(input.policy.recipients) == 0

strangers := [did | some did in input.request.recipients; not did in allowed_recipients]

deny contains {
	"code": "recipient",
	"text": "Results would go to {strangers}; the owner allows only {allowed}.",
	"fix": "Leave these recipients out (--to), or ask the owner to seal again with --recipient.",
	"values": {"strangers": strangers, "allowed": allowed_recipients},
} if {
	count(strangers) > 0
}

key_fits(did) if input.policy.recipient_keys[did] == input.request.recipient_keys[did]

other_keys := [did |
	some did in input.request.recipients
	is_string(input.policy.recipient_keys[did])
	not key_fits(did)
]

deny contains {
	"code": "recipient-key",
	"text": "Results would be sealed to another key of {people} than the one that the owner pinned.",
	"fix": "Take the contact file of that person which the owner has, or ask the owner to seal again with the new one.",
	"values": {"people": other_keys},
} if {
	count(other_keys) > 0
}

# --- code ----------------------------------------------------------------------------------------

# A code asset need not be on its own owner's list.
unlisted_code := [code |
	some code in input.request.code
	not code in input.policy.code_digests
	code != input.asset.id
]

deny contains {
	"code": "code",
	"text": "The owner's list does not have this code: {unlisted}.",
	"fix": "Run listed code without any change, or ask the owner to seal again with --allow-code and this digest.",
	"values": {"unlisted": unlisted_code},
} if {
	not own_module
	input.policy.code == "listed"
	count(unlisted_code) > 0
}

# --- what may be seen ----------------------------------------------------------------------------

deny contains {
	"code": "columns-unknown",
	"text": "The asset has no column {unknown}.",
	"fix": "Ask for columns that it has: {existing}.",
	"values": {"unknown": input.columns.unknown, "existing": input.columns.existing},
} if {
	count(input.columns.unknown) > 0
}

deny contains {
	"code": "columns",
	"text": "The owner keeps these columns back: {kept}.",
	"fix": "Ask for these columns or fewer: {grantable}.",
	"values": {"kept": input.columns.kept, "grantable": input.columns.grantable},
} if {
	count(input.columns.kept) > 0
}

kinds_let_out := [kind | some kind in input.request.kinds; kind in input.policy.kinds]

kinds_withheld := [kind | some kind in input.request.kinds; not kind in input.policy.kinds]

deny contains {
	"code": "kinds",
	"text": "The requester asks to see: {asked}; the owner lets out: {allowed}.",
	"fix": "Ask for a result of one of these kinds: {allowed}.",
	"values": {"asked": input.request.kinds, "allowed": input.policy.kinds},
} if {
	count(kinds_let_out) == 0
}

note contains {
	"code": "kinds-withheld",
	"text": "The owner lets out: {let_out}; the gate will withhold: {withheld}.",
	"fix": "To see these too, ask the owner to seal again with --kinds and {withheld} added.",
	"values": {"let_out": kinds_let_out, "withheld": kinds_withheld},
} if {
	count(kinds_let_out) > 0
	count(kinds_withheld) > 0
}

# --- where it may run ----------------------------------------------------------------------------

common_tees := [tee | some tee in input.request.tees; tee in input.policy.tees]

simulated_tees := [tee | some tee in input.request.tees; startswith(tee, "simulated-")]

default tee_fix := "Run with a TEE that the owner accepts, or ask the owner to seal again with --tee and one of: {asked}."

tee_fix := "For a demonstration the owner can seal again with --tee {simulated}: a simulated TEE gives no protection from whoever runs the machine. For real data run with one of: {allowed}." if {
	count(simulated_tees) > 0
}

deny contains {
	"code": "tee",
	"text": "The requester accepts these TEEs: {asked}; the owner accepts: {allowed}.",
	"fix": tee_fix,
	"values": {"asked": input.request.tees, "allowed": input.policy.tees, "simulated": simulated_tees},
} if {
	count(common_tees) == 0
}

strange_fragments := [name | some name in input.request.fragments; not name in input.policy.fragments]

deny contains {
	"code": "fragment",
	"text": "Containers that somebody else signs might join the group ({asked}); the owner does not let them.",
	"fix": "Run without --fragment, or ask the owner to seal again with --fragment {asked}.",
	"values": {"asked": strange_fragments},
} if {
	count(strange_fragments) > 0
}

proved if {
	input.phase == "release"
	is_object(input.claims)
}

deny contains {
	"code": "no-evidence",
	"text": "Keys were asked for without verified evidence.",
	"fix": "Launch the run again: the group has to prove itself before it gets a key.",
	"values": {},
} if {
	input.phase == "release"
	not proved
}

default tee_found := "nothing that has a name"

tee_found := input.claims.tee if is_string(input.claims.tee)

deny contains {
	"code": "tee-of-evidence",
	"text": "The evidence is of {found}; the owner accepts: {allowed}.",
	"fix": "Place the run on a host with one of these TEEs: {allowed}.",
	"values": {"found": tee_found, "allowed": input.policy.tees},
} if {
	proved
	not tee_found in input.policy.tees
}

deny contains {
	"code": "tee-not-requested",
	"text": "The evidence is of {found}; the requester accepts: {asked}.",
	"fix": "Place the run on a host with one of these TEEs: {asked}.",
	"values": {"found": tee_found, "asked": input.request.tees},
} if {
	proved
	not tee_found in input.request.tees
}

honest_about_simulation if {
	input.claims.simulated == true
	startswith(tee_found, "simulated-")
}

honest_about_simulation if {
	input.claims.simulated == false
	not startswith(tee_found, "simulated-")
}

deny contains {
	"code": "simulated",
	"text": "The claims about {found} do not say whether it is simulated, or contradict its name.",
	"fix": "Use the verifier that belongs to this evidence; simulated evidence is a kind of its own.",
	"values": {"found": tee_found},
} if {
	proved
	not honest_about_simulation
}

# A minimum is for a kind of TEE, or for one product of it: sev-snp/Milan.
applies(platform) if platform == tee_found

applies(platform) if split(platform, "/") == [tee_found, input.claims.product]

tcb_reached(component, version) if {
	is_number(input.claims.tcb[component])
	input.claims.tcb[component] >= version
}

deny contains {
	"code": "tcb",
	"text": "The owner wants {component} of {platform} at {version} or later; the evidence does not show it.",
	"fix": "Place the run on a machine with newer firmware.",
	"values": {"component": component, "platform": platform, "version": version},
} if {
	proved
	some platform, minimum in input.policy.minimum_tcb
	applies(platform)
	some component, version in minimum
	not tcb_reached(component, version)
}

# --- what a person decides -----------------------------------------------------------------------

approvers := input.policy.approvers if count(input.policy.approvers) > 0

approvers := [input.policy.owner] if count(input.policy.approvers) == 0

approved_by contains did if {
	some did in input.approvals
	did in approvers
}

# The only approver need not approve a request of their own: they signed it.
approved_by contains input.policy.owner if {
	count(input.policy.approvers) == 0
	input.request.requester == input.policy.owner
}

still_to_ask := [did | some did in approvers; not did in approved_by]

approvals_missing if {
	not own_module
	count(approved_by) < input.policy.required_approvals
}

approvals := {"given": count(approved_by), "needed": input.policy.required_approvals, "waits_for": still_to_ask}

ask contains {
	"code": "requester-needs-approval",
	"text": "Each request for this asset needs approval; {given} of {needed} approvals are there.",
	"fix": "Wait until the request is approved (%sls approve) by: {waits_for}.",
	"values": approvals,
} if {
	approvals_missing
	count(input.policy.requesters) == 0
}

ask contains {
	"code": "code-needs-review",
	"text": "Code that is not on the owner's list has to be reviewed; {given} of {needed} approvals are there.",
	"fix": "Wait until the request is approved (%sls approve) by: {waits_for}.",
	"values": approvals,
} if {
	approvals_missing
	input.policy.code == "reviewed"
	count(unlisted_code) > 0
}
