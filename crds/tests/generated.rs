//! What is made from the types and kept in the repository is as they are now.

use std::{fs, path::Path};

use flashsale_crds::{crd::custom_resource_definitions, generated};

#[test]
fn what_is_generated_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in generated::files() {
        let kept = fs::read_to_string(root.join(&file.path)).unwrap_or_default();
        assert!(
            kept == file.text,
            "{} is stale; run `cargo run -p flashsale-crds --example generate`",
            file.path
        );
    }
}

#[test]
fn the_generated_definitions_are_yaml_that_says_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    for (name, definition) in custom_resource_definitions() {
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, definition, "{name}");
    }
}
