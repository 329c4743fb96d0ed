"""The lab's own Linux: choose it, boot it, run things in it. Standard library only."""
