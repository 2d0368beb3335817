"""What crosses the layers: facts, the World, and the protocols of engines and machines. No I/O, no logic of Azure's."""
