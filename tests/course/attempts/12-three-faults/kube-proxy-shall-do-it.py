# points: 0, lost: first complaint, second complaint, third complaint, nothing else
for proxier in lab.proxy.values():
    proxier.resync()
mends = "# done"
