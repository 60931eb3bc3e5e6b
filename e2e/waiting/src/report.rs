//! What the runs came to, as a table and as JSON.

use crate::memory::Memory;
use crate::promises::Errors;
use crate::waiting::Waited;
use serde::Serialize;
use std::fmt::Write as _;

/// The goal for the median error of first promises.
const MEDIAN_ERROR_MAX: f64 = 0.2;

/// All runs.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) ok: bool,
    pub(crate) memory: Option<Memory>,
    pub(crate) polling: Option<Waited>,
    pub(crate) events: Option<Waited>,
}

impl Report {
    /// Whether every promise about promises was kept.
    pub(crate) fn judge(&mut self) {
        let kept = |run: &Option<Waited>| {
            run.as_ref().is_none_or(|run| {
                let short_of_promises = run.promises.first.promises < run.buyers as usize / 4;
                run.grew == 0
                    && run.unfinished == 0
                    && !short_of_promises
                    && run.promises.first.median <= MEDIAN_ERROR_MAX
            })
        };
        self.ok = kept(&self.polling) && kept(&self.events);
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        if let Some(memory) = &self.memory {
            let _ = of_memory(&mut text, memory);
        }
        for (what, run) in [("polling", &self.polling), ("event streams", &self.events)] {
            if let Some(run) = run {
                let _ = of_run(&mut text, what, run);
            }
        }
        let verdict = if self.ok { "kept" } else { "NOT KEPT" };
        let _ = writeln!(
            text,
            "positions never grow, all are served, median error within {:.0} %: {verdict}",
            MEDIAN_ERROR_MAX * 100.0
        );
        text
    }
}

fn of_memory(to: &mut String, memory: &Memory) -> std::fmt::Result {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    writeln!(to, "memory, {} buyers waiting, hardly any served", memory.buyers)?;
    writeln!(
        to,
        "  server          {:8.1} MiB empty, {:.1} MiB with tickets, {:.1} MiB with streams",
        mib(memory.empty_bytes),
        mib(memory.waiting_bytes),
        mib(memory.streaming_bytes)
    )?;
    writeln!(to, "  per ticket      {:8.0} B", memory.per_ticket)?;
    writeln!(
        to,
        "  per stream      {:8.0} B in the server ({} HTTP/1.1 connections); kernel, both ends: {:.0} B of buffers, {:.0} B of objects",
        memory.per_stream, memory.streams, memory.kernel_buffers_per_stream, memory.kernel_objects_per_stream
    )?;
    writeln!(
        to,
        "  per h2 stream   {:8.0} B in the server ({} streams)",
        memory.per_shared_stream, memory.shared_streams
    )?;
    writeln!(
        to,
        "  server's cores  {:8.2} nobody asks, {:.2} with all streams",
        memory.cores_waiting, memory.cores_streaming
    )
}

fn of_run(to: &mut String, what: &str, run: &Waited) -> std::fmt::Result {
    writeln!(
        to,
        "{what}: {} buyers, {} on HTTP/1.1 streams, {} on HTTP/2 streams, the others poll",
        run.buyers, run.streams, run.shared_streams
    )?;
    writeln!(
        to,
        "  tickets for all in {:.1} s, orders in {:.1} s: {:.0}/s, set {:.0}/s; real wait median {:.1} s, 99 % {:.1} s",
        run.tickets_seconds,
        run.seconds,
        run.orders_per_second,
        run.set_orders_per_second,
        run.promises.wait_seconds[0],
        run.promises.wait_seconds[1]
    )?;
    writeln!(
        to,
        "  positions that grew {}, unfinished {}, setbacks {}, most streams {}",
        run.grew, run.unfinished, run.setbacks, run.most_streams
    )?;
    writeln!(
        to,
        "  {:.0} requests/s, latency {:.2} ms median, {:.2} ms 99 %, {:.2} ms 99.9 %; {:.0} events/s",
        run.requests_per_second,
        run.latency_ms[0],
        run.latency_ms[1],
        run.latency_ms[2],
        run.events_per_second
    )?;
    write!(to, "  server's cores {:.2}:", run.cores.total())?;
    for (thread, cores) in &run.cores.0 {
        write!(to, " {thread} {cores:.2}")?;
    }
    writeln!(to, "\n  error of promises     n     median   90 %    bias")?;
    errors(to, "first", &run.promises.first)?;
    errors(to, "half time", &run.promises.half_time)?;
    let groups = [
        ("item", &run.promises.by_item),
        ("shard", &run.promises.by_shard),
        ("tenth", &run.promises.by_decile),
    ];
    for (group, all) in groups {
        for (ix, one) in all.iter().enumerate() {
            errors(to, &format!("{group} {ix}"), one)?;
        }
    }
    Ok(())
}

fn errors(to: &mut String, what: &str, errors: &Errors) -> std::fmt::Result {
    writeln!(
        to,
        "    {what:<12} {:8} {:7.1} % {:5.1} % {:+6.1} %",
        errors.promises,
        errors.median * 100.0,
        errors.p90 * 100.0,
        errors.bias * 100.0
    )
}
