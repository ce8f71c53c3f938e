//! The answers that are not 200, with what each says and carries.
//!
//! It knows the codes and bodies and not when they are due; the order of the checks is `service`'s.

use crate::{World, calendar, exchange::Response, world::RetryAfterForm};
use serde::Serialize;

/// Why a request is not answered with 200. None of these is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400 with the reason.
    BadRequest(&'static str),
    /// 401.
    Unauthorized,
    /// 403 without a body: the account has not bought this.
    Forbidden,
    /// 404 without a body: no such path, or nothing known in a world that says so by 404.
    NotFound,
    /// 405 and the method that would do.
    WrongMethod(&'static str),
    /// 413.
    TooLarge,
    /// 429 with the vendor's message.
    TooFast,
    /// 429 without a body, which is how the two are told apart.
    QuotaSpent,
}

#[derive(Serialize)]
struct Message<'a> {
    message: &'a str,
}

impl Refusal {
    pub(crate) fn response(self, world: &World, unix_seconds: u64) -> Response {
        let message = |status, message| Response::json(status, &Message { message });
        match self {
            Refusal::BadRequest(reason) => message(400, reason),
            Refusal::Unauthorized => message(401, "Unauthorized")
                .with_header("www-authenticate", r#"Basic realm="Spectra Intelligence""#),
            Refusal::Forbidden => Response::empty(403),
            Refusal::NotFound => Response::empty(404),
            Refusal::WrongMethod(allowed) => message(405, "Method not allowed").with_header("allow", allowed),
            Refusal::TooLarge => message(413, "Request entity too large"),
            Refusal::TooFast => {
                let response = message(429, "Rate limit exceeded");
                let Some(wait) = world.retry_after else { return response };
                let value = match world.retry_after_form {
                    RetryAfterForm::Seconds => wait.as_secs().to_string(),
                    RetryAfterForm::Date => calendar::http_date(unix_seconds.saturating_add(wait.as_secs())),
                };
                response.with_header("retry-after", &value)
            }
            Refusal::QuotaSpent => Response::empty(429),
        }
    }
}
