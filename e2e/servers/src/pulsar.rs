//! Apache Pulsar, standalone: one Java process with broker, bookie and metadata.

use crate::process::{Process, StartError, free_port};
use rustix::process::Signal;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long it may take to come up, on a machine that is busy with other tests.
const UP_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at whether it has come up.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one look at it may take.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// What it says each time that its bookie is registered anew. After about one kill in ten, bookie and broker, which share
/// one embedded metadata store here, take each other's registration back two hundred times a second, for a minute or more.
/// A start without that says it a dozen times.
const REGISTERED: &[u8] = b"Failed to resolve network location for";
/// So often, and it is started again.
const REGISTERED_MAX: usize = 100;
/// Installs the distribution, if it isn't there, and prints its folder.
const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/install-pulsar.sh");
/// Small and quick to start: the compiler's first tier, one collector thread.
const JAVA: &[&str] = &[
    "-Xms96m",
    "-Xmx512m",
    "-XX:MaxDirectMemorySize=512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
];
/// What the distribution's own start script gives to Java.
const JAVA_OF_PULSAR: &[&str] = &[
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util.zip=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.platform=ALL-UNNAMED",
    "--add-opens=java.management/sun.management=ALL-UNNAMED",
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
    "-Djava.net.preferIPv4Stack=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dlog4j.configurationFile=log4j2.yaml",
    "-Dlog4j.shutdownHookEnabled=false",
    "-Dlog4j2.is.webapp=false",
    "-Dpulsar.log.appender=Console",
    "-Dpulsar.log.level=info",
    "-Dpulsar.log.root.level=warn",
    "-Dpulsar.log.immediateFlush=true",
    "-Dbookkeeper.metadata.bookie.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataBookieDriver",
    "-Dbookkeeper.metadata.client.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataClientDriver",
];
/// A broker as a sale wants it, except for what the sale sets on its own namespace.
const BROKER: &[(&str, &str)] = &[
    ("bindAddress", "127.0.0.1"),
    ("advertisedAddress", "127.0.0.1"),
    ("allowAutoTopicCreation", "false"),
    ("brokerDeleteInactiveTopicsEnabled", "false"),
    ("backlogQuotaDefaultRetentionPolicy", "producer_request_hold"),
    ("brokerDeduplicationEnabled", "false"),
    ("delayedDeliveryEnabled", "true"),
    ("delayedDeliveryTickTimeMillis", "100"),
    ("forceDeleteNamespaceAllowed", "true"),
    // There is one bookie: one that is put into quarantine for half an hour, since it failed five times while the server was
    // killed and came back, would leave nobody to write to.
    ("bookkeeperClientHealthCheckEnabled", "false"),
    // A receipt means that the bookie's disk has it.
    ("journalSyncData", "true"),
    // And it doesn't wait for others to share the disk's answer.
    ("journalFlushWhenQueueEmpty", "true"),
    // Small caches: several of these run on one machine.
    ("managedLedgerCacheSizeMB", "64"),
    ("dbStorage_writeCacheMaxSizeMb", "64"),
    ("dbStorage_readAheadCacheMaxSizeMb", "32"),
    ("dbStorage_rocksDB_blockCacheSize", "16777216"),
    ("numHttpServerThreads", "8"),
];

/// A Pulsar of its own, killed when dropped.
#[derive(Debug)]
pub struct PulsarServer {
    dir: PathBuf,
    home: PathBuf,
    broker_port: u16,
    web_port: u16,
    process: Process,
    /// How long its log was when it was started.
    log_from: u64,
}

impl PulsarServer {
    /// Starts one on free ports with its data in `dir`; installs the distribution first if need be.
    ///
    /// # Errors
    /// It can't be installed, or doesn't come up.
    pub async fn start(dir: &Path) -> Result<Self, StartError> {
        Self::start_with(dir, &[]).await
    }

    /// Starts one with `settings` of the broker beside this module's own.
    ///
    /// # Errors
    /// It can't be installed, or doesn't come up.
    pub async fn start_with(dir: &Path, settings: &[(&str, &str)]) -> Result<Self, StartError> {
        let home = install().await?;
        let other = |e: std::io::Error| StartError::Other(format!("pulsar in {}: {e}", dir.display()));
        std::fs::create_dir_all(dir).map_err(other)?;
        let dir = dir.canonicalize().map_err(other)?;
        let (broker_port, web_port) = (free_port().map_err(other)?, free_port().map_err(other)?);
        let ports = [
            ("brokerServicePort", broker_port.to_string()),
            ("webServicePort", web_port.to_string()),
        ];
        let set = BROKER.iter().chain(settings).copied();
        let set: Vec<(&str, &str)> = set.chain(ports.iter().map(|(k, v)| (*k, v.as_str()))).collect();
        let defaults = std::fs::read_to_string(home.join("conf/standalone.conf")).map_err(other)?;
        std::fs::write(dir.join("standalone.conf"), with_settings(&defaults, &set)).map_err(other)?;
        let process = Process::start("pulsar", command(&home, &dir), &dir.join("pulsar.log"))?;
        let mut server = Self {
            dir,
            home,
            broker_port,
            web_port,
            process,
            log_from: 0,
        };
        server.up().await?;
        Ok(server)
    }

