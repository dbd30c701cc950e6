"""What the programs of bench/ are made of; nothing but the standard library."""
