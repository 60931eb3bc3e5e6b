//! Which call a path is, found without allocating.

use flashsale_http::Method;

/// A call of the API; the text is what stands in the path's variable part, not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Purchases(&'a str),
    Ticket(&'a str),
    TicketEvents(&'a str),
    Sale(&'a str),
    Registrations(&'a str),
    Time,
    PaymentCallback,
    /// A page, with its whole path.
    Page(&'a str),
    OpenApi,
    DevPay(&'a str),
    Unknown,
}

impl<'a> Route<'a> {
    pub(super) fn of(path: &'a str) -> Self {
        if let Some(rest) = path.strip_prefix("/v1/sales/") {
            return match rest.split_once('/') {
                Some((sale, "purchases")) => Self::Purchases(sale),
                Some((sale, "registrations")) => Self::Registrations(sale),
                None if !rest.is_empty() => Self::Sale(rest),
                _ => Self::Unknown,
            };
        }
        if let Some(rest) = path.strip_prefix("/v1/tickets/") {
            return match rest.split_once('/') {
                Some((ticket, "events")) => Self::TicketEvents(ticket),
                None if !rest.is_empty() => Self::Ticket(rest),
                _ => Self::Unknown,
            };
        }
        if let Some(ticket) = path.strip_prefix("/dev/pay/") {
            return if ticket.contains('/') || ticket.is_empty() {
                Self::Unknown
            } else {
                Self::DevPay(ticket)
            };
        }
        if path.starts_with("/pages/") {
            return Self::Page(path);
        }
        match path {
            "/v1/time" => Self::Time,
            "/v1/payments/callback" => Self::PaymentCallback,
            "/" | "/ticket" => Self::Page(path),
            "/openapi.json" => Self::OpenApi,
            _ => Self::Unknown,
        }
    }

    /// The methods that the call has, as `Allow` names them, and whether `method` is one of them.
    pub(super) fn allows(self, method: Method) -> (&'static str, bool) {
        let reads = matches!(method, Method::Get | Method::Head);
        match self {
            Self::Purchases(_) | Self::Registrations(_) | Self::PaymentCallback | Self::DevPay(_) => {
                ("POST", method == Method::Post)
            }
            Self::Ticket(_) => ("GET, HEAD, DELETE", reads || method == Method::Delete),
            _ => ("GET, HEAD", reads),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_are_calls() {
        assert_eq!(Route::of("/v1/sales/a/purchases"), Route::Purchases("a"));
        assert_eq!(Route::of("/v1/sales/a"), Route::Sale("a"));
        assert_eq!(Route::of("/v1/tickets/t/events"), Route::TicketEvents("t"));
        assert_eq!(Route::of("/ticket"), Route::Page("/ticket"));
        assert_eq!(Route::of("/pages/logo.svg"), Route::Page("/pages/logo.svg"));
        for path in [
            "/v1/sales/",
            "/v1/sales/a/",
            "/v1/sales/a/b/purchases",
            "/v1/tickets/",
            "/v1",
            "//",
            "*",
        ] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
        assert_eq!(Route::of("/dev/pay/"), Route::Unknown);
    }
}