    /// For clients: `pulsar://…`.
    #[must_use]
    pub fn service_url(&self) -> String {
        format!("pulsar://127.0.0.1:{}", self.broker_port)
    }

    /// For the admin API: `http://…`.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.web_port)
    }

    /// The broker's own process id: no shell stands between.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Kills it (SIGKILL); the data stays.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on its data and its ports, and waits until it is up; kills it first if it still runs.
    ///
    /// # Errors
    /// It doesn't come up.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.begin()?;
        self.up().await
    }

    fn begin(&mut self) -> Result<(), StartError> {
        self.process.kill();
        let log = self.dir.join("pulsar.log");
        self.log_from = std::fs::metadata(&log).map_or(0, |meta| meta.len());
        self.process = Process::start("pulsar", command(&self.home, &self.dir), &log)?;
        Ok(())
    }

    /// Whether its bookie's registration is taken back again and again. See [`REGISTERED`].
    fn is_at_odds(&self) -> bool {
        let Ok(mut log) = File::open(self.dir.join("pulsar.log")) else {
            return false;
        };
        let mut said = Vec::new();
        let read = log.seek(SeekFrom::Start(self.log_from));
        // What can't be read says nothing of the server.
        read.and_then(|_| log.read_to_end(&mut said)).is_ok()
            && said
                .windows(REGISTERED.len())
                .filter(|part| *part == REGISTERED)
                .count()
                > REGISTERED_MAX
    }

    /// Freezes it (SIGSTOP): connections stay open, nothing answers.
    pub fn stop(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on after [`PulsarServer::stop`].
    pub fn cont(&self) {
        self.process.signal(Signal::CONT);
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        self.process.log_end()
    }

    /// Waits until it answers. A loop of its own instead of [`Process::until`], whose future can't be moved
    /// between threads, and a server that is restarted by a task of a test has to be.
    async fn up(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + UP_WITHIN;
        loop {
            let is_up = self.is_up().await;
            if self.is_at_odds() {
                self.begin()?;
            } else if is_up {
                return Ok(());
            }
            let what = if self.process.is_gone() {
                "has ended".to_owned()
            } else if Instant::now() > deadline {
                format!("isn't up after {UP_WITHIN:?}")
            } else {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            };
            return Err(StartError::NotUp {
                program: "pulsar".to_owned(),
                what,
                log: self.process.log_end(),
            });
        }
    }

    async fn is_up(&self) -> bool {
        answers(self.web_port, "/admin/v2/brokers/ready").await
            && answers(self.web_port, "/admin/v2/namespaces/public/default").await
            && TcpStream::connect(("127.0.0.1", self.broker_port)).await.is_ok()
    }
}

/// The distribution's folder.
async fn install() -> Result<PathBuf, StartError> {
    let failed = |why: String| StartError::Other(format!("{INSTALL}: {why}"));
    let script = || Command::new(INSTALL).stdin(Stdio::null()).output();
    let output = tokio::task::spawn_blocking(script)
        .await
        .map_err(|e| failed(e.to_string()))?
        .map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let home = printed.lines().last().unwrap_or_default();
    Ok(PathBuf::from(home))
}

fn command(home: &Path, dir: &Path) -> Command {
    let mut command = Command::new("java");
    let classes = format!("{0}/conf:{0}/lib/*", home.display());
    command.args(JAVA).args(JAVA_OF_PULSAR);
    command.arg(format!("-Dpulsar.log.dir={}", dir.join("logs").display()));
    command.args(["-cp", &classes, "org.apache.pulsar.PulsarStandaloneStarter"]);
    command.args(["--no-functions-worker", "--no-stream-storage"]);
    command.arg("--config").arg(dir.join("standalone.conf"));
    command.arg("--metadata-dir").arg(dir.join("metadata"));
    // The bookie takes a free port by itself, and remembers it with its data.
    command.arg("--bookkeeper-dir").arg(dir.join("bookie"));
    command.env("PULSAR_STANDALONE_USE_ZOOKEEPER", "0");
    command.current_dir(dir);
    command
}

/// `defaults` (lines of `key=value`) with `settings` put in or added; later settings win.
fn with_settings(defaults: &str, settings: &[(&str, &str)]) -> String {
    let key_of = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
    let kept = defaults
        .lines()
        .filter(|line| !key_of(line).is_some_and(|key| settings.iter().any(|(k, _)| *k == key)));
    let mut out: String = kept.flat_map(|line| [line, "\n"]).collect();
    for (ix, (key, value)) in settings.iter().enumerate() {
        if !settings[ix + 1..].iter().any(|(later, _)| later == key) {
            out.push_str(&format!("{key}={value}\n"));
        }
    }
    out
}

/// Whether a GET of `path` answers 200.
async fn answers(port: u16, path: &str) -> bool {
    let look = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = [0u8; 12];
        stream.read_exact(&mut head).await.ok()?;
        head.ends_with(b" 200").then_some(())
    };
    matches!(tokio::time::timeout(LOOK_WITHIN, look).await, Ok(Some(())))
}

#[cfg(test)]
mod tests {
    use super::with_settings;

    #[test]
    fn a_setting_replaces_the_default_and_the_last_one_wins() {
        let conf = with_settings("a=1\n# b=2\nc=3", &[("a", "2"), ("d", "4"), ("a", "5")]);
        assert_eq!(conf, "# b=2\nc=3\nd=4\na=5\n");
    }
}
