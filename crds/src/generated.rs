//! The files of the repository that are made from the types.

use crate::{
    crd::{custom_resource_definitions, to_yaml},
    reference,
};

/// Where the chart and people find the CustomResourceDefinitions.
const FOLDERS: [&str; 2] = ["crds/generated", "charts/flashsale/files/crds"];

/// A file that is made from the types.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path from the repository's root.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// All of them.
pub fn files() -> Vec<File> {
    let definitions = custom_resource_definitions();
    let in_folder = |folder: &str| -> Vec<File> {
        let file = |(name, definition)| File {
            path: format!("{folder}/{name}"),
            text: to_yaml(definition),
        };
        definitions
            .iter()
            .map(|(name, definition)| file((name, definition)))
            .collect()
    };
    let reference = File {
        path: "docs/reference.md".to_owned(),
        text: reference::markdown(),
    };
    FOLDERS
        .into_iter()
        .flat_map(in_folder)
        .chain([reference])
        .collect()
}
