//! The order databases of a sale: which shard lies in which, and what is said of all of them together.

use crate::error::{Error, ErrorKind, Result};
use crate::health::bounded;
use crate::sale::{LoadState, Sale, TicketSecret};
use crate::store::{Database, Seat, Store};
use crate::{Applied, Made};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::ShardId;
use futures_util::future::{join_all, try_join_all};
use std::sync::{Arc, Mutex, PoisonError};

/// The orders of one sale, in one database or several.
///
/// A database is a SQLite file or a PostgreSQL database. Of several, shard `s` lies in number `s % count`,
/// with its cursor, its orders, its live units, its payments and its messages: everything that has to change
/// together lies together. A PostgreSQL database can hold any number of sales, a file one.
///
/// # Guarantees
/// What a call reports is on the disk. A call that was dropped or failed has changed nothing, or everything,
/// in each database; repeating it is safe. Calls may come from any number of tasks at once, and to PostgreSQL
/// from any number of processes.
#[derive(Debug)]
pub struct Orders {
    pub(crate) stores: Vec<Store>,
    sale: Arc<Sale>,
    secret: TicketSecret,
    /// What was applied or made by a call that failed for the shards of another database: reported by the
    /// next one that succeeds.
    pub(crate) applied: Held<Applied>,
    pub(crate) made: Held<Made>,
}

/// What a call to several databases did: one that fails doesn't hold up the others.
#[derive(Debug)]
pub struct Parts<T> {
    /// What was done where it could be.
    pub done: Vec<T>,
    /// Where it couldn't.
    pub failed: Vec<Failed>,
}

/// A database in which a call failed.
#[derive(Debug)]
pub struct Failed {
    /// The shards that lie there, of those that the call was for.
    pub shards: Vec<ShardId>,
    /// Why.
    pub error: Error,
}

impl Orders {
    /// Opens, or makes, the database at `target` for `sale`: a path, `sqlite:<path>`, or
    /// `postgres://user:password@host:port/database` with `sslmode` and the like behind a `?`.
    ///
    /// # Errors
    /// An address that can't be used, a file that can't be written or has no room, a server that can't be
    /// reached, refuses the user, or is too old, or a database that isn't of this program's version, is
    /// another program's, or holds another sale.
    pub async fn open(target: &str, sale: Sale) -> Result<Self> {
        Self::open_all(&[target], sale).await
    }

    /// Opens, or makes, the databases at `targets` for `sale`: shard `s` lies in number `s % count`. They are
    /// the same in the same order each time; all must be there to begin with.
    ///
    /// # Errors
    /// Those of [`Orders::open`] for any of them, and a database that was another one of the sale's before.
    pub async fn open_all(targets: &[&str], sale: Sale) -> Result<Self> {
        let of = targets.len();
        let sale = Arc::new(sale);
        let databases = try_join_all(targets.iter().map(|t| Database::open(t))).await?;
        check_set(&databases, &sale).await?;
        let mut stores: Vec<Store> = Vec::with_capacity(of);
        let mut secret = sale.fresh_secret.clone();
        for (ix, database) in databases.into_iter().enumerate() {
            let (store, found) = database.enter(&sale, &secret, Seat { ix, of }).await?;
            if ix > 0 && found != secret {
                let what = "signs tickets of this sale with another secret than its first database";
                return Err(Error::new(ErrorKind::OtherSet, &store.place, what));
            }
            secret = found;
            stores.push(store);
        }
        let Some((first, others)) = stores.split_first() else {
            return Err(no_database());
        };
        if !others.is_empty() {
            let (load, phase) = (first.load_state().await?, first.phase().await?);
            for other in others {
                other.follow(load, &phase).await?;
            }
            // Not before every one of them is entered.
            for store in &stores {
                store.set_complete().await?;
            }
        }
        Ok(Self {
            stores,
            sale,
            secret,
            applied: Held::default(),
            made: Held::default(),
        })
    }

    /// Closes all connections; a file's write-ahead log is copied into it.
    pub async fn close(&self) {
        join_all(self.stores.iter().map(Store::close)).await;
    }

    /// How many databases there are.
    #[must_use]
    pub fn databases(&self) -> usize {
        self.stores.len()
    }

    /// The secret that signs this sale's tickets, the same since the sale was first seen.
    #[must_use]
    pub fn ticket_secret(&self) -> &TicketSecret {
        &self.secret
    }

    /// The sale as it was given to [`Orders::open`].
    #[must_use]
    pub fn sale(&self) -> &Sale {
        &self.sale
    }

    /// The id under which the shop and the payment provider know an order: the same for ever, and
    /// another one for every reservation of every sale.
    #[must_use]
    pub fn order_id(&self, shard: ShardId, ticket: TicketNo) -> String {
        self.sale.order_id(shard, ticket)
    }

    /// The reservation that an order id of this sale names.
    #[must_use]
    pub fn ticket_of(&self, order_id: &str) -> Option<(ShardId, TicketNo)> {
        self.sale.ticket_of(order_id)
    }

