"""The Jupyter kernel that lives inside the guest."""
