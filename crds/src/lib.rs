//! The FlashSale resources as Rust types, and their validation.
