# points: 0, lost: every call is answered, evenly shared, the pod sees its caller, a pod reaches itself, the node itself reaches it
true
