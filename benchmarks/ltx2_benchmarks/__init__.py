"""What is measured and against whom: prompt suites, published figures and the procedural world, with loaders."""