    /// Whether the stock was loaded, as the first database says.
    ///
    /// # Errors
    /// The first database can't be read.
    pub async fn load_state(&self) -> Result<LoadState> {
        let first = self.first()?;
        bounded(first, first.load_state()).await
    }

    /// Moves the load state from `from` to `to`; `false` if it wasn't `from`. The first database decides; the
    /// others follow now, or when they are opened next.
    ///
    /// # Errors
    /// The first database can't be written.
    pub async fn move_load_state(&self, from: LoadState, to: LoadState) -> Result<bool> {
        let first = self.first()?;
        let moved = bounded(first, first.move_load_state(from, to)).await?;
        if moved {
            self.follow().await;
        }
        Ok(moved)
    }

    /// The sale's phase, as it was last set in the first database.
    ///
    /// # Errors
    /// The first database can't be read.
    pub async fn phase(&self) -> Result<String> {
        let first = self.first()?;
        bounded(first, first.phase()).await
    }

    /// Moves the phase from `from` to `to`; `false` if it wasn't `from`. The first database decides; the
    /// others follow now, or when they are opened next.
    ///
    /// # Errors
    /// The first database can't be written.
    pub async fn move_phase(&self, from: &str, to: &str) -> Result<bool> {
        let first = self.first()?;
        let moved = bounded(first, first.move_phase(from, to)).await?;
        if moved {
            self.follow().await;
        }
        Ok(moved)
    }

    /// What was amended of the sale, and its revision (0: nothing), as the first database says.
    ///
    /// # Errors
    /// The first database can't be read.
    pub async fn amended(&self) -> Result<(u64, String)> {
        let first = self.first()?;
        bounded(first, first.amended()).await
    }

    /// Writes what was amended in place of revision `from`; `false` if that isn't there any more. In the first
    /// database only.
    ///
    /// # Errors
    /// The first database can't be written.
    pub async fn amend(&self, from: u64, to: u64, amended: &str) -> Result<bool> {
        let first = self.first()?;
        bounded(first, first.amend(from, to, amended)).await
    }

    async fn follow(&self) {
        for other in self.stores.iter().skip(1) {
            let followed = async {
                let (load, phase) = (self.load_state().await?, self.phase().await?);
                bounded(other, other.follow(load, &phase)).await
            };
            if let Err(error) = followed.await {
                tracing::warn!(%error, "the load state and the phase follow when this database is opened next");
            }
        }
    }

    fn first(&self) -> Result<&Store> {
        self.stores.first().ok_or_else(no_database)
    }

    /// In which database a shard lies.
    pub(crate) fn ix_of(&self, shard: ShardId) -> usize {
        usize::from(shard.0) % self.stores.len()
    }

    pub(crate) fn of(&self, shard: ShardId) -> &Store {
        &self.stores[self.ix_of(shard)]
    }

    /// `what` by database.
    pub(crate) fn split<T: Clone>(&self, what: &[T], shard: impl Fn(&T) -> ShardId) -> Vec<Vec<T>> {
        let mut parts = vec![Vec::new(); self.stores.len()];
        for one in what {
            parts[self.ix_of(shard(one))].push(one.clone());
        }
        parts
    }

    /// The sale's shards in one database.
    pub(crate) fn shards_in(&self, ix: usize) -> Vec<ShardId> {
        let all = (0..self.sale.shards).map(ShardId);
        all.filter(|shard| self.ix_of(*shard) == ix).collect()
    }
}

/// Refuses databases that aren't all there, or in another order, before anything is entered into one.
async fn check_set(databases: &[Database], sale: &Sale) -> Result<()> {
    let of = databases.len();
    let mut found = Vec::with_capacity(of);
    for (ix, database) in databases.iter().enumerate() {
        let entered = database.find(sale).await?;
        if let Some(entered) = &entered {
            database.check_seat(entered, Seat { ix, of })?;
        }
        found.push(entered);
    }
    // They are entered in order: an empty one before another is a lost one, as is one of a complete set.
    let complete = found.iter().flatten().any(|entered| entered.complete);
    let entered = found.iter().rposition(Option::is_some);
    for (ix, database) in databases.iter().enumerate() {
        if found[ix].is_none() && (complete || entered.is_some_and(|last| ix < last)) {
            return Err(database.lost());
        }
    }
    Ok(())
}

fn no_database() -> Error {
    let place = crate::error::Place::none();
    Error::new(ErrorKind::Address, &place, "there is no address")
}

/// Results that wait to be reported.
#[derive(Debug)]
pub(crate) struct Held<T>(Mutex<Vec<T>>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Parts<T> {
    /// Everything, or the first failure; what was done is then kept for the next call.
    pub(crate) fn all_or_held(self, held: &Held<T>) -> Result<Vec<T>> {
        let mut held = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(self.done);
        match self.failed.into_iter().next() {
            None => Ok(std::mem::take(&mut held)),
            Some(failed) => Err(failed.error),
        }
    }

    /// What was done if anything was; else the first failure, if there is one.
    pub(crate) fn some(self) -> Result<Vec<T>> {
        match self.failed.into_iter().next() {
            Some(failed) if self.done.is_empty() => Err(failed.error),
            _ => Ok(self.done),
        }
    }
}
