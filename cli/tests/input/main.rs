//! Bad input and bad surroundings: each is refused with clear lines on standard error, an exit code that says
//! whose turn it is (2: change the input; 1: something failed), and without any loss.
#![allow(clippy::unwrap_used, reason = "a test ends where its ground breaks away")]

#[path = "../common/mod.rs"]
mod common;

mod books;
mod damage;
mod disk;
mod files;
mod flags;
mod mounts;
mod pages;
mod places;
mod settled;

use common::refusal::{fits, refused, snapshot};
use common::yaml;

/// The YAML of the sale of these tests.
fn small_yaml() -> String {
    yaml("small", &[("phone", 10)])
}

#[test]
fn the_lines_pattern_fits_what_it_should_and_nothing_else() {
    assert!(fits("error: a/b: gone", "error: *: gone"));
    assert!(fits("error: x", "error: x"));
    assert!(!fits("error: xy", "error: x"));
    assert!(!fits("error: a/b: gone (2)", "error: *: gone"));
    assert!(fits("a b c d", "a*c*"));
    assert!(!fits("a c b", "a*b*c"));
}
