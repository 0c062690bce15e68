"""The hospital's ledger: what its patients have spent of their privacy, in all studies, in entries that only add up.

What happened is data; epsilon is computed from it whenever it is asked for (docs/ledger.md).

- ``entries``: what an entry can say; ``chain``: how one holds on to the one before it, and its signature
- ``patients``: patients as keyed hashes, and the sets of them that studies train on
- ``books``: what the entries say together; ``spending``: what that cost each patient
- ``store``: the same on the disk
"""
