//! What an administrator does about the sales of a PostgreSQL database: lets each in with a role and a schema of its own,
//! looks how it stands, and takes it out again.
//!
//! A sale's role, its schema and its `search_path` have one name, so that [`Orders::open`](crate::Orders::open) with the
//! role's address finds its tables there and nothing else. Where all sales share a user, they share its schema.

mod looking;
mod password;

use crate::error::{Error, ErrorKind, Place, Result, Target};
use flashsale_core::ids::SaleUid;
pub use looking::Seen;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use std::time::Duration;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long any one statement may take; dropping a schema full of orders is the longest.
const STATEMENT_TIMEOUT: &str = "60s";
/// The key of the advisory lock under which roles and schemas are made and removed.
const LOCK: i64 = 0x666c_6173_6873_7477;
/// Connections that a sale may have: each of its processes opens a few.
const CONNECTIONS_MAX: u32 = 400;
/// The longest name that PostgreSQL keeps whole.
const NAME_MAX: usize = 63;
/// The phase of a sale that nothing is expected of any more.
pub(crate) const SETTLED: &str = "Settled";

/// An administrator's connection to a PostgreSQL database.
#[derive(Debug)]
pub struct Steward {
    connection: PgConnection,
    place: Place,
}

/// Who comes into a database.
#[derive(Clone, Copy)]
pub struct Tenant<'a> {
    /// The name of role and schema: lower-case letters, digits and `_`.
    pub name: &'a str,
    /// The role's password. The server gets no more than its verifier.
    pub password: &'a str,
    /// Random.
    pub salt: [u8; 16],
    /// The sale's namespace and name, for people.
    pub about: &'a str,
}

