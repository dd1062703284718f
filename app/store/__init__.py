"""The memory: all SQL. Functions take a Session first and never commit; routes and tasks do."""
