"""Intel SGX and TDX: quotes, the collateral that speaks for them, and their verification."""
