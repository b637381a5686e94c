"""The Flex Template for Google Dataflow: image recipe, parameters, and the program that it starts."""
