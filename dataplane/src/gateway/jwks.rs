//! Where the shop's keys come from: a file or a URL, fetched by a thread of its own.

use super::jwt::{Bad, Claims, KeySet, Rules};
use super::options::GatewayError;
use arc_swap::ArcSwapOption;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Between two fetches, however many unknown keys are seen.
const FETCH_GAP: Duration = Duration::from_secs(5);
/// How long one fetch may take.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// A larger answer isn't read.
const SET_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Url(String),
}

/// Checks the shop's tokens, with keys that are kept up to date. Its thread ends when it is dropped.
pub(super) struct Verifier {
    rules: Rules,
    keys: Arc<ArcSwapOption<KeySet>>,
    wanted: mpsc::Sender<()>,
    /// How many fetches have ended, and when the last one did.
    fetched: watch::Receiver<(u64, Option<Instant>)>,
}

/// Why the buyer isn't known.
pub(super) enum Denied {
    /// The token isn't good.
    Bad(&'static str),
    /// Its key isn't known, and the keys are being fetched: check again when this changes.
    Fetching(watch::Receiver<(u64, Option<Instant>)>),
    /// The keys could never be fetched.
    NoKeys,
}

impl Verifier {
    /// Reads the keys, and starts the thread that keeps them up to date.
    ///
    /// # Errors
    /// A file can't be used, or the system gives no thread. A URL is fetched in the background.
    pub(super) fn start(jwks: &str, rules: Rules, refresh: Duration) -> Result<Self, GatewayError> {
        let source = if jwks.starts_with("https://") || jwks.starts_with("http://") {
            Source::Url(jwks.to_owned())
        } else {
            Source::File(jwks.strip_prefix("file://").unwrap_or(jwks).into())
        };
        let keys = Arc::new(ArcSwapOption::empty());
        let mut last = None;
        if let Source::File(path) = &source {
            let refused = |problem| GatewayError::Jwks {
                path: path.clone(),
                problem,
            };
            let bytes = std::fs::read(path).map_err(|e| refused(e.to_string()))?;
            keys.store(Some(Arc::new(KeySet::parse(&bytes, 1).map_err(refused)?)));
            last = Some(bytes);
        }
        let (wanted, orders) = mpsc::channel(1);
        let (tell, fetched) = watch::channel((0, None));
        let keeper = Keeper {
            source,
            keys: keys.clone(),
            last,
            generation: 1,
            tell,
        };
        std::thread::Builder::new()
            .name("jwks".to_owned())
            .spawn(move || keeper.run(orders, refresh))?;
        Ok(Self {
            rules,
            keys,
            wanted,
            fetched,
        })
    }

    /// The number of the key set in use.
    pub(super) fn generation(&self) -> u64 {
        self.keys.load().as_ref().map_or(0, |keys| keys.generation)
    }

    /// Checks a token; slow (about a tenth of a millisecond).
    pub(super) fn check(&self, token: &str) -> Result<(Claims, u64), Denied> {
        let keys = self.keys.load();
        let Some(keys) = keys.as_ref() else {
            return Err(self.fetch().map_or(Denied::NoKeys, Denied::Fetching));
        };
        match keys.check(token, &self.rules) {
            Ok(claims) => Ok((claims, keys.generation)),
            Err(Bad::Refused(why)) => Err(Denied::Bad(why)),
            Err(Bad::UnknownKey) => {
                let refused = Denied::Bad("The token's key is not one of the shop's.");
                Err(self.fetch().map_or(refused, Denied::Fetching))
            }
        }
    }

    /// Has the keys fetched, unless that has just been done.
    fn fetch(&self) -> Option<watch::Receiver<(u64, Option<Instant>)>> {
        let mut fetched = self.fetched.clone();
        let ended = fetched.borrow_and_update().1;
        if ended.is_some_and(|at| at.elapsed() < FETCH_GAP) {
            return None;
        }
        // Full: a fetch is ordered already.
        let _ = self.wanted.try_send(());
        Some(fetched)
    }
}

/// The thread's state.
struct Keeper {
    source: Source,
    keys: Arc<ArcSwapOption<KeySet>>,
    /// The bytes of the set in use.
    last: Option<Vec<u8>>,
    generation: u64,
    tell: watch::Sender<(u64, Option<Instant>)>,
}

impl Keeper {
    fn run(mut self, mut orders: mpsc::Receiver<()>, refresh: Duration) {
        // Fails only if another part of the process has installed one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else {
            tracing::error!("the shop's keys can't be kept up to date: the system gave no event queue");
            return;
        };
        runtime.block_on(async {
            loop {
                if self.last.is_none() {
                    self.fetch().await;
                }
                let pause = if self.last.is_none() { FETCH_GAP } else { refresh };
                tokio::select! {
                    order = orders.recv() => if order.is_none() { return },
                    () = tokio::time::sleep(pause) => {}
                }
                self.fetch().await;
            }
        });
    }

    async fn fetch(&mut self) {
        let result = match &self.source {
            Source::File(path) => std::fs::read(path).map_err(|e| format!("{}: {e}", path.display())),
            Source::Url(url) => get(url).await.map_err(|e| format!("{url}: {e}")),
        };
        let parsed = result.and_then(|bytes| {
            if self.last.as_ref() == Some(&bytes) {
                return Ok(());
            }
            self.generation += 1;
            self.keys
                .store(Some(Arc::new(KeySet::parse(&bytes, self.generation)?)));
            self.last = Some(bytes);
            Ok(())
        });
        if let Err(problem) = parsed {
            tracing::warn!(%problem, "can't fetch the shop's keys; those last fetched stay in use");
        }
        self.tell.send_modify(|(count, ended)| {
            *count += 1;
            *ended = Some(Instant::now());
        });
    }
}

async fn get(url: &str) -> Result<Vec<u8>, String> {
    let words = |e: reqwest::Error| e.without_url().to_string();
    let client = reqwest::Client::builder()
        .timeout(FETCH_MAX)
        // Whoever can answer with a redirect must not choose what is fetched from inside.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(words)?;
    let mut response = client.get(url).send().await.map_err(words)?;
    if !response.status().is_success() {
        return Err(format!("the answer was {}", response.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(words)? {
        if bytes.len() + chunk.len() > SET_BYTES_MAX {
            return Err("the answer is larger than 1 MiB".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
