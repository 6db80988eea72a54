"""What the nodes of a swarm share: networks with their VNIs and addresses, and the records of remote endpoints."""
