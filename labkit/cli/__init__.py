"""The commands, one file per verb; the only place for typer and rich."""
