"""Networks that learn to learn. They need PyTorch (extra `deep`); what they learned is served as arrays, by NumPy alone."""
