"""Confidential analytics in a notebook cell."""
