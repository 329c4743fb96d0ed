# points: 0, lost: the kernel's choices
def choose_pods(clients, pods):
    return [pods[at % len(pods)] for at in range(len(clients))]
