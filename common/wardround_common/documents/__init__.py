"""What one party signs and another checks."""
