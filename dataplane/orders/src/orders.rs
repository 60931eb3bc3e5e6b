//! The open database.

use crate::db::{self, Pool, Tx};
use crate::error::{Error, ErrorKind, Result};
use crate::sale::{LoadState, Sale, TicketSecret};
use crate::statements::Statements;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{SaleUid, ShardId};
use sqlx::Row as _;
use std::path::{Path, PathBuf};

/// The order database of one sale: one connection that writes, some that read.
///
/// # Guarantees
/// What a call reports is on the disk (`synchronous = FULL`). A call that was dropped or failed has changed
/// nothing, or everything; repeating it is safe. Calls may come from any number of tasks at once: writes
/// follow one another.
#[derive(Debug)]
pub struct Orders {
    pub(crate) writer: Pool,
    pub(crate) readers: Pool,
    pub(crate) place: Box<str>,
    /// The number that stands for the sale's uid in this database.
    pub(crate) id: i64,
    pub(crate) sale: Sale,
    pub(crate) secret: TicketSecret,
    pub(crate) statements: Statements,
}

impl Orders {
    /// Opens, or makes, the database at `target` (a path, or `sqlite:<path>`) for `sale`.
    ///
    /// # Errors
    /// An address that can't be used, a file that can't be written or has no room, isn't a database of this
    /// program's version, or holds another sale.
    pub async fn open(target: &str, sale: Sale) -> Result<Self> {
        let path = path_of(target)?;
        let place = path.display().to_string();
        look_at(&path, &place)?;
        let failed = |e: sqlx::Error| Error::of(&place, &e);
        let writer = db::writer(&path).await.map_err(failed)?;
        db::check_ours(&writer, &place).await?;
        migrate(&writer, &place).await?;
        let mut tx = db::begin(&writer).await.map_err(failed)?;
        let (id, secret) = enter_sale(&mut tx, &place, &sale).await?;
        tx.commit().await.map_err(failed)?;
        Ok(Self {
            readers: db::readers(&path),
            writer,
            place: place.into(),
            id,
            secret,
            statements: Statements::new(id, &order_id_prefix(sale.uid)),
            sale,
        })
    }

    /// Closes all connections, copying the write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
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
        let prefix = order_id_prefix(self.sale.uid);
        format!("{prefix}{}-{}-{}", shard.0, ticket.made.0, ticket.n)
    }

    /// Whether the stock was loaded.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn load_state(&self) -> Result<LoadState> {
        let word: String = sqlx::query_scalar("SELECT load_state FROM sales WHERE sale = $1")
            .bind(self.id)
            .fetch_one(&self.writer)
            .await
            .map_err(|e| self.failed(&e))?;
        LoadState::from_word(&word).ok_or_else(|| self.corrupt("an unknown load state"))
    }

    /// Moves the load state from `from` to `to`; `false` if it wasn't `from`.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn move_load_state(&self, from: LoadState, to: LoadState) -> Result<bool> {
        let moved = sqlx::query("UPDATE sales SET load_state = $1 WHERE sale = $2 AND load_state = $3")
            .bind(to.word())
            .bind(self.id)
            .bind(from.word())
            .execute(&self.writer)
            .await
            .map_err(|e| self.failed(&e))?;
        Ok(moved.rows_affected() == 1)
    }

    /// The sale's phase, as it was last set.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn phase(&self) -> Result<String> {
        sqlx::query_scalar("SELECT phase FROM sales WHERE sale = $1")
            .bind(self.id)
            .fetch_one(&self.writer)
            .await
            .map_err(|e| self.failed(&e))
    }

    /// Moves the phase from `from` to `to`; `false` if it wasn't `from`.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn move_phase(&self, from: &str, to: &str) -> Result<bool> {
        let moved = sqlx::query("UPDATE sales SET phase = $1 WHERE sale = $2 AND phase = $3")
            .bind(to)
            .bind(self.id)
            .bind(from)
            .execute(&self.writer)
            .await
            .map_err(|e| self.failed(&e))?;
        Ok(moved.rows_affected() == 1)
    }

    pub(crate) async fn begin(&self) -> Result<Tx> {
        db::begin(&self.writer).await.map_err(|e| self.failed(&e))
    }

    pub(crate) async fn commit(&self, tx: Tx) -> Result<()> {
        tx.commit().await.map_err(|e| self.failed(&e))
    }

    pub(crate) fn failed(&self, error: &sqlx::Error) -> Error {
        Error::of(&self.place, error)
    }

    pub(crate) fn corrupt(&self, what: &str) -> Error {
        Error::new(ErrorKind::Corrupt, &self.place, &format!("holds {what}"))
    }

    pub(crate) fn broken(&self, what: &str) -> Error {
        Error::new(ErrorKind::Broken, &self.place, what)
    }
}

