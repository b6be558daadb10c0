"""The Jupyter Server half of the panel: what a browser may ask, answered by one persona's session."""
