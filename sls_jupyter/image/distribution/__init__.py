"""Images in registries: names, credentials, reading and writing (OCI distribution specification 1.1)."""
