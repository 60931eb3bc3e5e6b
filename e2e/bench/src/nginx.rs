//! nginx with one worker that answers everything from its configuration.

use crate::child::{self, Running};
use crate::machine;
use anyhow::{Context, bail};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const START_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    running: Running,
    /// Where it listens.
    pub(crate) listen: SocketAddr,
}

impl Nginx {
    /// Starts one process on `core` that answers `body`; its files are in `dir`.
    pub(crate) fn start(dir: &Path, core: usize, body: &str) -> anyhow::Result<Self> {
        let listen = machine::free_address()?;
        let (file, out) = (dir.join("nginx.conf"), dir.join("nginx.out"));
        std::fs::write(&file, configuration(dir, listen, body)?)
            .with_context(|| file.display().to_string())?;
        let mut command = Command::new(machine::program("nginx", "nginx-light")?);
        command.arg("-c").arg(&file).arg("-p").arg(dir);
        let mut running = Running::start(command, Some(core), &out)?;
        child::until("nginx listens", START_WITHIN, LOOK_EVERY, || {
            if running.ended()?.is_some() {
                bail!(
                    "nginx ended: {}",
                    std::fs::read_to_string(&out).unwrap_or_default()
                );
            }
            Ok(TcpStream::connect(listen).ok())
        })?;
        Ok(Self { running, listen })
    }

    /// The process that serves.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }
}

fn configuration(dir: &Path, listen: SocketAddr, body: &str) -> anyhow::Result<String> {
    let dir = dir
        .to_str()
        .context("a temporary directory with a path of text")?;
    if body.contains(['$', '\'', '\\']) {
        bail!("nginx can't be told to answer {body}");
    }
    // Like the gateway: one process, no access log, connections that stay open.
    Ok(format!(
        "worker_processes 1;\ndaemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.log;\n\
         events {{ worker_connections 1024; multi_accept on; }}\nhttp {{\n  access_log off;\n  \
         keepalive_requests 100000000;\n  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  \
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n  \
         default_type application/problem+json;\n  server {{\n    listen {listen} backlog=4096;\n    \
         location / {{ return 200 '{body}'; }}\n  }}\n}}\n"
    ))
}
