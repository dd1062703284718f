"""The labour: claims tasks, runs them in child processes, measures, stacks and trains."""
