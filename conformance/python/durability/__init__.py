"""What survives: kill -9 in a loop, a disk that fails to sync, a disk that is full."""
