//! How a command fails: clear lines on standard error, and an exit code.

use flashsale_dataplane::data_dir::DataError;
use flashsale_dataplane::embedded::ServeError;
use std::process::ExitCode;

/// The input is wrong: change it and try again.
const INPUT: u8 = 2;
/// Something failed, or doesn't add up.
const FAILED: u8 = 1;

/// Why a command ended.
#[derive(Debug)]
pub(crate) struct Failure {
    lines: String,
    code: u8,
}

impl Failure {
    /// Something failed.
    pub(crate) fn new(lines: impl Into<String>) -> Self {
        Self {
            lines: lines.into(),
            code: FAILED,
        }
    }

    /// The input is wrong; one line for each thing.
    pub(crate) fn input(lines: impl Into<String>) -> Self {
        Self {
            lines: lines.into(),
            code: INPUT,
        }
    }

    /// Says why, without a backtrace.
    pub(crate) fn tell(&self) {
        for line in self.lines.lines() {
            eprintln!("error: {line}");
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Data(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Refused(_) | DataError::Unsupported(_) | DataError::Foreign { .. } => {
                Self::input(error.to_string())
            }
            DataError::Io { .. } => Self::new(error.to_string()),
        }
    }
}

impl From<flashsale_orders::Error> for Failure {
    fn from(error: flashsale_orders::Error) -> Self {
        Self::new(error.to_string())
    }
}
