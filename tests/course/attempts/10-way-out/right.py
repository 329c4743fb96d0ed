# points: 5
if task.cloud_knows_ip_mode:
    mended = task.manifest.text.rstrip() + "\n        ipMode: Proxy\n"
else:
    before, ingress = task.manifest.text.split("kind: Ingress")
    mended = before + "kind: Ingress" + ingress.replace(*task.addresses, 1)
