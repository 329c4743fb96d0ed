"""A real node's rules: read as its own tools print them, compared with labkit's, explained, replayed."""
