# points: 6, lost: nothing else
from labkit.grade.exercises.e12_three_faults import model_answer

mends = model_answer() + "\nip netns exec node-1 sysctl -w net.ipv4.conf.all.rp_filter=1"
