"""Floor 3: words to bytes. Each message of the house becomes the protobuf message of the same name, and back."""
