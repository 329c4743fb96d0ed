"""Whole experiments as one call each: several guests, one immutable result."""
