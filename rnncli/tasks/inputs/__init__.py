"""What tasks read: an input owns its section of `data:`, and how rows are read, encoded and shown."""
