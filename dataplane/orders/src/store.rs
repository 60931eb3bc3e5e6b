//! One open database, and its part of a sale.

use crate::codec::int;
use crate::db::{self, Dialect, Pool, Tx};
use crate::error::{Error, ErrorKind, Place, Result, Target};
use crate::health::Health;
use crate::query::query;
use crate::row::Columns;
use crate::sale::{LoadState, Sale, TicketSecret, order_id_prefix};
use crate::statements::Statements;
use std::sync::Arc;

/// The key of the advisory lock under which a sale is entered into a PostgreSQL database.
const ENTER_LOCK: i64 = 0x666c_6173_6873_616c;

/// A database that is open, but not yet for any sale.
#[derive(Debug)]
pub(crate) struct Database {
    place: Place,
    writer: Pool,
    readers: Pool,
}

/// What a database knows of a sale that was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entered {
    id: i64,
    pub(crate) secret: TicketSecret,
    pub(crate) seat: Seat,
    /// Whether all databases of the sale were entered.
    pub(crate) complete: bool,
}

/// A database's place among those of a sale: shard `s` lies in database `s % of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) ix: usize,
    pub(crate) of: usize,
}

/// One database of one sale: connections that write, and some that read.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) dialect: Dialect,
    pub(crate) writer: Pool,
    pub(crate) readers: Pool,
    pub(crate) place: Place,
    /// The number that stands for the sale's uid in this database.
    pub(crate) id: i64,
    pub(crate) sale: Arc<Sale>,
    pub(crate) statements: Statements,
    pub(crate) health: Arc<Health>,
}

impl Database {
    /// Opens, or makes, the database at `target`.
    pub(crate) async fn open(target: &str) -> Result<Self> {
        let (place, target) = Place::parse(target)?;
        let (writer, readers) = match target {
            Target::File(path) => db::sqlite::open(&path, &place).await?,
            Target::Server(options) => db::postgres::open(&options, &place).await?,
        };
        Ok(Self {
            place,
            writer,
            readers,
        })
    }

    /// What it knows of `sale`.
    pub(crate) async fn find(&self, sale: &Sale) -> Result<Option<Entered>> {
        let mut tx = self
            .writer
            .begin()
            .await
            .map_err(|e| Error::of(&self.place, &e))?;
        self.find_in(&mut tx, sale).await
    }

    async fn find_in(&self, tx: &mut Tx, sale: &Sale) -> Result<Option<Entered>> {
        let place = &self.place;
        let uid = format!("{:032x}", sale.uid.0);
        // A file holds one sale; a server's database any number, as long as their order ids differ.
        let found = match place.dialect {
            Dialect::Sqlite => query("SELECT * FROM sales"),
            Dialect::Postgres => {
                query("SELECT * FROM sales WHERE substr(uid, 1, 12) = $1").bind(uid[..12].to_owned())
            }
        };
        let found = found.fetch_optional(tx).await.map_err(|e| Error::of(place, &e))?;
        let Some(row) = found else { return Ok(None) };
        let row = Columns(&row, place);
        let (other, namespace, name): (&str, &str, &str) =
            (row.get("uid")?, row.get("namespace")?, row.get("name")?);
        if other != uid {
            let what = format!("holds the sale {namespace}/{name} with uid {other}, not {uid}");
            return Err(Error::new(ErrorKind::OtherSale, place, &what));
        }
        let secret: Vec<u8> = row.get("secret")?;
        let secret = secret.try_into();
        let secret = secret.map_err(|_| place.corrupt("a ticket secret of another length"))?;
        Ok(Some(Entered {
            id: row.number("sale")?,
            secret: TicketSecret(secret),
            seat: Seat {
                ix: row.number("database_ix")?,
                of: row.number("databases")?,
            },
            complete: row.number::<u8>("complete")? == 1,
        }))
    }

