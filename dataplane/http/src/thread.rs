//! One thread of the server: its runtime, its listeners, its end.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::time::MissedTickBehavior;

use crate::accept::{Acceptor, Stop};
use crate::peers::Peers;
use crate::stats::ThreadStats;
use crate::table::TICK;
use crate::worker::Worker;
use crate::{Limits, ServeError, Service};

/// What one thread is started with.
pub(crate) struct ServerThread {
    pub(crate) index: usize,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) limits: Limits,
    pub(crate) stats: Arc<ThreadStats>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) stop: Stop,
}

impl ServerThread {
    /// Runs until it is told to stop and what was in flight then is done, or its time is over.
    pub(crate) fn run<S: Service>(self, make_service: &dyn Fn(usize) -> S) -> Result<(), ServeError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        runtime.block_on(self.serve(make_service))
    }

    async fn serve<S: Service>(mut self, make_service: &dyn Fn(usize) -> S) -> Result<(), ServeError> {
        let worker = Rc::new(Worker::new(self.limits, self.stats));
        let service = Rc::new(make_service(self.index));
        let mut acceptors = Vec::with_capacity(self.listeners.len());
        for listener in self.listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let acceptor = Acceptor {
                worker: worker.clone(),
                service: service.clone(),
                peers: self.peers.clone(),
            };
            acceptors.push(tokio::task::spawn_local(
                acceptor.run(listener, self.stop.clone()),
            ));
        }
        let ticking = tokio::task::spawn_local(tick(worker.clone()));
        // The sender's end means: at once.
        let grace = self
            .stop
            .wait_for(Option::is_some)
            .await
            .map_or(None, |grace| *grace);
        for acceptor in acceptors {
            // It can't fail: the task neither panics nor is aborted before the runtime is.
            let _ = acceptor.await;
        }
        worker.begin_drain();
        let left = worker.drained(grace.unwrap_or_default()).await;
        if left > 0 {
            tracing::info!(
                thread = self.index,
                left,
                "connections dropped at the end of the grace period"
            );
        }
        ticking.abort();
        Ok(())
    }
}

async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        worker.tick();
    }
}
