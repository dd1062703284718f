"""What a task of each kind loads, which function its child computes, and what of the outcome is applied."""
