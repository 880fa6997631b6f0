"""Tasks in other processes: what they take along, how they ask, how they are answered."""
