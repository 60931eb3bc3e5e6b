//! The protocol of a flash sale as pure functions: no I/O, no clock, no async.
