"""Few-shot learners for tables with a handful of labelled rows; what networks learned elsewhere is computed with NumPy alone."""
