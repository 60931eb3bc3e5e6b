//! The function library: its source, its version, and loading it.

use crate::error::ConnectError;
use crate::link::Link;
use redis::{Value, cmd};

/// The version of the library and of what it keeps in Redis. Functions carry it in their names.
pub const LIBRARY_VERSION: u32 = 1;
/// The library's name.
pub const LIBRARY: &str = "flashsale_v1";
/// What the names of all versions begin with.
const LIBRARIES: &str = "flashsale_v";

/// In the order in which they build on each other.
const PARTS: &[&str] = &[
    include_str!("../../../lua/shared.lua"),
    include_str!("../../../lua/records.lua"),
    include_str!("../../../lua/index.lua"),
    include_str!("../../../lua/free.lua"),
    include_str!("../../../lua/purchase.lua"),
    include_str!("../../../lua/register.lua"),
    include_str!("../../../lua/load.lua"),
    include_str!("../../../lua/extend.lua"),
    include_str!("../../../lua/release.lua"),
    include_str!("../../../lua/transfer_out.lua"),
    include_str!("../../../lua/transfer_in.lua"),
    include_str!("../../../lua/trim.lua"),
    include_str!("../../../lua/status.lua"),
    include_str!("../../../lua/rebuild.lua"),
];

/// The library's source as Redis gets it.
#[must_use]
pub fn source() -> String {
    format!("#!lua name={LIBRARY}\n{}", PARTS.concat())
}

/// Loads `source` unless Redis has exactly that.
///
/// # Errors
/// Redis holds the library of a newer version, or refuses this one.
pub(crate) async fn ensure(link: &Link, source: &str) -> Result<(), ConnectError> {
    let mut list = cmd("FUNCTION");
    list.arg("LIST")
        .arg("LIBRARYNAME")
        .arg(format!("{LIBRARIES}*"))
        .arg("WITHCODE");
    let found = libraries(&link.call(&list).await?);
    for (name, code) in &found {
        let version = name.strip_prefix(LIBRARIES).and_then(|v| v.parse::<u32>().ok());
        if version.is_some_and(|version| version > LIBRARY_VERSION) {
            return Err(ConnectError::Unfit {
                address: link.address(),
                problem: format!(
                    "it holds the function library {name}, which is newer than this program's {LIBRARY}"
                ),
                mend: "use the newer program, or end its sales and FUNCTION DELETE its library".into(),
            });
        }
        if name == LIBRARY && code == source {
            return Ok(());
        }
    }
    let mut load = cmd("FUNCTION");
    load.arg("LOAD").arg("REPLACE").arg(source);
    link.call(&load).await?;
    Ok(())
}

/// Name and code of each library in the answer of `FUNCTION LIST`.
fn libraries(answer: &Value) -> Vec<(String, String)> {
    let Value::Array(rows) = answer else {
        return Vec::new();
    };
    rows.iter()
        .filter_map(|row| {
            let Value::Array(fields) = row else {
                return None;
            };
            let field = |name: &str| {
                let at = fields.iter().step_by(2).position(|field| text(field) == name)?;
                fields.get(2 * at + 1).map(text)
            };
            Some((field("library_name")?, field("library_code")?))
        })
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    }
}
