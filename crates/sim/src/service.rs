//! The simulated service: one request in, one answer out.
//!
//! [`Service::answer`] is the whole story of a request, in the order in which the checks happen. The real order is
//! not documented, so no client may depend on it. Nothing here reads a clock, waits or touches a socket.

use crate::{
    appliance::{self, Bench, Submission},
    basic::Credentials,
    books::{Arrival, Books, Witness},
    door::{self, Door},
    exchange::{Body, Delivery, Moment, Request, Response},
    fault::Fault,
    finding::Finding,
    gzip, presence,
    product::Product,
    question::Question,
    quota::Bill,
    refusal::Refusal,
    taxii, usage,
    world::World,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where everything of the simulator's own lies; no part of the simulated service, open to everybody and not counted.
pub(crate) const BACKSTAGE: &str = "/_sim/";

/// Where the simulator shows its own meter.
pub const LEDGER_PATH: &str = "/_sim/ledger";

/// Where the simulator describes what it implements, as `OpenAPI` 3.1.
pub const OPENAPI_PATH: &str = "/_sim/openapi.json";

const OPENAPI: &str = include_str!("openapi.json");

/// More than this of a body is not kept, and answered 413. A hundred hashes take 7 kB, so a mebibyte is far beyond
/// anything meant seriously.
pub const BODY_LIMIT: usize = 1 << 20;

/// The same for a file that is handed in to the appliance. A guess; the appliance takes far more, and here a file is
/// held in memory.
pub const UPLOAD_LIMIT: usize = 64 << 20;

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
    bench: Mutex<Bench>,
}

/// A request that is being handled. Dropping it says that the answer has begun, or that the client has gone.
#[derive(Debug)]
#[must_use = "a visit ends when it is dropped"]
pub struct Visit<'a>(&'a Service);

/// Who asks: what they presented, and who they are if they are let in.
struct Caller {
    username: Option<String>,
    account: Option<String>,
}

/// A request that has been understood.
enum Ask {
    Hashes(Question),
    Usage(usage::Ask),
    Feed(taxii::Ask),
    Appliance(appliance::Ask),
}

impl Service {
    /// A service with empty books.
    pub fn new(world: World) -> Service {
        let books = Mutex::new(Books::new(world.all_quotas()));
        Service { world, books, bench: Mutex::default() }
    }

    /// Handles one request. Charges and counts happen now; what the client gets to see of the answer, and when, is
    /// written in it.
    pub fn answer(&self, request: &Request, now: Moment) -> Response {
        if request.path.starts_with(BACKSTAGE) {
            return self.backstage(request);
        }
        let door = Door::of(&request.path, &self.world);
        let caller = self.recognize(door, request);
        let ask = door.map(|door| self.read(door, request));
        let question = match &ask {
            Some(Ok(Ask::Hashes(question))) => Some(question),
            _ => None,
        };
        let number = {
            let mut books = self.books();
            let (username, account) = (caller.username.as_deref(), caller.account.as_deref());
            books.arrive(&Arrival { username, account, door, question }, now);
            books.script_number(door, self.world.script_hits)
        };
        let plan = self.world.plan(number, question.map_or(0, Question::n_hashes));
        let mut response = match plan.fault.and_then(instead) {
            Some(response) => response,
            None if self.is_held_up(request) => Response::empty(413),
            None => self
                .decide(&caller, door.zip(ask), plan.fault, now)
                .unwrap_or_else(|refusal| refusal.response(&self.world, now.unix_seconds)),
        };
        if self.world.gzip && gzip::is_welcome(request) {
            response = gzip::compress(response);
        }
        response.delay = plan.delay;
        self.books().leave(door, &response);
        response
    }

    /// Whether something between the client and the service finds the body too long.
    fn is_held_up(&self, request: &Request) -> bool {
        let Some(limit) = self.world.proxy_body_limit else { return false };
        match &request.body {
            Body::Whole(bytes) => bytes.len() > limit,
            Body::TooLong => true,
        }
    }