    /// That a sale that is known here was entered in this seat.
    pub(crate) fn check_seat(&self, entered: &Entered, seat: Seat) -> Result<()> {
        if entered.seat == seat {
            return Ok(());
        }
        let what = format!(
            "is number {} of the {} databases of this sale, not {} of {}",
            entered.seat.ix + 1,
            entered.seat.of,
            seat.ix + 1,
            seat.of
        );
        Err(Error::new(ErrorKind::OtherSet, &self.place, &what))
    }

    /// Refuses a database that should hold the sale and doesn't.
    pub(crate) fn lost(&self) -> Error {
        let what =
            "holds nothing of this sale, whose other databases do (restore it from a backup if it was lost)";
        Error::new(ErrorKind::OtherSet, &self.place, what)
    }

    /// Enters the sale, or finds it entered, in this seat. The secret is `secret` if it is new.
    pub(crate) async fn enter(
        self,
        sale: &Arc<Sale>,
        secret: &TicketSecret,
        seat: Seat,
    ) -> Result<(Store, TicketSecret)> {
        let failed = |e: sqlx::Error| Error::of(&self.place, &e);
        let dialect = self.place.dialect;
        let mut tx = self.writer.begin().await.map_err(failed)?;
        if dialect == Dialect::Postgres {
            let lock = query("SELECT pg_advisory_xact_lock($1)").bind(ENTER_LOCK);
            lock.execute(&mut tx).await.map_err(failed)?;
        }
        let entered = match self.find_in(&mut tx, sale).await? {
            Some(entered) => entered,
            None => {
                let id = insert_sale(&mut tx, sale, secret, seat).await.map_err(failed)?;
                Entered {
                    id,
                    secret: secret.clone(),
                    seat,
                    complete: false,
                }
            }
        };
        self.check_seat(&entered, seat)?;
        for shard in (0..sale.shards).filter(|s| usize::from(*s) % seat.of == seat.ix) {
            let insert =
                "INSERT INTO shards (sale, shard) VALUES ($1, $2) ON CONFLICT (sale, shard) DO NOTHING";
            let insert = query(insert).bind(entered.id).bind(i64::from(shard));
            insert.execute(&mut tx).await.map_err(failed)?;
        }
        tx.commit().await.map_err(failed)?;
        let store = Store {
            dialect,
            writer: self.writer,
            readers: self.readers,
            place: self.place,
            id: entered.id,
            statements: Statements::new(dialect, entered.id, &order_id_prefix(sale.uid)),
            sale: Arc::clone(sale),
            health: Arc::default(),
        };
        Ok((store, entered.secret))
    }
}

