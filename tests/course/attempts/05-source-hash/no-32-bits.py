# points: 0, lost: the kernel's choices
from ipaddress import IPv4Address


def choose_pods(clients, pods):
    places = [(int(IPv4Address(client)) * 0x61C88647) >> 24 for client in clients]
    return [pods[place % len(pods)] for place in places]
