"""Whether: an owner's policy, its parameters in Rego, and its decision with reasons."""
