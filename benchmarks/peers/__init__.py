"""The same work done by pmemobj and by other embedded stores: python -m benchmarks.peers."""
