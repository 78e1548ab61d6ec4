"""OPA: one immutable policy set at a time, asked over one small client; whatever is not a clear answer is `Undecided`."""
