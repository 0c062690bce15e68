"""What patients spend of their privacy: policy, account, budget, ledger."""
