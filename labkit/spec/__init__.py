"""1 READ: what the user wrote becomes checked, immutable values."""
