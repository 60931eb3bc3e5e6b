//! The shards' rows: who owns a shard, and how far its events are applied.

use crate::codec::int;
use crate::db::{DbRow, Tx};
use crate::error::Result;
use crate::query::query;
use crate::row::Columns;
use crate::store::Store;
use flashsale_core::ids::{Epoch, OwnerId, ShardId};
use flashsale_core::row::{Medium, Row, RowRefusal};

/// A claim that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The claimant's epoch.
    pub epoch: Epoch,
    /// Which medium makes promises.
    pub medium: Medium,
    /// The row as the claim left it.
    pub row: Row,
}

impl Store {
    /// Claims `shard` for `owner`: the next epoch after the one that the row has now, in one transaction.
    /// Everything older is fenced off.
    ///
    /// # Errors
    /// The database can't be written.
    pub(crate) async fn claim(&self, shard: ShardId, owner: OwnerId) -> Result<Claimed> {
        let mut tx = self.begin().await?;
        let mut row = self.read_row(&mut tx, shard).await?;
        let expect = row.claimed;
        let medium = row
            .claim(expect, owner)
            .map_err(|_| self.broken("a row that was just read is claimed already"))?;
        self.write_row(&mut tx, shard, &row).await?;
        self.commit(tx).await?;
        Ok(Claimed {
            epoch: row.claimed,
            medium,
            row,
        })
    }

    /// Claims `shard` for `owner` if its epoch still is `expect`.
    ///
    /// # Errors
    /// The database can't be written; or, inside, somebody else has claimed the shard since.
    pub(crate) async fn claim_after(
        &self,
        shard: ShardId,
        expect: Epoch,
        owner: OwnerId,
    ) -> Result<Result<Claimed, RowRefusal>> {
        let mut tx = self.begin().await?;
        let mut row = self.read_row(&mut tx, shard).await?;
        let medium = match row.claim(expect, owner) {
            Ok(medium) => medium,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.write_row(&mut tx, shard, &row).await?;
        self.commit(tx).await?;
        Ok(Ok(Claimed {
            epoch: row.claimed,
            medium,
            row,
        }))
    }

    /// All shards' rows, in order.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn rows(&self) -> Result<Vec<(ShardId, Row)>> {
        let rows = query("SELECT * FROM shards WHERE sale = $1 ORDER BY shard")
            .bind(self.id)
            .fetch_all(&self.readers)
            .await
            .map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| self.shard_row(row)).collect()
    }

    pub(crate) fn shard_row(&self, row: &DbRow) -> Result<(ShardId, Row)> {
        Ok((
            ShardId(Columns(row, &self.place).number("shard")?),
            self.row_of(row)?,
        ))
    }

    /// Reads a shard's row and keeps others from changing it until the transaction ends.
    pub(crate) async fn read_row(&self, tx: &mut Tx, shard: ShardId) -> Result<Row> {
        let rows = self.read_rows(tx, &[shard]).await?;
        rows.first()
            .map(|(_, row)| *row)
            .ok_or_else(|| self.not_ours(shard))
    }

    /// Reads these shards' rows, in order, and keeps others from changing them until the transaction ends.
    pub(crate) async fn read_rows(&self, tx: &mut Tx, shards: &[ShardId]) -> Result<Vec<(ShardId, Row)>> {
        let lock = &self.statements.lock_shards;
        let rows = lock
            .fetch(tx, shards, |row, shard| row.add(i64::from(shard.0)))
            .await;
        let rows = rows.map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| self.shard_row(row)).collect()
    }

    pub(crate) fn not_ours(&self, shard: ShardId) -> crate::error::Error {
        self.broken(&format!("shard {} isn't one of this sale's", shard.0))
    }

    pub(crate) async fn write_row(&self, tx: &mut Tx, shard: ShardId, row: &Row) -> Result<()> {
        self.write_rows(tx, &[(shard, *row)]).await
    }

    /// Writes rows that this transaction has locked.
    pub(crate) async fn write_rows(&self, tx: &mut Tx, rows: &[(ShardId, Row)]) -> Result<()> {
        let write = &self.statements.write_shards;
        let written = write.run(tx, rows, |values, (shard, row)| {
            let Row {
                claimed,
                owner,
                medium,
                applied_epoch,
                applied,
                floor,
            } = *row;
            values.add(i64::from(shard.0));
            values.add(i64::from(claimed.0));
            values.add(owner.0 as i64);
            values.add(match medium {
                Medium::Log => "log",
                Medium::Bypass => "bypass",
            });
            values.add(i64::from(applied_epoch.0));
            values.add(int(applied));
            values.add(int(floor));
        });
        if written.await.map_err(|e| self.failed(&e))? != rows.len() as u64 {
            return Err(self.broken("a shard's row changed while it was locked"));
        }
        Ok(())
    }

    fn row_of(&self, row: &DbRow) -> Result<Row> {
        let row = Columns(row, &self.place);
        Ok(Row {
            claimed: Epoch(row.number("claimed")?),
            owner: OwnerId(row.get::<i64>("owner")? as u64),
            medium: match row.get("medium")? {
                "log" => Medium::Log,
                "bypass" => Medium::Bypass,
                other => return Err(self.corrupt(&format!("an unknown medium {other:?}"))),
            },
            applied_epoch: Epoch(row.number("applied_epoch")?),
            applied: row.number("applied")?,
            floor: row.number("list_floor")?,
        })
    }
}
