//! The small run of every `make test`: five thousand buyers instead of a hundred thousand.

use std::process::Command;

/// The server's program: it lies beside this crate's own, and tests of the whole workspace build both.
fn flashsale() -> std::path::PathBuf {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_flashsale-waiting")).with_file_name("flashsale");
    assert!(
        program.exists(),
        "{} is missing: test the whole workspace, or build it in this profile first",
        program.display()
    );
    program
}

#[test]
fn five_thousand_waiting_buyers_are_told_the_truth_by_polls_and_by_events() {
    let figures = tempfile::NamedTempFile::new().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_flashsale-waiting"))
        .arg("--flashsale")
        .arg(flashsale())
        .args([
            "--only",
            "polling,events",
            "--buyers",
            "5000",
            "--rate-per-minute",
            "24000",
        ])
        .args([
            "--arrive-seconds",
            "2",
            "--connections",
            "64",
            "--streams",
            "1000",
        ])
        .arg("--json")
        .arg(figures.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(figures.path()).unwrap()).unwrap();
    for run in ["polling", "events"] {
        assert_eq!(figures[run]["grew"], 0, "{run}: {said}");
        assert_eq!(figures[run]["unfinished"], 0, "{run}: {said}");
        assert!(
            figures[run]["promises"]["first"]["promises"].as_u64().unwrap() > 1_250,
            "{run}: {said}"
        );
    }
    // Nearly all held a stream at the same time: the others were served before the last tickets were out.
    assert!(
        figures["events"]["mostStreams"].as_u64().unwrap() > 2_500,
        "{said}"
    );
}
