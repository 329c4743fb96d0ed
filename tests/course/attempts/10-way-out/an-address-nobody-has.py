# points: 0, lost: a manifest that the cloud can take
mended = task.manifest.text.replace(task.addresses[0], "198.51.100.1", 1)
