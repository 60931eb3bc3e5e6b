//! The yardstick: the same rows into the same tables, by two statements for each batch and nothing else.

use super::{BATCH, SHARDS, Took, Watch, file, open};
use flashsale_core::event::{Change, Event, Reservation};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, Transaction};
use std::path::Path;

pub(super) type Row<'a> = (usize, &'a Event, &'a Reservation);

/// Inserts all events, each batch one durable commit.
pub(super) async fn insert(dir: &Path, shards: &[Vec<Event>]) -> anyhow::Result<Took> {
    let path = file(dir, "bare.db")?;
    // The tables and indexes are those of the product.
    open(&path).await?.close().await;
    let mut on: SqliteConnection = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-65536")
        .disable_statement_logging()
        .connect()
        .await?;
    let all = interleaved(shards);
    let watch = Watch::start();
    for batch in all.chunks(BATCH) {
        let mut tx = on.begin_with("BEGIN IMMEDIATE").await?;
        orders(&mut tx, batch).await?;
        units(&mut tx, batch).await?;
        tx.commit().await?;
    }
    let took = watch.stop();
    on.close().await?;
    Ok(took)
}

async fn orders(tx: &mut Transaction<'_, Sqlite>, batch: &[Row<'_>]) -> anyhow::Result<()> {
    let values = ["(1,?,?,?,?,?,?,?,?,?,?,'reserved',?)"]
        .repeat(batch.len())
        .join(",");
    let mut insert = sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO orders (sale, shard, made, n, buyer, item, quantity, units, request_key, place, amount, state, \
         reserved_at) VALUES {values}"
    )));
    for (shard, event, r) in batch {
        insert = insert
            .bind(*shard as i64)
            .bind(1i64)
            .bind(event.n as i64)
            .bind(&*r.buyer_id)
            .bind(i64::from(r.item.0))
            .bind(1i64)
            .bind(r.units[0].first.to_string())
            .bind(r.key.map(|k| k.0.to_be_bytes().to_vec()))
            .bind(i64::from(r.place))
            .bind(69_900i64)
            .bind(r.at as i64);
    }
    insert.execute(&mut **tx).await?;
    Ok(())
}

async fn units(tx: &mut Transaction<'_, Sqlite>, batch: &[Row<'_>]) -> anyhow::Result<()> {
    let values = ["(1,?,?,?,?,?)"].repeat(batch.len()).join(",");
    let text = format!("INSERT INTO live_units (sale, shard, item, unit, made, n) VALUES {values}");
    let mut insert = sqlx::query(AssertSqlSafe(text));
    for (shard, event, r) in batch {
        insert = insert
            .bind(*shard as i64)
            .bind(i64::from(r.item.0))
            .bind(i64::from(r.units[0].first))
            .bind(1i64)
            .bind(event.n as i64);
    }
    insert.execute(&mut **tx).await?;
    Ok(())
}

/// The events in the order in which the product applies them.
pub(super) fn interleaved(shards: &[Vec<Event>]) -> Vec<Row<'_>> {
    let chunk = BATCH / SHARDS;
    let mut all = Vec::new();
    for at in (0..shards[0].len()).step_by(chunk) {
        for (shard, events) in shards.iter().enumerate() {
            for event in &events[at..events.len().min(at + chunk)] {
                if let Change::Reserved(r) = &event.change {
                    all.push((shard, event, r));
                }
            }
        }
    }
    all
}
