//! A segmented, checksummed, group-committed journal on disk.
