"""The files in which a retraining and its child hand each other what is too large for a message."""

LEARNED_FILE = "learned.json"
KNOWLEDGE_FILE = "knowledge.npz"
