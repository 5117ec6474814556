"""Public data sets, downloaded from their own hosts and verified by published checksums."""
