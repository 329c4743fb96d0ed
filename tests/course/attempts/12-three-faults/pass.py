# points: 0, lost: answer
