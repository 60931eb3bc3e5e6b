//! What is asked of the world around the cluster: the order log, the databases, the sale's own processes.

mod books;
mod closing;
mod databases;
mod figures;
mod log;

pub(crate) use books::Books;
pub(crate) use figures::now_ms;
pub(crate) use log::layout;

use crate::memory::Memory;
use crate::observe::{PAGES, level, phase};
use crate::operator::Operator;
use crate::secrets::Secrets;
use flashsale_core::ids::SaleUid;
use flashsale_operator_core::Millis;
use flashsale_operator_core::api::{FlashSale, FlashSaleClassSpec, LockLevel, Phase};
use flashsale_operator_core::names::Names;
use flashsale_operator_core::observed::{DataPhase, Kind, Reference};
use flashsale_operator_core::pinned::Pin;
use std::time::Duration;

/// While something is being made, or is wrong, it is looked at so often.
const MAKING: Duration = Duration::from_secs(5);
/// While a sale waits for its opening.
const WAITING: Duration = Duration::from_secs(300);
/// While it runs.
const RUNNING: Duration = Duration::from_secs(60);
/// Figures of a live sale.
const LIVE: Duration = Duration::from_millis(1_900);
/// Figures of one that is armed, whose opening the figures tell.
const ARMED: Duration = Duration::from_millis(1_900);
/// How long before its opening the figures of a sale are read so often.
const OPENING_SOON_MS: u64 = 120_000;
/// Between looks at the clocks.
const CLOCKS: Duration = Duration::from_secs(60);

/// Whoever asks.
pub(crate) struct World {
    /// The Secrets of classes.
    pub(crate) secrets: Secrets,
    /// For everybody who is asked or told by HTTP.
    pub(crate) http: reqwest::Client,
}

/// A sale, its class as pinned or as it is now, and its pin.
pub(crate) type Subject<'a> = (&'a FlashSale, &'a FlashSaleClassSpec, Option<&'a Pin>);

/// The uid of a sale in the data plane.
pub(crate) fn data_uid(names: &Names) -> SaleUid {
    SaleUid(u128::from_str_radix(&names.data_plane_uid(), 16).unwrap_or_default())
}

impl World {
    /// With the Secrets of classes from `secrets`, and certificates that are trusted beside the system's.
    ///
    /// # Errors
    /// The system gives no HTTP client.
    pub(crate) fn new(
        secrets: Secrets,
        certificates: Vec<reqwest::Certificate>,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .tls_certs_merge(certificates)
            .timeout(Duration::from_secs(3))
            .connect_timeout(Duration::from_secs(2))
            .no_proxy()
            .build()?;
        Ok(Self { secrets, http })
    }

    /// Asks whoever the next plan needs to hear from, and whose last answer is too old.
    pub(crate) async fn ask(
        &self,
        operator: &Operator,
        memory: &mut Memory,
        subject: Subject<'_>,
        now: Millis,
    ) {
        let (sale, class, pin) = subject;
        let names = Names::of(sale);
        let at_rest = level(sale) == LockLevel::Pending || is_gone(sale);
        if at_rest {
            return;
        }
        let ages = Ages::of(sale, memory, now);
        tokio::join!(
            async {
                if let Some(pin) = pin
                    && memory.log.is_due(ages.log)
                {
                    let drift = self.log_drift(class, &names, pin.sizes.shards).await;
                    memory.log.take(drift, now);
                }
            },
            async {
                if memory
                    .databases_asked
                    .is_none_or(|asked| asked.elapsed() >= ages.databases)
                {
                    let asked = self.databases(class, &names, &memory.databases, now).await;
                    memory.databases = asked;
                    memory.databases_asked = Some(std::time::Instant::now());
                }
            },
            async {
                if let Some(age) = ages.figures
                    && memory.figures.is_due(age)
                {
                    let figures = self.figures(&names, &operator.settings.cluster_domain).await;
                    memory.figures.take(figures, now);
                }
            },
            async {
                if let Some(age) = ages.pages
                    && memory.pages.is_due(age)
                {
                    let pages = self.pages(&operator.caches.pods.of_sale(&names.uid)).await;
                    memory.pages.take(pages, now);
                }
            },
            async {
                if let Some(age) = ages.clocks
                    && memory.clocks.is_due(age)
                {
                    let clocks = self.clocks(&operator.caches.pods.of_sale(&names.uid)).await;
                    memory.clocks.take(Ok(clocks), now);
                }
            },
        );
    }
}

