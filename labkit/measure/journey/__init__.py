"""The packet's journey: everything that happens to one connection, in order, as immutable values."""
