"""What jobs compute: processes of their own, and the programs that run in them."""
