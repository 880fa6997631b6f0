"""What a flow and an operator may set, in words and frozen data; no I/O."""
