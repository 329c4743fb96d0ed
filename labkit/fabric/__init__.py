"""2 BUILD: the live network; the only place that knows rtnetlink and setns."""
