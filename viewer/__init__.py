"""Triplets to look at and to judge: a local page over a dataset, and what the judgements say."""
