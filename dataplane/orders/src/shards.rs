//! The shards' rows: who owns a shard, and how far its events are applied.

use crate::codec::int;
use crate::db::{Conn, DbRow, FOR_UPDATE};
use crate::error::Result;
use crate::orders::Orders;
use crate::row::Columns;
use flashsale_core::ids::{Epoch, OwnerId, ShardId};
use flashsale_core::row::{Medium, Row, RowRefusal};
use sqlx::AssertSqlSafe;

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

impl Orders {
    /// Claims `shard` for `owner`: the next epoch after the one that the row has now, in one transaction.
    /// Everything older is fenced off.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn claim(&self, shard: ShardId, owner: OwnerId) -> Result<Claimed> {
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
    pub async fn claim_after(
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
    pub async fn rows(&self) -> Result<Vec<(ShardId, Row)>> {
        let rows = sqlx::query("SELECT * FROM shards WHERE sale = $1 ORDER BY shard")
            .bind(self.id)
            .fetch_all(&self.readers)
            .await
            .map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| self.shard_row(row)).collect()
    }

    pub(crate) fn shard_row(&self, row: &DbRow) -> Result<(ShardId, Row)> {
        Ok((ShardId(Columns(row, self).number("shard")?), self.row_of(row)?))
    }

    /// Reads a shard's row and keeps others from changing it until the transaction ends.
    pub(crate) async fn read_row(&self, on: &mut Conn, shard: ShardId) -> Result<Row> {
        let sql = format!("SELECT * FROM shards WHERE sale = $1 AND shard = $2{FOR_UPDATE}");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(self.id)
            .bind(i64::from(shard.0))
            .fetch_optional(on)
            .await
            .map_err(|e| self.failed(&e))?;
        match row {
            Some(row) => self.row_of(&row),
            None => Err(self.broken(&format!("shard {} isn't one of this sale's", shard.0))),
        }
    }

    pub(crate) async fn write_row(&self, on: &mut Conn, shard: ShardId, row: &Row) -> Result<()> {
        let Row {
            claimed,
            owner,
            medium,
            applied_epoch,
            applied,
            floor,
        } = *row;
        sqlx::query(
            "UPDATE shards SET claimed = $1, owner = $2, medium = $3, applied_epoch = $4, applied = $5, \
             list_floor = $6 WHERE sale = $7 AND shard = $8",
        )
        .bind(i64::from(claimed.0))
        .bind(owner.0 as i64)
        .bind(match medium {
            Medium::Log => "log",
            Medium::Bypass => "bypass",
        })
        .bind(i64::from(applied_epoch.0))
        .bind(int(applied))
        .bind(int(floor))
        .bind(self.id)
        .bind(i64::from(shard.0))
        .execute(on)
        .await
        .map_err(|e| self.failed(&e))?;
        Ok(())
    }

    fn row_of(&self, row: &DbRow) -> Result<Row> {
        let row = Columns(row, self);
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
