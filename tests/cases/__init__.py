"""Small inputs that real folders, disks and networks bring: what is put in, what is expected, and what becomes of it.

``make cases`` shows them as a table; ``tests/test_cases.py`` holds them to it. Each goes through the product as its
user would, by the command ``wardround``, or by the function that a hospital calls. The unit tests say more, and why.
"""
