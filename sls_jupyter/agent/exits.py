"""How the agent's starter tells what became of it."""

FAILED, TAKEN = 1, 3
