"""The protocol of Azure Resource Manager. Knows no resource type: types declare themselves to it (resource.py)."""
