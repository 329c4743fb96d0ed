# points: 0, lost: outside is answered, client is answered, evenly shared
true
