"""The claim ledger: sentences about kube-proxy's modes, each with what is measured for it and a judge."""
