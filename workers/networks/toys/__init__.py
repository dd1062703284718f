"""The tasks of the papers themselves, to see that what is implemented does what it did there (docs/learning-to-learn.md)."""
