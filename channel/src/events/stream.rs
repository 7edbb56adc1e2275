//! Streams: requests that give many events.
//!
//! ```text
//!  post ──► item, item, item, ... last          all have the id that the post gave
//!             └ each takes a credit, and gives it back when it is fetched (or, of some kinds, dropped)
//! ```
//! One rule for all of them: each item comes once, in order, and then exactly one last event. The request itself is that event: it stays
//! in its slot until then, and the port submits it again after each item. Without a credit it pauses. So nothing is dropped, and nothing
//! is begun that nobody has room for.

use crate::events::body::{Body, Handler, Kept, Taker};
use crate::events::inside::Inside;
use crate::fork;
use crate::id::{EventId, OpId};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// So many items may be unfetched, if nobody says otherwise.
const CREDIT: u32 = 64;

/// Where streams are in flight.
pub(crate) trait Home: Send + Sync {
    /// The paused stream `id` has a credit again.
    fn resume(&self, id: OpId);
}

/// What a stream has beside what its kind needs.
pub(crate) struct Flow {
    most: u32,
    given_back: GivenBack,
    /// While it is posted.
    account: Option<Arc<Account>>,
    /// When it is given up.
    pub(crate) limit: Option<Instant>,
    /// When its operation is complete, or given up: the next item, or the limit.
    pub(crate) next: Option<Instant>,
}

/// When an item gives its credit back.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum GivenBack {
    /// When it is fetched.
    Fetched,
    /// When it is dropped: it says how things are, which is of no use twice.
    Dropped,
}

struct Account {
    left: AtomicU32,
    home: Weak<dyn Home>,
}

impl Flow {
    pub(crate) fn new(given_back: GivenBack) -> Self {
        Flow { most: CREDIT, given_back, account: None, limit: None, next: None }
    }

    pub(crate) fn set_most(&mut self, most: u32) {
        self.most = most.max(1);
    }

    /// The stream is posted. The items of one with a handler (`is_serial`) come one at a time.
    pub(crate) fn open(&mut self, home: Weak<dyn Home>, is_serial: bool) {
        let one_at_a_time = is_serial || self.given_back == GivenBack::Dropped;
        let left = AtomicU32::new(if one_at_a_time { 1 } else { self.most });
        self.account = Some(Arc::new(Account { left, home }));
    }

    /// May another item come? (Only the port takes credits: it stays so until it does.)
    pub(crate) fn has_credit(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.left.load(Ordering::Acquire) > 0)
    }

    pub(crate) fn is_given_back_when_fetched(&self) -> bool {
        self.given_back == GivenBack::Fetched
    }

    fn credit(&self, id: OpId) -> Option<Credit> {
        let account = self.account.clone()?;
        account.left.fetch_sub(1, Ordering::AcqRel);
        Some(Credit { account, id })
    }
}

/// One item may come: given back when this is dropped.
pub(crate) struct Credit {
    account: Arc<Account>,
    id: OpId,
}

impl Drop for Credit {
    fn drop(&mut self) {
        // Who takes the last one pauses; so one who gives the first one back has it go on.
        if self.account.left.fetch_add(1, Ordering::AcqRel) == 0
            && !fork::is_child()
            && let Some(home) = self.account.home.upgrade()
        {
            home.resume(self.id);
        }
    }
}

/// What the items of a kind are about.
pub(crate) trait Found: Send + 'static {
    /// See [`Kept::address`].
    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

impl Found for () {}

/// What an item holds: the credit, and what its kind has found.
pub(crate) struct Item<T> {
    kind: u8,
    given_back: GivenBack,
    credit: Option<Credit>,
    pub(crate) found: T,
}

impl<T: Found> Kept for Item<T> {
    fn kind(&self) -> u8 {
        self.kind
    }

    fn credit(&mut self) -> Option<(&mut Option<Credit>, GivenBack)> {
        Some((&mut self.credit, self.given_back))
    }

    fn address(&self) -> Option<SocketAddr> {
        self.found.address()
    }
}

/// What items have from their stream.
pub(crate) struct Origin<'a> {
    pub(crate) op: OpId,
    pub(crate) id: EventId,
    pub(crate) token: u64,
    pub(crate) taker: Taker,
    pub(crate) handler: Option<&'a Handler>,
}

impl Origin<'_> {
    /// An item of this kind (see [`Kept::kind`]).
    pub(crate) fn item<T: Found>(&self, kind: u8, flow: &Flow, found: T) -> Inside {
        let credit = flow.credit(self.op);
        let mut body = Body::item(Item { kind, given_back: flow.given_back, credit, found });
        body.common.id = self.id;
        body.common.token = self.token;
        body.common.taker = self.taker;
        body.common.handler = self.handler.cloned();
        Inside::Body(body)
    }
}
