"""Microsoft.Network: one declaration a resource type. Shapes follow the 2025-07-01 specification and recordings."""
