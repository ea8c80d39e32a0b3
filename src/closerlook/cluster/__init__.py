"""Jobs on a cluster: attempts, supervision, status of each stage, the driver that submits them."""
