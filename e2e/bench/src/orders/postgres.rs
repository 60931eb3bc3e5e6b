//! The same on a PostgreSQL server: applied, made, and inserted barely, by turns.

use super::bare::{Row, interleaved};
use super::{BATCH, ROWS, SHARDS, Took, Watch, all_events, open, ours};
use crate::Bench;
use crate::report::{Figure, Goal, Section};
use flashsale_core::event::Event;
use flashsale_servers::PostgresServer;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};

/// What the rows applied in a second should be of a bare insert's.
const GOAL: f64 = 0.6;

/// Rounds against a server of its own, whose data is in the system's temporary directory: it doesn't run as root.
pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let shards = all_events();
    let dir = tempfile::tempdir()?;
    let server = runtime.block_on(PostgresServer::start(dir.path(), &[]))?;
    let fresh = |name: String| {
        server.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        anyhow::Ok(server.url(&name))
    };
    let (mut bares, mut applied, mut made) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        bench
            .progress
            .round(round, bench.rounds, "apply, make and a bare insert in turn");
        let (our, bare) = (fresh(format!("ours{round}"))?, fresh(format!("bare{round}"))?);
        if round % 2 == 0 {
            bares.push(runtime.block_on(insert(&bare, &shards))?);
        }
        let [apply, make] = runtime.block_on(ours(&our, &shards))?;
        applied.push(apply);
        made.push(make);
        if round % 2 == 1 {
            bares.push(runtime.block_on(insert(&bare, &shards))?);
        }
    }
    let rates = |all: &[Took]| all.iter().map(|t| ROWS as f64 / t.seconds).collect::<Vec<_>>();
    let figures = vec![
        Figure::new("reservations applied", "rows/s", rates(&applied)),
        Figure::new("orders made", "rows/s", rates(&made)),
        Figure::new("bare insert of arrays", "rows/s", rates(&bares)),
        Figure::ratio(
            "rows a second, applied : bare insert",
            &rates(&applied),
            &rates(&bares),
        )
        .goal(Goal::AtLeast(GOAL)),
    ];
    Ok(Section {
        name: "orders-postgres",
        method: format!(
            "{ROWS} reservations in batches of {BATCH} over {SHARDS} shards, each batch one durable commit to PostgreSQL, \
             against an insert of the same rows, as arrays, into the same tables, in two statements a batch; a fresh \
             database in each round. Then all of them made into orders."
        ),
        figures,
        notes: Vec::new(),
    })
}

/// Inserts all events, each batch one durable commit of two statements and nothing else.
async fn insert(url: &str, shards: &[Vec<Event>]) -> anyhow::Result<Took> {
    // The tables and indexes are those of the product.
    open(url).await?.close().await;
    let mut on = PgConnection::connect(url).await?;
    let all = interleaved(shards);
    let watch = Watch::start();
    for batch in all.chunks(BATCH) {
        let mut tx = on.begin().await?;
        orders(&mut tx, batch).await?;
        units(&mut tx, batch).await?;
        tx.commit().await?;
    }
    let took = watch.stop();
    on.close().await?;
    Ok(took)
}

/// One column of a batch.
fn column<'a, T>(batch: &[Row<'a>], of: impl Fn(&Row<'a>) -> T) -> Vec<T> {
    batch.iter().map(of).collect()
}

async fn orders(tx: &mut Transaction<'_, Postgres>, batch: &[Row<'_>]) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO orders (sale, shard, made, n, buyer, item, quantity, units, request_key, place, amount, \
         reserved_at, state) SELECT 1, list.*, 'reserved' FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], \
         $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::bytea[], $9::bigint[], $10::bigint[], \
         $11::bigint[]) AS list",
    )
    .bind(column(batch, |(shard, ..)| *shard as i64))
    .bind(vec![1i64; batch.len()])
    .bind(column(batch, |(_, event, _)| event.n as i64))
    .bind(column(batch, |(.., r)| &*r.buyer_id))
    .bind(column(batch, |(.., r)| i64::from(r.item.0)))
    .bind(vec![1i64; batch.len()])
    .bind(column(batch, |(.., r)| r.units[0].first.to_string()))
    .bind(column(batch, |(.., r)| r.key.map(|k| k.0.to_be_bytes().to_vec())))
    .bind(column(batch, |(.., r)| i64::from(r.place)))
    .bind(vec![69_900i64; batch.len()])
    .bind(column(batch, |(.., r)| r.at as i64))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn units(tx: &mut Transaction<'_, Postgres>, batch: &[Row<'_>]) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO live_units (sale, shard, item, unit, made, n) SELECT 1, list.* FROM unnest($1::bigint[], \
         $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS list",
    )
    .bind(column(batch, |(shard, ..)| *shard as i64))
    .bind(column(batch, |(.., r)| i64::from(r.item.0)))
    .bind(column(batch, |(.., r)| i64::from(r.units[0].first)))
    .bind(vec![1i64; batch.len()])
    .bind(column(batch, |(_, event, _)| event.n as i64))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
