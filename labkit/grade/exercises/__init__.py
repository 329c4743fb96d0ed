"""The graded exercises of the course, one module each: `e02_by_hand.py` is the exercise `02-by-hand`."""
