"""`catalog export|diff|pin`: what the backends offer, as files that people review and that rules are typed by."""
