"""The metaselect service: science (`metalearning`), door (`api`), memory (`store`)."""