impl Steward {
    /// Connects to `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// The address can't be used, or the server can't be reached or refuses the user.
    pub async fn connect(url: &str) -> Result<Self> {
        let (place, target) = Place::parse(url)?;
        let Target::Server(options) = target else {
            return Err(Error::new(ErrorKind::Address, &place, "isn't a server's address"));
        };
        let options = PgConnectOptions::clone(&options)
            .disable_statement_logging()
            .application_name("flashsale-steward")
            .options([("statement_timeout", STATEMENT_TIMEOUT)]);
        let connection = match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
            Ok(connected) => connected.map_err(|e| Error::of(&place, &e))?,
            Err(_) => {
                let what = format!("doesn't answer within {} s", CONNECT_TIMEOUT.as_secs());
                return Err(Error::new(ErrorKind::Unavailable, &place, &what));
            }
        };
        Ok(Self { connection, place })
    }

    /// Lets a sale in: makes its role and its schema, or sets the password of the role that is there.
    ///
    /// # Errors
    /// The server can't be reached, or the user may not make roles or schemas.
    pub async fn admit(&mut self, tenant: Tenant<'_>) -> Result<()> {
        let name = self.name(tenant.name)?;
        let verifier = password::verifier(tenant.password, tenant.salt);
        let about = comment(tenant.about);
        self.in_lock(async |on| {
            let there = role(on, name).await?.is_some();
            let verb = if there { "ALTER" } else { "CREATE" };
            run(
                on,
                format!(
                    "{verb} ROLE \"{name}\" LOGIN NOCREATEDB NOCREATEROLE CONNECTION LIMIT {CONNECTIONS_MAX} PASSWORD '{verifier}'"
                ),
            )
            .await?;
            // Whoever isn't a superuser gives a schema only to a role that it belongs to.
            if !is_superuser(on).await? {
                run(on, format!("GRANT \"{name}\" TO CURRENT_USER")).await?;
            }
            run(on, format!("ALTER ROLE \"{name}\" SET search_path = \"{name}\"")).await?;
            run(on, format!("CREATE SCHEMA IF NOT EXISTS \"{name}\" AUTHORIZATION \"{name}\"")).await?;
            run(on, format!("COMMENT ON SCHEMA \"{name}\" IS '{about}'")).await
        })
        .await
    }

    /// Takes a sale's role the right to log in, and ends its connections. Its orders stay. If nothing is expected of it any
    /// more, that is noted, so that a new sale of the same name isn't held up by it.
    ///
    /// # Errors
    /// The server can't be reached, or the user may not do this.
    pub async fn dismiss(&mut self, tenant: &str) -> Result<()> {
        let name = self.name(tenant)?;
        self.in_lock(async |on| {
            if role(on, name).await? == Some(true) {
                run(on, format!("ALTER ROLE \"{name}\" NOLOGIN")).await?;
            }
            end_connections(on, name).await?;
            looking::note_settled(on, Some(name), None).await
        })
        .await
    }

    /// The same for a sale that shares its user with others: nothing but the note.
    ///
    /// # Errors
    /// The server can't be reached.
    pub async fn note_settled(&mut self, uid: SaleUid) -> Result<()> {
        self.in_lock(async |on| looking::note_settled(on, None, Some(uid)).await)
            .await
    }

    /// Removes a sale's role and its schema with everything in it.
    ///
    /// # Errors
    /// The server can't be reached, or the user may not do this.
    pub async fn forget(&mut self, tenant: &str) -> Result<()> {
        let name = self.name(tenant)?;
        self.in_lock(async |on| {
            if role(on, name).await? == Some(true) {
                run(on, format!("ALTER ROLE \"{name}\" NOLOGIN")).await?;
            }
            end_connections(on, name).await?;
            run(on, format!("DROP SCHEMA IF EXISTS \"{name}\" CASCADE")).await?;
            if role(on, name).await?.is_some() {
                run(on, format!("DROP OWNED BY \"{name}\"")).await?;
                run(on, format!("DROP ROLE \"{name}\"")).await?;
            }
            Ok(())
        })
        .await
    }

    /// Removes the rows of a sale that shares its user with others.
    ///
    /// # Errors
    /// The server can't be reached.
    pub async fn forget_rows(&mut self, uid: SaleUid) -> Result<()> {
        self.in_lock(async |on| looking::forget_rows(on, uid).await).await
    }

    /// How a sale stands here: in the schema of this tenant, or in the user's own.
    ///
    /// # Errors
    /// The server can't be reached, or the user may not look.
    pub async fn look(&mut self, tenant: Option<&str>, uid: SaleUid) -> Result<Seen> {
        let name = tenant.map(|tenant| self.name(tenant)).transpose()?;
        let seen = looking::look(&mut self.connection, name, uid).await;
        seen.map_err(|e| Error::of(&self.place, &e))
    }

    /// The uid of a sale of this namespace and name, other than `except`, that was loaded with stock and that something is
    /// still expected of; looked for in the schemas of all tenants and in the user's own.
    ///
    /// # Errors
    /// The server can't be reached.
    pub async fn unsettled(
        &mut self,
        namespace: &str,
        name: &str,
        except: SaleUid,
    ) -> Result<Option<String>> {
        let about = comment(&format!("{namespace}/{name}"));
        let found = looking::unsettled(&mut self.connection, &about, (namespace, name), except).await;
        found.map_err(|e| Error::of(&self.place, &e))
    }

    /// Ends the connection.
    pub async fn close(self) {
        // It is ended either way.
        let _ = self.connection.close().await;
    }

    /// A name that needs no quoting beyond quotes.
    fn name<'n>(&self, name: &'n str) -> Result<&'n str> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if (1..=NAME_MAX).contains(&name.len()) && name.chars().all(fine) {
            return Ok(name);
        }
        let what = format!("can't have a role called {name:?}");
        Err(Error::new(ErrorKind::Broken, &self.place, &what))
    }

    /// In one transaction, alone.
    async fn in_lock(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<(), sqlx::Error>,
    ) -> Result<()> {
        let place = &self.place;
        let done = async {
            let mut tx = self.connection.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(LOCK)
                .execute(&mut *tx)
                .await?;
            work(&mut tx).await?;
            tx.commit().await
        };
        done.await.map_err(|e| Error::of(place, &e))
    }
}

/// Runs a statement that takes no parameters: names in it were checked, other texts are made here.
async fn run(on: &mut PgConnection, text: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(on).await.map(drop)
}

/// Whether a role may log in; `None` if there is none of this name.
async fn role(on: &mut PgConnection, name: &str) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar("SELECT rolcanlogin FROM pg_roles WHERE rolname = $1")
        .bind(name)
        .fetch_optional(on)
        .await
}

async fn is_superuser(on: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        .fetch_one(on)
        .await
}

async fn end_connections(on: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1")
        .bind(role)
        .execute(on)
        .await
        .map(drop)
}

/// What a schema's comment says, fit for a literal.
fn comment(about: &str) -> String {
    format!("flash sale {}", about.replace(['\'', '\\'], ""))
}
