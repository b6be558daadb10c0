"""Microsoft Azure: the forms its container groups send, endorsements of utility VMs, ledger receipts, MAA tokens."""