/// What all order ids of a sale begin with: 48 bits of its uid, and a dash.
pub(crate) fn order_id_prefix(uid: SaleUid) -> String {
    format!("{:012x}-", uid.0 >> 80)
}

/// The file meant by `target`.
fn path_of(target: &str) -> Result<PathBuf> {
    let refuse = |what| Err(Error::new(ErrorKind::Address, target, what));
    let path = match target.split_once(':') {
        Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
        Some(("postgres" | "postgresql", _)) => return refuse("this version keeps orders in SQLite only"),
        _ => target,
    };
    if path.is_empty() || path == ":memory:" || path.contains('\0') {
        return refuse("isn't the path of a file");
    }
    Ok(path.into())
}

/// Finds out what SQLite's own errors leave unclear, without changing anything.
fn look_at(path: &Path, place: &str) -> Result<()> {
    use std::io::Read as _;
    let refuse = |kind, what: &str| Err(Error::new(kind, place, what));
    if path.is_dir() {
        return refuse(ErrorKind::Address, "is a directory");
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return refuse(
            ErrorKind::NotWritable,
            &format!("there is no directory {}", parent.display()),
        );
    }
    match std::fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(mut file) => {
            let mut head = [0; 16];
            let full = file.metadata().is_ok_and(|m| m.len() > 0);
            if full && (file.read_exact(&mut head).is_err() || &head != b"SQLite format 3\0") {
                return refuse(
                    ErrorKind::Corrupt,
                    "is damaged or isn't a database (its first bytes are others)",
                );
            }
            Ok(())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => refuse(
            ErrorKind::NotWritable,
            &format!("can't be opened or written ({e})"),
        ),
    }
}

async fn migrate(writer: &Pool, place: &str) -> Result<()> {
    use sqlx::migrate::MigrateError::{Execute, ExecuteMigration, VersionMismatch, VersionMissing};
    match sqlx::migrate!("migrations/sqlite").run(writer).await {
        Ok(()) => Ok(()),
        Err(VersionMissing(version)) => {
            let what = format!("has schema version {version}, which this program doesn't know");
            Err(Error::new(ErrorKind::Newer, place, &what))
        }
        Err(VersionMismatch(version)) => {
            let what = format!("has another schema under version {version}");
            Err(Error::new(ErrorKind::Newer, place, &what))
        }
        Err(Execute(e) | ExecuteMigration(e, _)) => Err(Error::of(place, &e)),
        Err(e) => Err(Error::new(ErrorKind::Unavailable, place, &e.to_string())),
    }
}

/// Finds the sale's rows, or makes them. One file holds one sale.
async fn enter_sale(tx: &mut Tx, place: &str, sale: &Sale) -> Result<(i64, TicketSecret)> {
    let failed = |e: sqlx::Error| Error::of(place, &e);
    let uid = format!("{:032x}", sale.uid.0);
    let found = sqlx::query("SELECT sale, uid, namespace, name, secret FROM sales")
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed)?;
    let (id, secret) = match found {
        Some(row) => {
            let column = |name| row.try_get::<String, _>(name).map_err(failed);
            let (other, namespace, name) = (column("uid")?, column("namespace")?, column("name")?);
            if other != uid {
                let what = format!("holds the sale {namespace}/{name} with uid {other}, not {uid}");
                return Err(Error::new(ErrorKind::OtherSale, place, &what));
            }
            let secret: Vec<u8> = row.try_get("secret").map_err(failed)?;
            let secret = secret.try_into().map_err(|_| {
                Error::new(
                    ErrorKind::Corrupt,
                    place,
                    "holds a ticket secret of another length",
                )
            })?;
            (row.try_get("sale").map_err(failed)?, TicketSecret(secret))
        }
        None => {
            insert_sale(tx, sale, &uid).await.map_err(failed)?;
            (1, sale.fresh_secret.clone())
        }
    };
    for shard in 0..sale.shards {
        sqlx::query("INSERT INTO shards (sale, shard) VALUES ($1, $2) ON CONFLICT (sale, shard) DO NOTHING")
            .bind(id)
            .bind(i64::from(shard))
            .execute(&mut **tx)
            .await
            .map_err(failed)?;
    }
    Ok((id, secret))
}

async fn insert_sale(tx: &mut Tx, sale: &Sale, uid: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO sales (sale, uid, namespace, name, spec, currency, phase, secret, created_at)
         VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(uid)
    .bind(&*sale.namespace)
    .bind(&*sale.name)
    .bind(sale.spec.to_string())
    .bind(&*sale.currency)
    .bind(&*sale.phase)
    .bind(sale.fresh_secret.0.to_vec())
    .bind(sale.now as i64)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
