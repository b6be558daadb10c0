"""COSE_Sign1 (RFC 9052), the CBOR below it, and did:x509 with the certificate paths it names."""