/// Whether there is nothing left to ask about.
fn is_gone(sale: &FlashSale) -> bool {
    sale.metadata.deletion_timestamp.is_none() && matches!(phase(sale), Phase::Settled | Phase::Failed)
}

/// How old answers may be.
struct Ages {
    log: Duration,
    databases: Duration,
    /// `None`: nobody asks.
    figures: Option<Duration>,
    clocks: Option<Duration>,
    pages: Option<Duration>,
}

impl Ages {
    /// Gateways are asked for their pages where the sale has its own or a CDN is told: seldom once that is done.
    fn pages(sale: &FlashSale, memory: &Memory) -> Option<Duration> {
        let entry = sale.spec.entry.as_ref()?;
        let (own, purge) = (entry.pages_config_map_ref.as_ref(), entry.cdn_purge.is_some());
        let is_serving = !matches!(
            phase(sale),
            Phase::Pending | Phase::Provisioning | Phase::Settled | Phase::Failed
        );
        if !is_serving || own.is_none() && !purge {
            return None;
        }
        let status = sale.status.as_ref().and_then(|status| status.pages.as_ref());
        let version = status.and_then(|pages| pages.version.as_ref());
        let told = memory.pages.answer.told().into_iter().flatten();
        let wanted = own.map_or(Some(""), |own| {
            match memory.references.get(&(Kind::ConfigMap, own.name.clone())) {
                Some((_, Reference::There { version, .. })) => Some(version.as_str()),
                _ => None,
            }
        });
        let is_as_said = version.is_some()
            && told
                .into_iter()
                .all(|one| Some(&one.version) == version && wanted.is_none_or(|wanted| one.own == wanted));
        let is_purged = !purge || status.is_some_and(|pages| pages.purged_version == pages.version);
        let is_known = memory.pages.answer.error().is_none();
        Some(if is_as_said && is_purged && is_known {
            PAGES
        } else {
            MAKING
        })
    }

    fn of(sale: &FlashSale, memory: &Memory, now: Millis) -> Self {
        let ending = sale.metadata.deletion_timestamp.is_some();
        let soon = sale.spec.open_time.millis() <= now.saturating_add(OPENING_SOON_MS);
        let settled = memory
            .figures
            .answer
            .told()
            .is_some_and(|figures| figures.phase == DataPhase::Settled);
        let (parts, figures) = match phase(sale) {
            _ if ending => (MAKING, Some(LIVE)),
            Phase::Pending | Phase::Provisioning => (MAKING, Some(MAKING)),
            Phase::Warming => (MAKING, Some(ARMED)),
            Phase::Registering | Phase::Armed if soon => (RUNNING, Some(ARMED)),
            Phase::Registering | Phase::Armed => (WAITING, Some(RUNNING)),
            Phase::Open => (RUNNING, Some(LIVE)),
            Phase::Draining | Phase::Settling => (MAKING, Some(if settled { RUNNING } else { LIVE })),
            Phase::Settled | Phase::Failed => (RUNNING, None),
        };
        // What isn't as it should be is looked at again soon.
        let log_fine = memory.log.answer.told().is_some_and(|log| log.drift.is_empty());
        let databases = &memory.databases.each;
        let fine = !databases.is_empty()
            && databases
                .iter()
                .all(|one| one.answer.told().is_some_and(|d| d.ready));
        let clocks = matches!(
            phase(sale),
            Phase::Warming | Phase::Registering | Phase::Armed | Phase::Open
        );
        // Before they were told, they are asked as soon as there is somebody to ask.
        let known = memory
            .clocks
            .answer
            .told()
            .is_some_and(|clocks| !clocks.is_empty());
        Self {
            log: if log_fine { parts } else { MAKING },
            databases: if fine { parts } else { MAKING },
            figures,
            clocks: clocks.then_some(if known { CLOCKS } else { MAKING }),
            pages: Self::pages(sale, memory),
        }
    }
}
