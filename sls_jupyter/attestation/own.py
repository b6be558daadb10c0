"""What this guest's own hardware says of it. Not verified, because nobody else is asked: for a guest about itself only."""

from __future__ import annotations

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.intel import quote as quotes


def own_init_data(evidence: Evidence) -> bytes:
    """HOST_DATA (SEV-SNP, 32 bytes), MRCONFIGID (TDX, 48) or CONFIGID (SGX, 64) of one's own evidence.

    What is *not* checked: any signature. Evidence of somebody else has to be verified instead.

    Raises:
        MalformedDocument: the report cannot be read.
    """
    if evidence.kind.endswith("-snp"):
        return snp.Report.parse(evidence.report_bytes()).host_data
    quote = quotes.Quote.parse(evidence.report_bytes())
    return bytes(quote.body["mr_config_id" if quote.tee_type == quotes.TDX else "config_id"])
