//! A sale on a stage: its directory, its processes, and the servers that it shares with other sales.

use crate::http::page;
use crate::process::{Process, read_ready};
use flashsale_buyers::Address;
use flashsale_core::ids::SaleUid;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::data_dir::Decided;
use flashsale_dataplane::embedded::{Parts, PulsarAt};
use flashsale_dataplane::link::LinkKey;
use flashsale_servers::{RealParts, free_port};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longer than a start takes on a busy machine.
pub(crate) const SERVES_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to end in order.
const ENDS_WITHIN: Duration = Duration::from_secs(40);
/// Databases of one sale.
pub(crate) const DATABASES: usize = 2;
/// The secret of the payment callbacks.
pub(crate) const PAYMENT_KEY: &str = "a secret of these tests only";
/// The key of the tickets.
const TICKET_KEY: [u8; 32] = [7; 32];
/// The text of the link's key.
pub(crate) const LINK_KEY: &str = "another secret of these tests, of enough bytes";

/// Where the control sidecar keeps what it knows.
const CACHE: &str = "control.json";

/// A sale to be put on.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) name: &'static str,
    /// The stock of each item, called `item-0` and so on.
    pub(crate) stock: Vec<u32>,
    pub(crate) shards: u16,
    pub(crate) sidecars: u16,
    pub(crate) opens: u64,
    pub(crate) closes: u64,
    pub(crate) payment_timeout: Duration,
}

/// A sale's processes.
pub(crate) struct Stage {
    pub(crate) uid: SaleUid,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) sidecars: Vec<Process>,
    pub(crate) worker: Process,
    pub(crate) payments: Process,
    pub(crate) gateways: Vec<Process>,
    pub(crate) worker_link: String,
    pub(crate) parts: Parts,
}

/// The parts of a sale, as its processes know them.
fn parts(servers: &RealParts) -> Parts {
    Parts {
        redis: servers
            .redis
            .iter()
            .map(flashsale_servers::RedisServer::url)
            .collect(),
        pulsar: Some(PulsarAt {
            service: servers.pulsar.service_url(),
            admin: servers.pulsar.admin_url(),
        }),
        databases: (0..DATABASES)
            .map(|n| servers.postgres.url(&format!("orders_{n}")))
            .collect(),
    }
}

