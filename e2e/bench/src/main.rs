//! `make bench`: measures the embedded product side by side with what others know.
//!
//! Whatever is compared takes turns in the same run, round by round, so that a machine with neighbours slows both
//! alike. Children are ended by their ids; files go to a temporary directory on the disk that is measured.

mod batching;
mod child;
mod engine;
mod journal;
mod machine;
mod nginx;
mod orders;
mod progress;
mod purchases;
mod report;
mod sale;
mod sold_out;
mod wrk;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use progress::Progress;
use report::Section;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where `--write` puts the report.
const REPORT: &str = "docs/benchmarks/embedded.md";

/// The benchmarks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Each of them
    All,
    /// "Sold out" from the real gateway against nginx answering from its configuration
    SoldOut,
    /// The engine alone: attempts per second of one core
    Engine,
    /// Purchases over HTTP until the stock is sold and durable
    Purchases,
    /// Orders into the database against a bare insert, and at a set rate
    Orders,
    /// Attempts in batches against one attempt per call of the host
    Batching,
    /// The journal's commits against the disk's own
    Journal,
}

/// Measure the embedded product side by side with what others know.
#[derive(Debug, Parser)]
struct Cli {
    /// Which benchmark
    #[arg(value_enum, default_value = "all")]
    name: Name,
    /// Rounds of each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: u8,
    /// Write all figures with all rounds here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report to docs/benchmarks/embedded.md
    #[arg(long)]
    write: bool,
    /// Keep the data that is measured on this directory's disk, instead of beside this program
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Another sale's purchase URL, already served on this machine, to take turns with `purchases`; an answer with
    /// the text of --spike-accepts is a purchase
    #[arg(long, value_name = "URL")]
    spike_url: Option<String>,
    /// What an accepted purchase's answer from --spike-url contains
    #[arg(long, value_name = "TEXT", default_value = "\"code\":1,")]
    spike_accepts: String,
}

/// What every benchmark is given.
struct Bench<'a> {
    rounds: usize,
    /// An empty directory on the disk that is measured.
    scratch: &'a Path,
    /// The directory with the `flashsale` command.
    programs: &'a Path,
    spike: Option<Spike<'a>>,
    progress: &'a Progress,
}

/// Another sale to compare purchases with.
#[derive(Debug, Clone, Copy)]
struct Spike<'a> {
    url: &'a str,
    accepts: &'a str,
}

impl Bench<'_> {
    /// A new directory for one round.
    fn round_dir(&self) -> anyhow::Result<tempfile::TempDir> {
        tempfile::tempdir_in(self.scratch).with_context(|| self.scratch.display().to_string())
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flashsale-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let executable = std::env::current_exe().context("can't find this program's own path")?;
    let programs = executable.parent().context("this program lies in no directory")?;
    let on = cli.dir.as_deref().unwrap_or(programs);
    let scratch = tempfile::Builder::new()
        .prefix("flashsale-bench-")
        .tempdir_in(on)
        .with_context(|| {
            format!(
                "{}: give a directory that can be written with --dir",
                on.display()
            )
        })?;
    let names: Vec<Name> = match cli.name {
        Name::All => Name::value_variants()[1..].to_vec(),
        one => vec![one],
    };
    let progress = Progress::new(names.len());
    let bench = Bench {
        rounds: usize::from(cli.rounds),
        scratch: scratch.path(),
        programs,
        spike: cli.spike_url.as_deref().map(|url| Spike {
            url,
            accepts: &cli.spike_accepts,
        }),
        progress: &progress,
    };
    // What is missing is said before anything is measured.
    check(&names, &bench)?;
    let (mut sections, mut failed) = (Vec::new(), None);
    for name in names {
        let word = name.to_possible_value();
        let word = word.as_ref().map_or("", |w| w.get_name());
        progress.begin(word);
        match measure(name, &bench).with_context(|| word.to_owned()) {
            Ok(section) => sections.push(section),
            // What the others found is worth having all the same.
            Err(error) => {
                eprintln!("\nflashsale-bench: {error:#}");
                failed = Some(error);
            }
        }
    }
    progress.clear();
    publish(cli, &sections)?;
    failed.map_or(Ok(()), Err)
}

fn check(names: &[Name], bench: &Bench<'_>) -> anyhow::Result<()> {
    let wants = |some: &[Name]| names.iter().any(|name| some.contains(name));
    if wants(&[Name::SoldOut]) {
        machine::program("nginx", "nginx-light")?;
    }
    if wants(&[Name::SoldOut, Name::Purchases, Name::Orders]) {
        machine::program("wrk", "wrk")?;
        machine::program("taskset", "util-linux")?;
        machine::flashsale(bench.programs)?;
    }
    Ok(())
}

fn measure(name: Name, bench: &Bench<'_>) -> anyhow::Result<Section> {
    match name {
        Name::SoldOut => sold_out::measure(bench),
        Name::Engine => engine::measure(bench),
        Name::Purchases => purchases::measure(bench),
        Name::Orders => orders::measure(bench),
        Name::Batching => batching::measure(bench),
        Name::Journal => journal::measure(bench),
        Name::All => unreachable!("`all` was replaced by the names it stands for"),
    }
}

fn publish(cli: &Cli, sections: &[Section]) -> anyhow::Result<()> {
    let machine = machine::description();
    print!("{machine}\n\n{}", report::table(sections));
    if let Some(path) = &cli.json {
        let document = serde_json::json!({"machine": machine, "benchmarks": sections});
        std::fs::write(path, serde_json::to_vec_pretty(&document)?)
            .with_context(|| path.display().to_string())?;
    }
    if cli.write {
        let path = Path::new(REPORT);
        let directory = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        std::fs::write(path, report::markdown(sections, &machine)).with_context(|| REPORT.to_owned())?;
        println!("\nwritten: {REPORT}");
    }
    Ok(())
}
