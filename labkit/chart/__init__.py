"""6 SHOW: numbers become a figure, the same data as a table, and one sentence of alt text."""
