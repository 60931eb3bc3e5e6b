//! A small, bounded HTTP/1.1 and HTTP/2 server for one thread per core.
