//! Writes what is made from the types: the CustomResourceDefinitions, for reading and for the chart, and the reference.
//!
//! `cargo run -p flashsale-crds --example generate`; a test fails when it was forgotten.

use std::{fs, io, path::Path};

use flashsale_crds::generated;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in generated::files() {
        println!("{} ({} bytes)", file.path, file.text.len());
        fs::write(root.join(file.path), file.text)?;
    }
    Ok(())
}
