"""AMD SEV-SNP: the report, its certificates and their chain, revocation, and what all of it says."""
