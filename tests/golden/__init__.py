"""Recorded behaviour: what every searcher and scheduler did before the code was reorganised."""