impl Stage {
    /// Starts all processes; they may not serve yet.
    pub(crate) fn set(servers: &RealParts, script: &Script) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("flashsale-roles-")
            .tempdir()
            .unwrap();
        let uid = SaleUid(rand::random());
        write_sale(dir.path(), uid, script);
        let parts = parts(servers);
        let files = Files::write(dir.path(), &parts);
        let local = || format!("127.0.0.1:{}", free_port().unwrap());
        let links: Vec<String> = (0..script.sidecars).map(|_| local()).collect();
        let kept = |sidecar: u16| (0..script.shards).filter(move |shard| shard % script.sidecars == sidecar);
        let list = |sidecar: u16| format!("{:?}", kept(sidecar).collect::<Vec<_>>());
        let mut sidecars_at = String::from("sidecars:\n");
        for (ix, link) in (0..).zip(&links) {
            writeln!(sidecars_at, "  - {{address: \"{link}\", shards: {}}}", list(ix)).unwrap();
        }
        let worker_link = local();
        let start = |name: &str, role, config: String| {
            let common = format!(
                "sale: {}\nadmin: 127.0.0.1:0\n{}",
                dir.path().join("sale").display(),
                files.keys
            );
            Process::start(dir.path(), name, role, &(common + &config))
        };
        let sidecars = (0..script.sidecars).zip(&links).map(|(ix, link)| {
            let Files {
                redis,
                pulsar,
                databases,
                ..
            } = &files;
            let mut own = format!("shards: {}\nlink: {link}\n", list(ix));
            if ix == 0 {
                own += &control(dir.path());
            }
            start(
                &format!("sidecar-{ix}"),
                "sidecar",
                own + redis + pulsar + databases,
            )
        });
        let sidecars = sidecars.collect();
        let own = format!("link: {worker_link}\n");
        let worker = start(
            "worker",
            "worker",
            own + &files.pulsar + &files.databases + &sidecars_at,
        );
        let first = format!(
            "sidecars:\n  - {{address: \"{}\", shards: {}}}\n",
            links[0],
            list(0)
        );
        let payments = start("payments", "payments", files.databases.clone() + &first);
        let gateways = (0..2).map(|ix| {
            let name = format!("gateway-{ix}");
            let own = format!(
                "name: {name}\nworker: {worker_link}\nlisten: 127.0.0.1:0\nthreads: 1\ndrain: 700ms\n\
                 development: true\nconnectionsPerPeer: 10000\n{}",
                files.redis_addresses
            );
            start(&name, "gateway", own + &sidecars_at)
        });
        let gateways = gateways.collect();
        Self {
            uid,
            sidecars,
            worker,
            payments,
            gateways,
            worker_link,
            parts,
            dir,
        }
    }

    pub(crate) fn link_key() -> LinkKey {
        LinkKey::new(LINK_KEY.as_bytes())
    }

    pub(crate) fn ticket_secret() -> String {
        TICKET_KEY.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Where the sale's directory is.
    pub(crate) fn sale_dir(&self) -> PathBuf {
        self.dir.path().join("sale")
    }

    /// Starts the control sidecar anew, which then knows these amendments.
    pub(crate) async fn amend(&mut self, amendments: &serde_json::Value) {
        let sidecar = &mut self.sidecars[0];
        sidecar.kill().await;
        let nothing = serde_json::json!({"document": {"revision": 0, "entries": []}, "glass": []});
        let known = serde_json::json!({
            "sale": format!("{:032x}", self.uid.0), "switches": nothing, "amendments": amendments,
        });
        std::fs::write(self.dir.path().join(CACHE), known.to_string()).unwrap();
        sidecar.restart();
        sidecar.ready(SERVES_WITHIN).await.unwrap();
    }

    /// All processes.
    pub(crate) fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let ends = [&mut self.worker, &mut self.payments];
        self.gateways
            .iter_mut()
            .chain(ends)
            .chain(self.sidecars.iter_mut())
    }

    /// Waits until everything serves.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        for process in self.processes() {
            process.ready(SERVES_WITHIN).await?;
        }
        Ok(())
    }

    /// Where buyers connect: to the gateways in turn, as far as they live.
    pub(crate) fn door(&self) -> Address {
        let files: Vec<PathBuf> = self.gateways.iter().map(Process::ready_file).collect();
        let turn = AtomicUsize::new(0);
        Address::Ask(Arc::new(move || {
            let first = turn.fetch_add(1, Ordering::Relaxed);
            let mut files = (0..files.len()).map(|n| &files[(first + n) % files.len()]);
            files.find_map(|file| {
                let ready = read_ready(file)?;
                let lives = Path::new(&format!("/proc/{}", ready.pid)).exists();
                ready.listen.filter(|_| lives)
            })
        }))
    }

    /// Waits until the worker says that the sale has settled. A process that ended by itself is a failure.
    pub(crate) async fn settled(&mut self, patience: Duration) -> Result<(), String> {
        let deadline = now_ms() + patience.as_millis() as u64;
        let mut last = None;
        while now_ms() < deadline {
            for process in self.processes() {
                if let Some(status) = process.gone() {
                    return Err(format!(
                        "{} ended by itself: {status}\n{}",
                        process.name,
                        process.errors()
                    ));
                }
            }
            if let Some(admin) = self.worker.serves().and_then(|ready| ready.admin)
                && let Some(live) = page(admin, "/live.json").await
            {
                let live: serde_json::Value = serde_json::from_str(&live).unwrap_or_default();
                if live["phase"] == "Settled" {
                    return Ok(());
                }
                last = Some(live);
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Err(format!("it doesn't settle; last: {last:?}\n{}", self.errors()))
    }

    /// Ends all processes in order: those that buyers talk to first.
    pub(crate) async fn end(&mut self) -> Result<(), String> {
        for process in self.processes() {
            process.stop(ENDS_WITHIN).await?;
        }
        Ok(())
    }

    /// What all processes said.
    pub(crate) fn errors(&mut self) -> String {
        let said = self
            .processes()
            .map(|p| format!("--- {}\n{}", p.name, p.errors()));
        said.collect()
    }
}

/// What makes the first sidecar a control sidecar, of a cluster that never answers: it goes by what it has on disk.
fn control(dir: &Path) -> String {
    let kubeconfig = dir.join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        clusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n";
    std::fs::write(&kubeconfig, text).unwrap();
    format!(
        "control: {{namespace: shop, sale: any, configMap: any-run, kubeconfig: {}, cache: {}}}\n",
        kubeconfig.display(),
        dir.join(CACHE).display()
    )
}

/// Parts of configurations.
struct Files {
    keys: String,
    redis: String,
    redis_addresses: String,
    pulsar: String,
    databases: String,
}

impl Files {
    fn write(dir: &Path, parts: &Parts) -> Self {
        let secret = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, format!("{text}\n")).unwrap();
            path.display().to_string()
        };
        let keys = format!(
            "keys: {{link: {}, tickets: {}, payments: {}}}\n",
            secret("link-key", LINK_KEY),
            secret("ticket-key", &Stage::ticket_secret()),
            secret("payment-key", PAYMENT_KEY)
        );
        let places = |what: &str, urls: &[String]| {
            let mut list = format!("{what}:\n");
            for (ix, url) in urls.iter().enumerate() {
                writeln!(list, "  - {{urlFile: {}}}", secret(&format!("{what}-{ix}"), url)).unwrap();
            }
            list
        };
        // Gateways need no password: each shard's sidecar gives them a login of its own.
        let addresses = parts.redis.iter().map(|url| {
            let (_, at) = url.rsplit_once('@').unwrap();
            format!("  - {{url: \"redis://{at}\"}}\n")
        });
        let pulsar = parts.pulsar.as_ref().unwrap();
        Self {
            redis: places("redis", &parts.redis),
            redis_addresses: format!("redis:\n{}", addresses.collect::<String>()),
            pulsar: format!(
                "pulsar: {{url: \"{}\", admin: \"{}\"}}\n",
                pulsar.service, pulsar.admin
            ),
            databases: places("databases", &parts.databases),
            keys,
        }
    }
}

