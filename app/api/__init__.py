"""The door: HTTP only. A file holds the request model, the response model and the routes of one noun."""
