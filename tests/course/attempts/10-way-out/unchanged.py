# points: 0, lost: blog from blog-1, blog from node-1, all others still answered
mended = task.manifest.text
