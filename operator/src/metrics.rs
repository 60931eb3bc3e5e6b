//! What the operator counts of itself.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// Bounds of the durations, in seconds: a look at a sale at rest takes milliseconds, an audit minutes.
const SECONDS: [f64; 12] = [
    0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0,
];

/// All counters, in one registry.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    steps: IntCounterVec,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    watch_restarts: IntCounterVec,
    queue_depth: IntGauge,
    queue_running: IntGauge,
    sales: IntGaugeVec,
    leader: IntGauge,
    contended: IntCounterVec,
    events: IntCounterVec,
}

impl Metrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// A metric is declared twice.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            let made = HistogramVec::new(options, labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let gauge = |name: &str, help: &str| {
            let made = IntGauge::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let sales = IntGaugeVec::new(
            Opts::new("flashsale_operator_sales", "Sales, by phase."),
            &["phase"],
        )?;
        registry.register(Box::new(sales.clone()))?;
        Ok(Self {
            reconciles: counters(
                "flashsale_operator_reconciles_total",
                "Looks at an object, by controller and outcome.",
                &["controller", "outcome"],
            )?,
            reconcile_seconds: seconds(
                "flashsale_operator_reconcile_seconds",
                "How long a look at an object took.",
                &["controller"],
            )?,
            steps: counters(
                "flashsale_operator_steps_total",
                "Steps that were carried out, by kind and outcome.",
                &["step", "outcome"],
            )?,
            requests: counters(
                "flashsale_operator_api_requests_total",
                "Requests to the Kubernetes API, by verb, resource and status.",
                &["verb", "resource", "code"],
            )?,
            request_seconds: seconds(
                "flashsale_operator_api_request_seconds",
                "How long the Kubernetes API took to begin its answer, without watches.",
                &["verb"],
            )?,
            watch_restarts: counters(
                "flashsale_operator_watch_errors_total",
                "Watches that broke and were begun again, by resource.",
                &["resource"],
            )?,
            queue_depth: gauge(
                "flashsale_operator_queue_depth",
                "Objects that are due to be looked at.",
            )?,
            queue_running: gauge(
                "flashsale_operator_queue_running",
                "Objects that are being looked at.",
            )?,
            leader: gauge(
                "flashsale_operator_leader",
                "1 while this process holds the lease.",
            )?,
            contended: counters(
                "flashsale_operator_reverted_total",
                "Changes by somebody else that were taken back, by the object's kind.",
                &["kind"],
            )?,
            events: counters(
                "flashsale_operator_events_total",
                "Events that were written, by reason.",
                &["reason"],
            )?,
            sales,
            registry,
        })
    }

    /// A look at an object has ended.
    pub(crate) fn reconciled(&self, controller: &str, outcome: &str, took: Duration) {
        self.reconciles.with_label_values(&[controller, outcome]).inc();
        self.reconcile_seconds
            .with_label_values(&[controller])
            .observe(took.as_secs_f64());
    }

    /// A step was carried out, or failed.
    pub(crate) fn step(&self, kind: &str, outcome: &str) {
        self.steps.with_label_values(&[kind, outcome]).inc();
    }

    /// The API has begun to answer, or hasn't.
    pub(crate) fn request(&self, verb: &str, resource: &str, code: &str, took: Duration) {
        self.requests.with_label_values(&[verb, resource, code]).inc();
        if verb != "watch" {
            self.request_seconds
                .with_label_values(&[verb])
                .observe(took.as_secs_f64());
        }
    }

    /// A watch broke.
    pub(crate) fn watch_broke(&self, resource: &str) {
        self.watch_restarts.with_label_values(&[resource]).inc();
    }

    /// How full the queue is.
    pub(crate) fn queue(&self, due: usize, running: usize) {
        self.queue_depth.set(i64::try_from(due).unwrap_or(i64::MAX));
        self.queue_running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// Whether this process leads.
    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// How many sales there are in each phase.
    pub(crate) fn sales<'a>(&self, phases: impl Iterator<Item = &'a str>) {
        self.sales.reset();
        for phase in phases {
            self.sales.with_label_values(&[phase]).inc();
        }
    }

    /// Somebody's change was taken back.
    pub(crate) fn reverted(&self, kind: &str) {
        self.contended.with_label_values(&[kind]).inc();
    }

    /// An event was written.
    pub(crate) fn event(&self, reason: &str) {
        self.events.with_label_values(&[reason]).inc();
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// A metric can't be written as text.
    pub(crate) fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        TextEncoder::new().encode(&prometheus::gather(), &mut text)?;
        String::from_utf8(text).map_err(|e| prometheus::Error::Msg(e.to_string()))
    }
}
