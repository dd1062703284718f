"""Learners for a handful of labelled rows, meta-trained on generated tasks (docs/few-shot.md)."""
