"""4 SEND: pods that answer and clients that ask."""