fn write_sale(dir: &Path, uid: SaleUid, script: &Script) {
    let items: String = script
        .stock
        .iter()
        .enumerate()
        .map(|(ix, stock)| {
            format!("    - {{id: item-{ix}, title: \"Item {ix}\", price: \"9.90\", stock: {stock}}}\n")
        })
        .collect();
    let yaml = format!(
        "apiVersion: flashsale.dev/v1alpha1\nkind: FlashSale\nmetadata: {{name: {}, namespace: shop}}\n\
         spec:\n  openTime: \"2030-12-01T12:00:00Z\"\n  closeTime: \"2030-12-01T12:30:00Z\"\n  currency: EUR\n\
         \x20 items:\n{items}  orders: {{ratePerMinute: 600000}}\n",
        script.name
    );
    let decided = Decided {
        uid: format!("{:032x}", uid.0),
        open_ms: script.opens,
        close_ms: script.closes,
        shards: script.shards,
        payment_timeout_ms: script.payment_timeout.as_millis() as u64,
    };
    let sale = dir.join("sale");
    std::fs::create_dir_all(&sale).unwrap();
    std::fs::write(sale.join("sale.yaml"), yaml).unwrap();
    std::fs::write(sale.join("sale.json"), serde_json::to_vec(&decided).unwrap()).unwrap();
}
