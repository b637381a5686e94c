"""Rebuilds the derived rows of ``filters/data`` from WordNet: ``python -m filters.building WORDNET_FOLDER``.

For development only: nothing here runs when facetmine does.
"""
