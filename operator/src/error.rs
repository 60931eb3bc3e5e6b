//! How the API's errors are told.

use kube::Error;

/// An error in one line, with the words that matter: the API's own message, or the cause of a broken connection.
pub(crate) fn brief(error: &Error) -> String {
    match error {
        Error::Api(status) => match status.message.as_str() {
            "" => format!("{} {}", status.code, status.reason),
            said => format!("{} ({})", said.lines().next().unwrap_or_default(), status.code),
        },
        other => chain(other),
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !told.contains(&more) {
            told = format!("{told}: {more}");
        }
        source = cause.source();
    }
    told
}

/// The HTTP status, if the API answered.
pub(crate) fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}
