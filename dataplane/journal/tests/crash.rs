//! Accidents that need a process of their own: kill -9, a full disk, a file size limit, a directory it may not write.
//!
//! The tests start this test binary again, to run one of its ignored tests as the child.

#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use common::{LONG, open, read_all, small};
use flashsale_journal::{AppendError, Journal, Opened, Position};
use rand::{Rng, SeedableRng};
use tempfile::{TempDir, tempdir};

const DIR: &str = "JOURNAL_TEST_DIR";
const ROUND: &str = "JOURNAL_TEST_ROUND";

/// A directory that every user may enter, with a copy of this binary in it that every user may run.
fn public_dir() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("test-binary");
    fs::copy(env::current_exe().unwrap(), &binary).unwrap();
    (dir, binary)
}

/// The arguments that make this test binary run one ignored test.
fn child_args(test: &str) -> [&str; 4] {
    ["--ignored", "--exact", "--nocapture", test]
}

/// The lines that the child printed for its parent.
fn told(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    lines.filter_map(|line| line.split_once("TELL ").map(|(_, told)| told.to_owned()))
}

fn tell(what: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "TELL {what}").unwrap();
    out.flush().unwrap();
}

/// The record that round `round` appends at `position`: any mix-up of places, rounds or bytes shows.
fn record(round: u64, position: u64) -> Vec<u8> {
    let mut bytes = [round.to_le_bytes(), position.to_le_bytes()].concat();
    let mut random = rand::rngs::StdRng::seed_from_u64(round << 32 ^ position);
    let length = random.random_range(0..400);
    bytes.extend((0..length).map(|_| random.random::<u8>()));
    bytes
}

#[test]
#[ignore = "a child: appends until it is killed, and tells what is durable"]
fn child_appends() {
    let round: u64 = env::var(ROUND).unwrap().parse().unwrap();
    let Opened {
        journal,
        committed,
        recovered,
    } = open(Path::new(&env::var(DIR).unwrap()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = recovered.end.0;
            loop {
                match journal.append((next % 7) as u16, record(round, next)) {
                    Ok(position) => assert_eq!(position, Position(next)),
                    Err(AppendError::Full { .. }) => {
                        std::thread::yield_now();
                        continue;
                    }
                    Err(other) => panic!("{other}"),
                }
                next += 1;
                // Now and then wait, so that small batches, idle moments and seals are hit as well.
                if next.is_multiple_of(50) {
                    journal.wait_durable(Position(next - 1), LONG).unwrap();
                }
            }
        });
        for batch in committed {
            tell(batch.unwrap().last().unwrap().position);
        }
    });
}

#[test]
fn after_kill_9_at_any_moment_all_that_was_told_durable_is_there_in_order() {
    const ROUNDS: u64 = 60;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let dir = tempdir().unwrap();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(child_args("child_appends"))
            .env(DIR, dir.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut durable = kept.len() as u64;
        let kill_after: u32 = random.random_range(1..40);
        let mut told = told(&mut child);
        for line in told.by_ref().take(kill_after as usize) {
            durable = line.parse::<u64>().unwrap() + 1;
        }
        for _ in 0..random.random_range(0..20_000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        // What it had told before it died, though nobody had read it.
        for line in told {
            durable = line.parse::<u64>().map_or(durable, |position| position + 1);
        }
        child.wait().unwrap();
        assert!(
            durable > kept.len() as u64,
            "round {round}: the child made nothing durable"
        );
        let again = open(dir.path());
        assert!(
            again.recovered.end.0 >= durable,
            "round {round}: {durable} told, {:?}",
            again.recovered
        );
        let found = read_all(&again.journal);
        for (at, committed) in found.iter().enumerate() {
            let at = at as u64;
            assert_eq!(
                (committed.position, committed.partition),
                (Position(at), (at % 7) as u16)
            );
            match kept.get(at as usize) {
                Some(before) => assert_eq!(committed.record, *before, "round {round}: {at} changed"),
                None => assert_eq!(
                    committed.record,
                    record(round, at),
                    "round {round}: {at} is made up"
                ),
            }
        }
        assert!(found.len() >= kept.len());
        kept = found
            .into_iter()
            .map(|committed| committed.record.to_vec())
            .collect();
    }
    println!("{ROUNDS} kills, {} records", kept.len());
}

#[test]
#[ignore = "a child: appends until the disk refuses, tells the last durable position and the refusal"]
fn child_fills() {
    let opened = match Journal::open(env::var(DIR).unwrap(), small()) {
        Ok(opened) => opened,
        Err(error) => return tell(format!("refused {error}")),
    };
    tell("opened");
    // The parent closes the pipe when it has set its limits.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let (mut next, stopped) = (
        opened.recovered.end,
        loop {
            match opened.journal.append(1, vec![0xAB; 3000]) {
                Ok(position) => {
                    // Whether it is durable or the journal stopped shows in the next append.
                    let _ = opened.journal.wait_durable(position, LONG);
                }
                Err(AppendError::Stopped(failure)) => break failure,
                Err(other) => panic!("{other}"),
            }
        },
    );
    for outcome in &opened.committed {
        match outcome {
            Ok(batch) => next = batch.last().unwrap().position.plus(1),
            Err(failure) => {
                assert_eq!(failure.to_string(), stopped.to_string());
                break;
            }
        }
    }
    assert_eq!(next, opened.journal.durable());
    tell(format!("durable {next}"));
    tell(format!("stopped {stopped}"));
}

