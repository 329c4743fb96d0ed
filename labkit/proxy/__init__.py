"""3 PROGRAM: kube-proxy: a cluster in; rules, sets and virtual servers out."""
