"""Faults of a cluster: what breaks, who notices, what mends it. Planned purely, injected as commands.

`catalogue.py` names them all; `commands.py` reads a learner's own commands, of which only those of a node's
network are taken; `holding.py` reads what a node holds, `symptoms.py` who is answered.
"""
