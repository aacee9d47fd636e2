"""What hears and judges within the attempt policy, and opens the door."""
