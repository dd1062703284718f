"""Experiments: one configuration cross-validated on one dataset, and what is made of the results."""
