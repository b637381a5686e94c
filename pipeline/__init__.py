"""The mining job: read, parse, mine, write."""
