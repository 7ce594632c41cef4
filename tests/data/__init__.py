"""What tests read: files of other tools, and run directories of former versions."""
