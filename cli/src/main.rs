//! The `flashsale` command.

fn main() {}
