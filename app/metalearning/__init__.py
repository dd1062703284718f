"""The science: pure functions and frozen dataclasses, arrays in, values out."""
