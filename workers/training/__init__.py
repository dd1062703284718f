"""Training: build the meta-dataset, fit every way of ranking on it, prove it by grouped cross-validation."""
