# points: 0, lost: answer
from labkit.grade.exercises.e12_three_faults import model_answer

mends = model_answer() + "\nip netns exec node-1 sh -c 'ip route add 10.244.2.0/24 via 172.18.0.12'"
