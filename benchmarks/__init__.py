"""Measurements, each against a named peer or a stated reference in the same run. ``make bench`` runs them all."""
