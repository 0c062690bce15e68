"""Maps of what a network's answer hangs on, and how much of them lies in lesions: numbers, and no picture."""
