"""What there is to see, on the page and in the terminal."""
