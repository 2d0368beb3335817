"""The two loops that make stored facts true: network and machines."""
