"""What a search tries next: by grid, at random, by a model of what it saw; and which trials it gives up halfway."""
