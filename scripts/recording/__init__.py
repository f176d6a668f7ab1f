"""What `scripts/record.py` is made of: the files it makes, the cases it runs, and what it keeps of them."""
