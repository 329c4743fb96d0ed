# points: 0, lost: first complaint, second complaint, third complaint, nothing else
from labkit.grade.exercises.e12_three_faults import model_answer

mends = model_answer().translate(str.maketrans({"1": "2", "2": "1"}))
