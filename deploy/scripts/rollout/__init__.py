"""What blue-green, canary and rollback share. Standard library only: it runs where a balancer is administered."""
