//! `make bench`: measures the product side by side with what others know, in one process and on real parts.
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
mod real;
mod report;
mod sale;
mod sold;
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

/// The pages that `--write` writes.
const PAGES: [Page; 2] = [
    Page {
        title: "Benchmarks of the embedded product",
        path: "docs/benchmarks/embedded.md",
        names: &[
            Name::SoldOut,
            Name::Engine,
            Name::Purchases,
            Name::Orders,
            Name::Batching,
            Name::Journal,
        ],
        repeat: "flashsale-bench embedded --write",
    },
    Page {
        title: "Benchmarks of the real parts",
        path: "docs/benchmarks/real.md",
        names: &[
            Name::Redis,
            Name::Coupons,
            Name::OrdersPostgres,
            Name::PurchasesReal,
            Name::OrderRateReal,
            Name::SaleReal,
        ],
        repeat: "flashsale-bench real --write",
    },
];

/// A page of the report.
#[derive(Debug)]
struct Page {
    title: &'static str,
    path: &'static str,
    names: &'static [Name],
    /// The command that measures all of it.
    repeat: &'static str,
}

/// The benchmarks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Each of them
    All,
    /// Those of one process and its directory
    Embedded,
    /// Those on real Redis, Pulsar and PostgreSQL
    Real,
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
    /// Purchases in one Redis: batches against one call each
    Redis,
    /// What Redis needs to know 10,000 winners among 5,000,000 buyers again
    Coupons,
    /// Orders into PostgreSQL against a bare insert
    OrdersPostgres,
    /// Purchases over HTTP on Redis, Pulsar and PostgreSQL, durable in Pulsar
    PurchasesReal,
    /// Orders made at a set rate in PostgreSQL
    OrderRateReal,
    /// A whole sale of 100,000 units to 500,000 buyers on Redis, Pulsar and PostgreSQL
    SaleReal,
}

impl Name {
    /// The benchmarks it stands for.
    fn each(self) -> Vec<Self> {
        let of = |page: &Page| page.names.to_vec();
        match self {
            Self::All => PAGES.iter().flat_map(of).collect(),
            Self::Embedded => of(&PAGES[0]),
            Self::Real => of(&PAGES[1]),
            one => vec![one],
        }
    }

    fn word(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Measure the product side by side with what others know.
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
    /// Write the report to docs/benchmarks/, each page whose benchmarks all were asked for
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
    let names = cli.name.each();
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
        progress.begin(&name.word());
        match measure(name, &bench).with_context(|| name.word()) {
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
    let whole = [Name::PurchasesReal, Name::OrderRateReal, Name::SaleReal];
    if wants(&[Name::SoldOut, Name::Purchases, Name::Orders]) || wants(&whole) {
        machine::program("wrk", "wrk")?;
        machine::program("taskset", "util-linux")?;
        machine::flashsale(bench.programs)?;
    }
    if wants(&[Name::Redis, Name::Coupons]) || wants(&whole) {
        machine::program("redis-server", "redis-server")?;
    }
    if wants(&whole) {
        machine::program("java", "openjdk-17-jre-headless")?;
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
        Name::Redis => real::redis::measure(bench),
        Name::Coupons => real::coupons::measure(bench),
        Name::OrdersPostgres => orders::postgres::measure(bench),
        Name::PurchasesReal => real::purchases::measure(bench),
        Name::OrderRateReal => real::order_rate::measure(bench),
        Name::SaleReal => real::sale::measure(bench),
        Name::All | Name::Embedded | Name::Real => unreachable!("replaced by the names they stand for"),
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
        let asked = cli.name.each();
        let whole = |page: &&Page| page.names.iter().all(|name| asked.contains(name));
        for page in PAGES.iter().filter(whole) {
            write(page, sections, &machine)?;
        }
    }
    Ok(())
}

fn write(page: &Page, sections: &[Section], machine: &str) -> anyhow::Result<()> {
    let words: Vec<String> = page.names.iter().map(|name| name.word()).collect();
    let here = |section: &&Section| words.iter().any(|word| word == section.name);
    let sections: Vec<&Section> = sections.iter().filter(here).collect();
    let path = Path::new(page.path);
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let text = report::markdown(page.title, page.repeat, &sections, machine);
    std::fs::write(path, text).with_context(|| page.path.to_owned())?;
    println!("\nwritten: {}", page.path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_is_on_exactly_one_page() {
        let on_pages = Name::All.each();
        for name in Name::value_variants() {
            let stands_for_others = matches!(name, Name::All | Name::Embedded | Name::Real);
            let pages = on_pages.iter().filter(|on| *on == name).count();
            assert_eq!(pages, usize::from(!stands_for_others), "{name:?}");
        }
    }
}
