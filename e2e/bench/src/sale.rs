//! A sale served by the real `flashsale up`, as a child process.

use crate::child::{self, Running};
use anyhow::{Context, bail};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a sale may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(60);
/// How long one HTTP answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a starting sale is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What is sold, and how fast orders are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    /// Units.
    pub(crate) stock: u32,
    /// Orders made per minute.
    pub(crate) orders_per_minute: u32,
}

/// The sale as YAML; the names are those in `purchase.lua`.
pub(crate) fn yaml(offer: Offer) -> String {
    format!(
        "apiVersion: flashsale.dev/v1alpha1\nkind: FlashSale\nmetadata: {{name: phone-launch, namespace: shop}}\nspec:\n  \
         openTime: \"2030-12-01T12:00:00Z\"\n  closeTime: \"2030-12-01T13:00:00Z\"\n  currency: EUR\n  items:\n    - \
         {{id: phone-15-black, title: \"Phone 15, black\", price: \"699.00\", stock: {}}}\n  orders: {{ratePerMinute: {}}}\n",
        offer.stock, offer.orders_per_minute
    )
}

/// How a sale is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Serving<'a> {
    /// The `flashsale` command.
    pub(crate) program: &'a Path,
    /// Gateway threads; as many as there are cores if `None`.
    pub(crate) gateways: Option<u8>,
    /// On this core only.
    pub(crate) core: Option<usize>,
    /// More options of `flashsale up`: where the real parts are.
    pub(crate) options: &'a [String],
}

/// A sale that is being served.
#[derive(Debug)]
pub(crate) struct Sale {
    running: Running,
    /// The buyers' address.
    pub(crate) listen: SocketAddr,
    admin: SocketAddr,
    /// Its data.
    pub(crate) data: PathBuf,
}

impl Sale {
    /// Serves `offer`, open at once, with its data and output in `dir`.
    pub(crate) fn open(dir: &Path, offer: Offer, serving: Serving<'_>) -> anyhow::Result<Self> {
        let (file, out, data) = (dir.join("sale.yaml"), dir.join("up.out"), dir.join("data"));
        std::fs::write(&file, yaml(offer)).with_context(|| file.display().to_string())?;
        let mut command = Command::new(serving.program);
        command.arg("up").arg(&file).arg("--data").arg(&data);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(["--opens-in", "1ms", "--trust-header", "--plain"]);
        command.args(serving.options);
        if let Some(gateways) = serving.gateways {
            command.args(["--gateways", &gateways.to_string()]);
        }
        let mut running = Running::start(command, serving.core, &out)?;
        let (listen, admin) = child::until("the sale's addresses", OPEN_WITHIN, LOOK_EVERY, || {
            let text = std::fs::read_to_string(&out)?;
            if running.ended()?.is_some() {
                bail!("flashsale up ended: {text}");
            }
            Ok(address(&text, "sale page").zip(address(&text, "live page")))
        })?;
        Ok(Self {
            running,
            listen,
            admin,
            data,
        })
    }

    /// The process that serves.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The URL of purchases.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{PURCHASES}", self.listen)
    }

    /// What the sale has counted.
    pub(crate) fn counts(&self) -> anyhow::Result<Counts> {
        Ok(Counts(get(self.admin, "/metrics")?.1))
    }

    /// Buys one unit for `buyer`.
    pub(crate) fn buy(&self, buyer: &str) -> anyhow::Result<(u16, String)> {
        let body = r#"{"item":"phone-15-black","quantity":1}"#;
        let request = format!(
            "POST {PURCHASES} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nX-Buyer-Id: {buyer}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        exchange(self.listen, &request)
    }

    /// Ends the serving; the data stays.
    pub(crate) fn stop(mut self) -> anyhow::Result<PathBuf> {
        let status = self.running.end(Signal::TERM)?;
        if !status.success() {
            bail!("flashsale up ended with {status}");
        }
        Ok(self.data)
    }
}

const PURCHASES: &str = "/v1/sales/phone-launch/purchases";

/// A sale's counters at one moment, in Prometheus' text format.
#[derive(Debug, Clone)]
pub(crate) struct Counts(String);

impl Counts {
    /// One of the sale's event counters.
    pub(crate) fn event(&self, name: &str) -> anyhow::Result<u64> {
        let start = format!("flashsale_events_total{{event=\"{name}\"}} ");
        let value = self.0.lines().find_map(|l| l.strip_prefix(start.as_str()));
        let value = value.with_context(|| format!("the sale's metrics have no event {name}"))?;
        Ok(value.trim().parse::<f64>()? as u64)
    }
}

fn address(text: &str, what: &str) -> Option<SocketAddr> {
    let line = text.lines().find(|l| l.starts_with(what))?;
    let (_, url) = line.split_once("http://")?;
    url.split('/').next()?.parse().ok()
}

fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    exchange(address, &request)
}

/// One request on a connection of its own: status and body.
fn exchange(address: SocketAddr, request: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).with_context(|| address.to_string())?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer without a body")?;
    let status = head.split(' ').nth(1).context("an answer without a status")?;
    Ok((status.parse()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_read_from_what_up_prints() {
        let text = "sale page  http://127.0.0.1:4711/\nlive page  http://127.0.0.1:4712/live\n";
        let (sale, live) = (address(text, "sale page"), address(text, "live page"));
        assert_eq!(sale.unwrap().port(), 4711);
        assert_eq!(live.unwrap().port(), 4712);
        assert_eq!(address("sale page", "live page"), None);
    }

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let text = "flashsale_events_total{event=\"reserved\"} 300000\nflashsale_events_total{event=\"ordered\"} 7\n";
        let counts = Counts(text.to_owned());
        assert_eq!(counts.event("reserved").unwrap(), 300_000);
        assert!(counts.event("order").is_err());
    }
}
