"""Training of the compact parser: ``python -m parsers.training --help``. Imports torch; parsing never needs this."""
