"""What drops or ranks rows: pure functions on Arrow tables."""
