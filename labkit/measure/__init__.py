"""5 MEASURE: flows become numbers."""