/// The journal in `dir` has exactly what the child told, and works again.
fn assert_whole(dir: &Path, durable: &str) {
    let again = open(dir);
    assert_eq!(format!("durable {}", again.recovered.end), durable);
    assert!(
        read_all(&again.journal)
            .iter()
            .all(|committed| committed.record == vec![0xAB; 3000])
    );
    let position = again.journal.append(1, vec![1]).unwrap();
    again.journal.wait_durable(position, LONG).unwrap();
}

#[test]
fn a_file_size_limit_in_mid_run_stops_the_journal_with_a_clear_error_and_loses_nothing_durable() {
    let dir = tempdir().unwrap();
    // The limit comes by a signal that kills, unless ignored; an ignored one stays so across exec.
    let mut child = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(env::current_exe().unwrap())
        .args(child_args("child_fills"))
        .env(DIR, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = told(&mut child);
    assert_eq!(told.next().unwrap(), "opened");
    // Segments have 32 KiB: this one has room for a few batches more.
    let pid = child.id().to_string();
    assert!(
        Command::new("prlimit")
            .args(["--pid", &pid, "--fsize=20000"])
            .status()
            .unwrap()
            .success()
    );
    drop(child.stdin.take());
    let durable = told.next().unwrap();
    let stopped = told.next().unwrap();
    assert!(
        stopped.contains("segment-0000000000.journal at byte"),
        "{stopped}"
    );
    assert!(stopped.contains("raise the file size limit"), "{stopped}");
    assert!(child.wait().unwrap().success());
    assert_ne!(durable, "durable 0");
    assert_whole(dir.path(), &durable);
}

#[test]
fn a_full_disk_stops_the_journal_at_the_next_segment_and_loses_nothing_durable() {
    let (public, _) = public_dir();
    let (mount, keep) = (public.path().join("mount"), public.path().join("keep"));
    fs::create_dir(&mount).unwrap();
    // A mount namespace of its own: the little disk vanishes with the child. Its journal is copied out before.
    let script = r#"mount -t tmpfs -o size=150k none "$MOUNT" || { echo TELL no mount; exit 0; }
        "$0" "$@"; cp -r "$MOUNT/journal" "$KEEP""#;
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(env::current_exe().unwrap())
        .args(child_args("child_fills"))
        .envs([("MOUNT", &mount), ("KEEP", &keep), (DIR, &mount.join("journal"))])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            return println!("SKIPPED: no unshare ({error}); the file size limit is tested instead");
        }
    };
    let told: Vec<String> = told(&mut child).collect();
    child.wait().unwrap();
    if told.is_empty() || told[0] == "no mount" {
        return println!("SKIPPED: no mount allowed here; the file size limit is tested instead");
    }
    assert_eq!(told[0], "opened");
    assert!(told[2].contains("free disk space"), "{told:?}");
    assert_ne!(told[1], "durable 0");
    assert_whole(&keep, &told[1]);
}

#[test]
fn a_directory_that_may_not_be_written_is_refused_with_its_path() {
    let (public, binary) = public_dir();
    let dir = public.path().join("journal");
    drop(open(&dir));
    let before = common::snapshot(&dir);
    // As a user who may read: permissions do not bind root.
    let mut command = Command::new(binary);
    command
        .args(child_args("child_fills"))
        .env(DIR, &dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = match command.uid(65534).gid(65534).spawn() {
        Ok(child) => child,
        Err(_) => {
            // Not root, so permissions bind this user.
            fs::set_permissions(dir.join("LOCK"), fs::Permissions::from_mode(0o444)).unwrap();
            Command::new(env::current_exe().unwrap())
                .args(child_args("child_fills"))
                .env(DIR, &dir)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        }
    };
    let told: Vec<String> = told(&mut child).collect();
    assert!(child.wait().unwrap().success());
    assert!(
        told[0].starts_with("refused could not open the lock file"),
        "{told:?}"
    );
    assert!(
        told[0].contains(dir.to_str().unwrap()) && told[0].contains("let this user write"),
        "{told:?}"
    );
    assert_eq!(before, common::snapshot(&dir));
}