    /// How much of a body there is any use in keeping.
    pub(crate) fn body_limit(path: &str) -> usize {
        if path == door::SUBMIT { UPLOAD_LIMIT } else { BODY_LIMIT }
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

    /// The files that were handed in to the appliance.
    pub fn submissions(&self) -> Vec<Submission> {
        self.bench().submissions.clone()
    }

    fn backstage(&self, request: &Request) -> Response {
        match (request.path.as_str(), request.method.as_str()) {
            (LEDGER_PATH, "GET" | "HEAD") => Response::json(200, &self.books().ledger()),
            (OPENAPI_PATH, "GET" | "HEAD") => Response::text(200, "application/json", OPENAPI),
            (LEDGER_PATH | OPENAPI_PATH, _) => Response::empty(405).with_header("allow", "GET, HEAD"),
            _ => Response::empty(404),
        }
    }

    fn read(&self, door: Door, request: &Request) -> Result<Ask, Refusal> {
        if request.method != door.method() {
            return Err(Refusal::WrongMethod(door.method()));
        }
        match door {
            Door::Hashes(service, form) => {
                Question::read(service, form, request, &self.world).map(Ask::Hashes)
            }
            Door::Usage => usage::Ask::read(request).map(Ask::Usage),
            Door::Feed => taxii::Ask::read(request).map(Ask::Feed),
            Door::Token => appliance::Ask::token(request).map(Ask::Appliance),
            Door::Submit => appliance::Ask::submit(request).map(Ask::Appliance),
            Door::Status => appliance::Ask::status(request).map(Ask::Appliance),
        }
    }

    /// The checks of an ordinary request and its answer.
    fn decide(
        &self,
        caller: &Caller,
        arrived: Option<(Door, Result<Ask, Refusal>)>,
        fault: Option<&Fault>,
        now: Moment,
    ) -> Result<Response, Refusal> {
        let account = caller.account.as_deref();
        if account.is_none() && !matches!(arrived, Some((Door::Token, _))) {
            return Err(Refusal::Unauthorized);
        }
        let (door, ask) = arrived.ok_or(Refusal::NotFound)?;
        // The wrong method is noticed before anything is counted against the rate.
        if let Err(refusal @ Refusal::WrongMethod(_)) = &ask {
            return Err(*refusal);
        }
        let (Some(account), Some(product)) = (account, door.product()) else {
            return self.serve_appliance(ask?, account, fault, now);
        };
        if !self.world.entitles(account, product) {
            return Err(Refusal::Forbidden);
        }
        if let Some(limit) = self.world.rate_limit_rps
            && door.is_paced()
            && !self.books().admit(account, limit, now)
        {
            return Err(Refusal::TooFast);
        }
        let mut finding = self.find(ask?, account, now)?;
        if fault == Some(&Fault::HangBeforeCharge) {
            return Ok(Response::silence());
        }
        self.charge(account, product, &finding, now)?;
        let Some(fault) = fault else { return Ok(finding.into_response()) };
        finding.spoil(fault);
        Ok(spoil(finding.into_response(), fault))
    }

    fn find(&self, ask: Ask, account: &str, now: Moment) -> Result<Finding, Refusal> {
        match ask {
            Ask::Hashes(question) => presence::answer(&question, &self.world),
            Ask::Usage(ask) => Ok(ask.answer(&self.world, self.books().meter(), account, now.unix_seconds)),
            Ask::Feed(ask) => Ok(ask.answer(&self.world, now)),
            Ask::Appliance(_) => Err(Refusal::NotFound),
        }
    }

    fn charge(&self, account: &str, product: Product, finding: &Finding, now: Moment) -> Result<(), Refusal> {
        let bill = Bill { account, product, units: finding.units, n_entries: finding.n_entries() };
        let charged = self.books().charge(bill, self.world.allow_last, now);
        charged.then_some(()).ok_or(Refusal::QuotaSpent)
    }

    /// The appliance has neither rate nor quota.
    fn serve_appliance(
        &self,
        ask: Ask,
        account: Option<&str>,
        fault: Option<&Fault>,
        now: Moment,
    ) -> Result<Response, Refusal> {
        let Ask::Appliance(ask) = ask else { return Err(Refusal::NotFound) };
        if fault == Some(&Fault::HangBeforeCharge) {
            return Ok(Response::silence());
        }
        let response = self.bench().answer(ask, &self.world, account, now.unix_seconds)?;
        Ok(match fault {
            Some(fault) => spoil(response, fault),
            None => response,
        })
    }

    /// In an open world everybody is let in, under the name that they give. The appliance wants a token, and the rest
    /// of the service a password.
    fn recognize(&self, door: Option<Door>, request: &Request) -> Caller {
        let header = request.header("authorization");
        let is_open = self.world.accounts.is_empty();
        if matches!(door, Some(Door::Submit | Door::Status)) {
            let token = header.and_then(|value| value.strip_prefix("Token "));
            let user = token.and_then(|token| self.bench().user(token.trim()).map(str::to_owned));
            let account = user.clone().or_else(|| is_open.then(|| ANONYMOUS.to_owned()));
            return Caller { username: user, account };
        }
        let credentials = header.and_then(Credentials::parse);
        if is_open {
            let username = credentials.map(|credentials| credentials.username);
            let account = username.clone().unwrap_or_else(|| ANONYMOUS.to_owned());
            return Caller { username, account: Some(account) };
        }
        let known = credentials.as_ref().and_then(|sent| {
            let fits =
                |username: &str, password: &str| username == sent.username && password == sent.password;
            self.world.accounts.iter().find(|account| fits(&account.username, &account.password))
        });
        Caller {
            account: known.map(|account| account.username.clone()),
            username: credentials.map(|credentials| credentials.username),
        }
    }

    fn bench(&self) -> MutexGuard<'_, Bench> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
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
