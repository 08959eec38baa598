"""Generated from proto/kvstore/v1 by tests/house/regenerate.py: never edited, never read by people."""
