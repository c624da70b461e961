"""What several test modules share, each module for one purpose. Test modules import from here, never from each other."""
