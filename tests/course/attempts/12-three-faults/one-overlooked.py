# points: 5, lost: third complaint
from labkit.grade.exercises.e12_three_faults import model_answer

*found, _ = model_answer().splitlines()
mends = "\n".join(found)
