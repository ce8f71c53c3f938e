//! The simulated service: one request in, one answer out.
//!
//! [`Service::answer`] is the whole story of a request, in the order in which the checks happen. The real order is
//! not documented, so no client may depend on it. Nothing here reads a clock, waits or touches a socket.

use crate::{
    basic::Credentials,
    books::{Arrival, Bill, Books, Witness},
    exchange::{Delivery, Moment, Request, Response},
    fault::Fault,
    presence::{self, Form, Question},
    refusal::Refusal,
    world::World,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the simulator shows its own meter; no part of the simulated service.
pub const LEDGER_PATH: &str = "/_sim/ledger";

/// More than this of a body is not kept, and answered 413. A hundred hashes take 7 kB, so a mebibyte is far beyond
/// anything meant seriously.
pub const BODY_LIMIT: usize = 1 << 20;

/// Whoever asks an open service without saying who they are.
const ANONYMOUS: &str = "anonymous";

/// The simulated service without its server.
///
/// It may be asked from several threads. Its books grow with the number of requests and of distinct hashes, about
/// 60 bytes a hash, and are never cut.
#[derive(Debug)]
pub struct Service {
    world: World,
    books: Mutex<Books>,
}

/// A request that is being handled. Dropping it says that the answer has begun, or that the client has gone.
#[derive(Debug)]
#[must_use = "a visit ends when it is dropped"]
pub struct Visit<'a>(&'a Service);

/// Who asks: what they presented, and who they are if they are let in.
struct Caller {
    username: Option<String>,
    account: Option<String>,
    daily_quota: Option<u64>,
}

impl Service {
    /// A service with empty books.
    pub fn new(world: World) -> Service {
        Service { world, books: Mutex::default() }
    }

    /// Handles one request. Charges and counts happen now; what the client gets to see of the answer, and when, is
    /// written in it.
    pub fn answer(&self, request: &Request, now: Moment) -> Response {
        if request.path == LEDGER_PATH {
            return Response::json(200, &self.books().ledger());
        }
        let caller = self.recognize(request);
        let door = presence::door(&request.path);
        let question = door.map(|form| read(form, request));
        let readable = question.as_ref().and_then(|read| read.as_ref().ok());
        let number = self.books().arrive(
            &Arrival {
                username: caller.username.as_deref(),
                account: caller.account.as_deref(),
                door,
                question: readable,
            },
            now,
        );
        let plan = self.world.plan(number);
        let mut response = match plan.fault.and_then(instead) {
            Some(response) => response,
            None => self
                .decide(&caller, question, plan.fault, now)
                .unwrap_or_else(|refusal| refusal.response(&self.world)),
        };
        response.delay = plan.delay;
        self.books().leave(&response);
        response
    }

    /// Says that a request is being handled, for the count of those handled at once. The HTTP shell does; a test
    /// that drives [`Service::answer`] itself may.
    pub fn visit(&self) -> Visit<'_> {
        self.books().enter();
        Visit(self)
    }

    /// What has been seen so far.
    pub fn witness(&self) -> Witness {
        self.books().witness()
    }

    /// The checks of an ordinary request and its answer.
    fn decide(
        &self,
        caller: &Caller,
        question: Option<Result<Question, Refusal>>,
        fault: Option<&Fault>,
        now: Moment,
    ) -> Result<Response, Refusal> {
        let account = caller.account.as_deref().ok_or(Refusal::Unauthorized)?;
        let question = match question.ok_or(Refusal::NotFound)? {
            // The wrong method is noticed before anything is counted against the rate.
            Err(refusal @ Refusal::WrongMethod(_)) => return Err(refusal),
            question => question,
        };
        if let Some(limit) = self.world.rate_limit_rps
            && !self.books().admit(account, limit, now)
        {
            return Err(Refusal::TooFast);
        }
        let mut finding = question?.answer(&self.world)?;
        if fault == Some(&Fault::HangBeforeCharge) {
            return Ok(Response::silence());
        }
        let bill = Bill { account, units: finding.units, n_entries: finding.n_entries() };
        if !self.books().charge(&bill, caller.daily_quota, now) {
            return Err(Refusal::QuotaSpent);
        }
        let Some(fault) = fault else { return Ok(finding.response()) };
        finding.spoil(fault);
        Ok(spoil(finding.response(), fault))
    }

    /// In an open world everybody is let in, under the name that they give.
    fn recognize(&self, request: &Request) -> Caller {
        let credentials = request.header("authorization").and_then(Credentials::parse);
        if self.world.accounts.is_empty() {
            let username = credentials.map(|credentials| credentials.username);
            let account = username.clone().unwrap_or_else(|| ANONYMOUS.to_owned());
            return Caller { username, account: Some(account), daily_quota: None };
        }
        let known = credentials.as_ref().and_then(|sent| {
            let fits =
                |username: &str, password: &str| username == sent.username && password == sent.password;
            self.world.accounts.iter().find(|account| fits(&account.username, &account.password))
        });
        Caller {
            account: known.map(|account| account.username.clone()),
            daily_quota: known.and_then(|account| account.daily_quota),
            username: credentials.map(|credentials| credentials.username),
        }
    }

    /// A panic elsewhere leaves counts behind that are still good enough to look at.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.books().exit();
    }
}

fn read(form: Form, request: &Request) -> Result<Question, Refusal> {
    if request.method == form.method() {
        Question::read(form, request)
    } else {
        Err(Refusal::WrongMethod(form.method()))
    }
}

/// The faults that happen in front of the service, so that it does not look at the request at all.
fn instead(fault: &Fault) -> Option<Response> {
    match fault {
        Fault::Status { code, body, headers } => {
            let response = Response { body: body.clone().into_bytes(), ..Response::empty(*code) };
            Some(headers.iter().fold(response, |response, (name, value)| response.with_header(name, value)))
        }
        Fault::Redirect { to } => Some(Response::empty(302).with_header("location", to)),
        Fault::Delay(_)
        | Fault::HangBeforeCharge
        | Fault::HangAfterCharge
        | Fault::ResetMidBody
        | Fault::ShortBody
        | Fault::BadJson
        | Fault::NotJson { .. }
        | Fault::ExtraEntry
        | Fault::DoubledEntry
        | Fault::OmitHashes(_)
        | Fault::GatewayTimeoutAfterCharge => None,
    }
}

/// The faults that happen to a good answer on its way out.
fn spoil(mut response: Response, fault: &Fault) -> Response {
    let half = response.body.len() / 2;
    match fault {
        Fault::HangAfterCharge => Response::silence(),
        Fault::ResetMidBody => Response { delivery: Delivery::CutAfter(half), ..response },
        Fault::ShortBody => {
            response.body.truncate(half);
            response
        }
        Fault::BadJson => {
            // The brace that closes the whole becomes a bracket.
            response.body.pop();
            response.body.push(b']');
            response
        }
        Fault::NotJson { body, content_type } => Response::text(200, content_type, body.as_str()),
        Fault::GatewayTimeoutAfterCharge => Response::text(504, "text/plain", "upstream timed out"),
        Fault::Status { .. }
        | Fault::Redirect { .. }
        | Fault::Delay(_)
        | Fault::HangBeforeCharge
        | Fault::ExtraEntry
        | Fault::DoubledEntry
        | Fault::OmitHashes(_) => response,
    }
}