async fn insert_sale(
    tx: &mut Tx,
    sale: &Sale,
    secret: &TicketSecret,
    seat: Seat,
) -> Result<i64, sqlx::Error> {
    let row = query("SELECT COALESCE(max(sale), 0) + 1 FROM sales")
        .fetch_one(&mut *tx)
        .await?;
    let id: i64 = row.first()?;
    query(
        "INSERT INTO sales (sale, uid, namespace, name, spec, currency, phase, secret, created_at, \
         databases, database_ix) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(id)
    .bind(format!("{:032x}", sale.uid.0))
    .bind(&*sale.namespace)
    .bind(&*sale.name)
    .bind(sale.spec.to_string())
    .bind(&*sale.currency)
    .bind(&*sale.phase)
    .bind(secret.0.to_vec())
    .bind(sale.now as i64)
    .bind(seat.of as i64)
    .bind(seat.ix as i64)
    .execute(tx)
    .await?;
    Ok(id)
}

impl Store {
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// All databases of the sale are entered: an empty one is a lost one from now on.
    pub(crate) async fn set_complete(&self) -> Result<()> {
        let set = query("UPDATE sales SET complete = 1 WHERE sale = $1 AND complete = 0");
        let set = set.bind(self.id).execute(&self.writer).await;
        set.map(|_| ()).map_err(|e| self.failed(&e))
    }

    pub(crate) async fn load_state(&self) -> Result<LoadState> {
        let word = self.word("SELECT load_state FROM sales WHERE sale = $1").await?;
        LoadState::from_word(&word).ok_or_else(|| self.corrupt("an unknown load state"))
    }

    pub(crate) async fn phase(&self) -> Result<String> {
        self.word("SELECT phase FROM sales WHERE sale = $1").await
    }

    async fn word(&self, sql: &str) -> Result<String> {
        let row = query(sql).bind(self.id).fetch_one(&self.writer).await;
        row.and_then(|row| row.first()).map_err(|e| self.failed(&e))
    }

    pub(crate) async fn move_load_state(&self, from: LoadState, to: LoadState) -> Result<bool> {
        self.move_word(
            "UPDATE sales SET load_state = $1 WHERE sale = $2 AND load_state = $3",
            (from.word(), to.word()),
        )
        .await
    }

    pub(crate) async fn move_phase(&self, from: &str, to: &str) -> Result<bool> {
        self.move_word(
            "UPDATE sales SET phase = $1 WHERE sale = $2 AND phase = $3",
            (from, to),
        )
        .await
    }

    async fn move_word(&self, sql: &str, (from, to): (&str, &str)) -> Result<bool> {
        let moved = query(sql)
            .bind(to)
            .bind(self.id)
            .bind(from)
            .execute(&self.writer)
            .await;
        Ok(moved.map_err(|e| self.failed(&e))? == 1)
    }

    /// What was amended, and its revision.
    pub(crate) async fn amended(&self) -> Result<(u64, String)> {
        let row = query("SELECT amended_revision, amended FROM sales WHERE sale = $1");
        let row = row.bind(self.id).fetch_one(&self.writer).await;
        let row = row.map_err(|e| self.failed(&e))?;
        let row = Columns(&row, &self.place);
        Ok((
            row.number("amended_revision")?,
            row.get::<&str>("amended")?.to_owned(),
        ))
    }

    /// Writes it in place of revision `from`; `false` if that isn't there any more.
    pub(crate) async fn amend(&self, from: u64, to: u64, amended: &str) -> Result<bool> {
        let set = query(
            "UPDATE sales SET amended_revision = $1, amended = $2 WHERE sale = $3 AND amended_revision = $4",
        );
        let set = set
            .bind(int(to))
            .bind(amended.to_owned())
            .bind(self.id)
            .bind(int(from))
            .execute(&self.writer)
            .await;
        Ok(set.map_err(|e| self.failed(&e))? == 1)
    }

    /// Takes over what the first database says of the whole sale.
    pub(crate) async fn follow(&self, load: LoadState, phase: &str) -> Result<()> {
        let set = query("UPDATE sales SET load_state = $1, phase = $2 WHERE sale = $3");
        let set = set
            .bind(load.word())
            .bind(phase)
            .bind(self.id)
            .execute(&self.writer)
            .await;
        set.map(|_| ()).map_err(|e| self.failed(&e))
    }

    pub(crate) async fn begin(&self) -> Result<Tx> {
        self.writer.begin().await.map_err(|e| self.failed(&e))
    }

    pub(crate) async fn commit(&self, tx: Tx) -> Result<()> {
        tx.commit().await.map_err(|e| self.failed(&e))
    }

    /// Ends a transaction that has changed nothing. Dropped, it would keep its locks until the pool comes to it, and
    /// a sweep right behind this answer would pass over its orders.
    pub(crate) async fn let_go(&self, tx: Tx) {
        if let Err(error) = tx.rollback().await {
            // The locks went with the connection, and nothing was to be written.
            tracing::debug!(database = %self.place, %error, "a transaction that changed nothing ended by itself");
        }
    }

    pub(crate) fn failed(&self, error: &sqlx::Error) -> Error {
        Error::of(&self.place, error)
    }

    pub(crate) fn corrupt(&self, what: &str) -> Error {
        self.place.corrupt(what)
    }

    pub(crate) fn broken(&self, what: &str) -> Error {
        Error::new(ErrorKind::Broken, &self.place, what)
    }
}
