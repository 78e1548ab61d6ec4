"""`policy check`: everything that can be known of a policy repository before it decides about anybody."""
