"""What a decision depends on, from OPA's own partial evaluation: residues, read and put into words. Nothing here guesses."""
