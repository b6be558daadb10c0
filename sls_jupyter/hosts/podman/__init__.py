"""A group as a pod of podman: the real guest image on an ordinary machine, with simulated evidence."""
