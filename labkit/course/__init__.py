"""8 TEACH: lessons: their sources become notebooks."""
