//! Every file under `fixtures/good` and `examples` is accepted; every one under `fixtures/bad` is refused with
//! exactly the messages that its leading comments expect.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use flashsale_crds::{FlashSale, Rules};

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn refusals(file: &Path) -> Vec<String> {
    match FlashSale::load(file) {
        Ok(_) => Vec::new(),
        Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
    }
}

fn expected(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("# refused: "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_bad_file_is_refused_with_exactly_the_expected_messages() {
    let files = yaml_files("fixtures/bad");
    assert!(files.len() >= 40, "only {} files", files.len());
    let mut wrong = String::new();
    for file in files {
        let (found, expected) = (refusals(&file), expected(&file));
        if expected.is_empty() || found != expected {
            let name = file.file_name().unwrap().display();
            wrong += &format!("\n{name}\n  expected\n    {}\n", expected.join("\n    "));
            wrong += &format!("  found\n    {}\n", found.join("\n    "));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Those of some files that are about a sale.
fn sales_of(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let is_sale = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("\nkind: FlashSale\n");
    files.into_iter().filter(is_sale).collect()
}

#[test]
fn every_good_file_and_example_is_accepted() {
    let files: Vec<PathBuf> = [yaml_files("fixtures/good"), sales_of(yaml_files("../examples"))].concat();
    assert!(files.len() >= 8, "only {} files", files.len());
    for file in files {
        assert_eq!(refusals(&file), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn an_accepted_sale_reads_back_from_its_own_json() {
    for file in [yaml_files("fixtures/good"), sales_of(yaml_files("../examples"))].concat() {
        let sale = FlashSale::load(&file).unwrap();
        let json = serde_json::to_string(&sale).unwrap();
        assert_eq!(FlashSale::parse(&json), Ok(sale), "{}", file.display());
    }
}

#[test]
fn a_single_process_may_call_its_own_machine_and_no_other_without_tls() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/good/everything.yaml");
    let with = |url: &str| {
        fs::read_to_string(&file)
            .unwrap()
            .replace("https://shop.example/orders", url)
    };
    let own = with("http://127.0.0.1:8080/orders");
    assert!(FlashSale::parse_with(&own, Rules::EMBEDDED).is_ok());
    assert!(FlashSale::parse_with(&own, Rules::CLUSTER).is_err());
    assert!(FlashSale::parse_with(&with("http://shop.example/orders"), Rules::EMBEDDED).is_err());
}

#[test]
fn a_file_that_cannot_be_read_is_one_clear_refusal() {
    let missing = refusals(Path::new("no-such-sale.yaml"));
    assert_eq!(missing.len(), 1);
    assert!(
        missing[0].starts_with("no-such-sale.yaml can't be read: "),
        "{}",
        missing[0]
    );
    assert!(
        FlashSale::load(env!("CARGO_MANIFEST_DIR")).is_err(),
        "a folder is no sale"
    );
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read_as_yaml() {
    let refusals = FlashSale::parse(&"#".repeat(2 << 20)).unwrap_err();
    assert!(refusals[0].message.contains("larger than 1 MiB"), "{refusals:?}");
}

#[test]
fn no_change_to_a_good_file_makes_the_reader_panic_or_refuse_without_words() {
    use proptest::prelude::*;

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/good/everything.yaml");
    let lines: Vec<String> = fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let change = "[-\\[\\]{}:,.&*!#'\"0-9a-zA-Zéß電 ]{0,6}";
    proptest!(ProptestConfig::with_cases(512), |(at in 0..lines.len(), cut in 0.0..1.0_f64, gone in 0_usize..8, new in change)| {
        let mut lines = lines.clone();
        let letters: Vec<char> = lines[at].chars().collect();
        let from = (letters.len() as f64 * cut) as usize;
        let rest = letters.iter().skip(from + gone);
        lines[at] = letters.iter().take(from).copied().chain(new.chars()).chain(rest.copied()).collect();
        if let Err(refusals) = FlashSale::parse(&lines.join("\n")) {
            prop_assert!(!refusals.is_empty());
            for refusal in refusals {
                let text = refusal.to_string();
                prop_assert!(refusal.line.is_some() && !refusal.message.is_empty() && !text.contains('\n'), "{}", text);
                prop_assert!(!text.contains("report it"), "{}", text);
            }
        }
    });
}
