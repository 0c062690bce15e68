"""What private training costs: events, epsilon, and sums that carry their own noise."""
