"""The receipt of a run: what the hardware signed about it, and how anybody checks that offline."""
