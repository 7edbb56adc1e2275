//! The body of a request. It travels in one box from post to get and back.
//!
//! ```text
//!  Body<dyn Kept>:  head: RawOp   common: Common          own: the kind's
//!                   (the port's)  (id, token, handler ..)  (buffer, descriptor, and the operation that points to them)
//! ```
//! The kernel works on what the kind holds. Nobody else can reach that while the body is in flight.

#![allow(unsafe_code)]

use crate::EventChannel;
use crate::events::inside::Inside;
use crate::events::source::Source;
use crate::events::stream::{Credit, Flow, GivenBack, Home, Item, Origin};
use crate::foreign;
use crate::id::{EventId, OpId};
use crate::operation::{Carry, Owner, RawOp, TIMER};
use std::any::Any;
use std::cell::LazyCell;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// (An event is made of what it gets.)
pub(crate) type Handler = Arc<dyn Fn(&EventChannel, Inside) + Send + Sync>;

#[derive(Clone, Copy)]
pub(crate) enum When {
    Never,
    After(Duration),
    At(Instant),
}

/// What a kind of event holds, and what it makes of it. The file of each kind implements it.
pub(crate) trait Kept: Any + Send {
    /// Its place in [`EventKind`](crate::EventKind).
    fn kind(&self) -> u8;

    /// What its descriptor is to it, for those who read of an error.
    fn role(&self) -> Option<&'static str> {
        None
    }

    /// Its descriptor (the first, if there are two), for those who print it.
    fn source(&self) -> Option<&Source> {
        None
    }

    /// The files that it names, and what else has a name, in the order of its arguments: for those who print it.
    fn names(&self) -> Vec<&OsStr> {
        Vec::new()
    }

    /// The number of that, as it was when it was prepared; -1: there is none.
    fn descriptor(&self) -> RawFd {
        -1
    }

    /// Before each post. The program's `AsFd` is called here, and where a request or an event is printed.
    fn prepare(&mut self) {}

    /// When it is complete, or to be given up: at `limit`, if the kind knows nothing better.
    fn deadline(&mut self, _now: &LazyCell<Instant>, limit: Option<Instant>) -> Option<Instant> {
        if let Some(flow) = self.flow() {
            (flow.limit, flow.next) = (limit, limit);
        }
        limit
    }

    /// The operation, pointed at what is held. That stays where it is from here on, untouched until it is complete.
    fn point(&mut self) -> *const dyn Carry {
        &raw const TIMER
    }

    /// Takes over what the kernel left. Gives what the event's result is.
    fn finish(&mut self, result: i32) -> i32 {
        result
    }

    /// Complete as it is posted, if it is not for a handler.
    fn is_immediate(&self) -> bool {
        false
    }

    /// It is a stream.
    fn flow(&mut self) -> Option<&mut Flow> {
        None
    }

    /// Of a stream: the item that has come; or what it ends with.
    fn item(&mut self, result: i32, _now: Instant, _origin: &Origin<'_>) -> Result<Inside, i32> {
        Err(result)
    }

    /// Of an item: its credit, and when it is to be given back.
    fn credit(&mut self) -> Option<(&mut Option<Credit>, GivenBack)> {
        None
    }

    fn buffer(&self) -> Option<&Vec<u8>> {
        None
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        None
    }

    fn buffers(&self) -> Option<&Vec<Vec<u8>>> {
        None
    }

    fn buffers_mut(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        None
    }

    /// Where in a file it reads or writes.
    fn offset_mut(&mut self) -> Option<&mut u64> {
        None
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// What recvmsg(2) says of the message.
    fn message_flags(&self) -> i32 {
        0
    }
}

/// What all kinds have.
pub(crate) struct Common {
    /// From the head to the whole.
    whole: unsafe fn(*mut RawOp) -> *mut Body<dyn Kept>,
    pub(crate) id: EventId,
    pub(crate) token: u64,
    pub(crate) when: When,
    pub(crate) context: Option<Box<dyn Any + Send>>,
    pub(crate) handler: Option<Handler>,
    /// The handler is called where the port is driven.
    pub(crate) at_once: bool,
    pub(crate) taker: Taker,
    /// See [`Kept::kind`].
    kind: u8,
    /// See [`Kept::descriptor`], of when it was posted.
    descriptor: RawFd,
}

/// What is told of a request in flight.
pub(crate) struct Label {
    pub(crate) kind: u8,
    pub(crate) token: u64,
    pub(crate) descriptor: Option<RawFd>,
    pub(crate) deadline: Option<Instant>,
}

/// Who takes what has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taker {
    /// Whoever gets it first, or its own handler.
    Anybody,
    /// The owner of the channel, who does not fetch it yet as he takes it out.
    Owner,
    /// As there, for a handler.
    OwnersHandler,
}

/// See the module. The head comes first: the port knows the body by its address.
#[repr(C)]
pub(crate) struct Body<K: ?Sized> {
    pub(crate) head: RawOp,
    pub(crate) common: Common,
    pub(crate) own: K,
}

/// A body as far as it is the same for all kinds.
#[repr(C)]
struct Stem {
    head: RawOp,
    common: Common,
}

impl<K: Kept> Body<K> {
    pub(crate) fn new(own: K) -> Box<Body<dyn Kept>> {
        /// # Safety
        /// `head` is that of a `Body<K>`.
        unsafe fn whole<K: Kept>(head: *mut RawOp) -> *mut Body<dyn Kept> {
            head.cast::<Body<K>>()
        }
        let mut own = own;
        let mut head = RawOp::new(|_| (), 0);
        head.owner = if own.flow().is_some() { Owner::Stream } else { Owner::Event };
        let kind = own.kind();
        let common = Common {
            whole: whole::<K>,
            id: EventId::none(0),
            token: 0,
            when: When::Never,
            context: None,
            handler: None,
            at_once: false,
            taker: Taker::Anybody,
            kind,
            descriptor: -1,
        };
        Box::new(Body { head, common, own })
    }
}

impl<T> Body<Item<T>>
where
    Item<T>: Kept,
{
    pub(crate) fn item(own: Item<T>) -> Box<Body<dyn Kept>> {
        let mut body = Body::new(own);
        body.head.owner = Owner::Item;
        body
    }
}

impl Body<dyn Kept> {
    /// The box that `into_head` took apart.
    ///
    /// # Safety
    /// `head` came from there, and nobody else owns it.
    pub(crate) unsafe fn from_head(head: *mut RawOp) -> Box<Self> {
        // SAFETY: by contract; the common part lies behind the head, whatever the kind is.
        unsafe { Box::from_raw(((*head.cast::<Stem>()).common.whole)(head)) }
    }

    /// As the port wants it. Whoever gets it owns it.
    pub(crate) fn into_head(self: Box<Self>) -> *mut RawOp {
        let body = Box::into_raw(self);
        // SAFETY: nobody else has it. (In place: what is pointed to from here on is not moved.)
        unsafe { (*body).head.set_what((*body).own.point()) };
        body.cast()
    }

    /// What the kind `K` holds, if it is of that kind.
    pub(crate) fn of<K: Kept>(&self) -> Option<&K> {
        (&self.own as &dyn Any).downcast_ref()
    }

    /// As [`of`](Self::of).
    pub(crate) fn of_mut<K: Kept>(&mut self) -> Option<&mut K> {
        (&mut self.own as &mut dyn Any).downcast_mut()
    }

    /// Is it for a handler, and not for whoever gets it?
    pub(crate) fn has_handler(&self) -> bool {
        self.common.handler.is_some()
    }

    /// Is it complete as it is posted?
    pub(crate) fn is_immediate(&self) -> bool {
        self.own.is_immediate() && !self.has_handler()
    }

    /// If it is a stream: is a handler to return before the next item comes?
    pub(crate) fn is_serial(&self) -> bool {
        self.has_handler() || self.common.taker == Taker::OwnersHandler
    }

    /// Before it is handed over to the channel of this number.
    pub(crate) fn prepare(&mut self, channel: u32, taker: Taker) {
        self.common.id = EventId::none(channel);
        self.common.taker = taker;
        self.own.prepare();
        self.common.descriptor = self.own.descriptor();
        // (Most have no use for it.)
        let now = LazyCell::new(Instant::now as fn() -> Instant);
        let limit = match self.common.when {
            _ if self.own.is_immediate() => None,
            When::Never => None,
            // What lies beyond the clock never comes; the wheel's horizon is nearer anyway.
            When::After(d) => now.checked_add(d).or_else(|| now.checked_add(Duration::from_secs(1 << 40))),
            When::At(t) => Some(t),
        };
        self.head.deadline = self.own.deadline(&now, limit);
    }

    /// It is posted to the channel of this home: if it is a stream, its items may come.
    pub(crate) fn open(&mut self, home: impl FnOnce() -> Weak<dyn Home>) {
        if self.head.owner == Owner::Stream {
            let is_serial = self.is_serial();
            if let Some(flow) = self.own.flow() {
                flow.open(home(), is_serial);
            }
        }
    }

    /// The body in flight.
    ///
    /// # Safety
    /// As for [`from_head`](Self::from_head), and the body stays where it is as long as what comes back is used.
    pub(crate) unsafe fn in_flight<'a>(head: *mut RawOp) -> &'a mut Self {
        // SAFETY: by contract; as in `from_head`.
        unsafe { &mut *((*head.cast::<Stem>()).common.whole)(head) }
    }

    /// What is told of a body in flight. (None of its parts is borrowed: the driver, the kernel and helpers use others of them meanwhile.)
    ///
    /// # Safety
    /// As for [`in_flight`](Self::in_flight), but that others may have it, too, if they do not make it go on: to an item, or to its end.
    pub(crate) unsafe fn label(head: *const RawOp) -> Label {
        let stem = head.cast::<Stem>();
        // SAFETY: by contract it is in place, and nobody writes to these before it goes on.
        unsafe {
            Label {
                kind: (&raw const (*stem).common.kind).read(),
                token: (&raw const (*stem).common.token).read(),
                descriptor: Some((&raw const (*stem).common.descriptor).read()).filter(|fd| *fd >= 0),
                deadline: (&raw const (*stem).head.deadline).read(),
            }
        }
    }

    /// The item that the stream, `op` to its port, came to with `result`; or what it ends with.
    pub(crate) fn next_item(&mut self, op: OpId, result: i32, now: Instant) -> Result<Inside, i32> {
        let id = EventId::new(op, self.common.id.channel());
        let Common { token, taker, .. } = self.common;
        let origin = Origin { op, id, token, taker, handler: self.common.handler.as_ref() };
        let item = self.own.item(result, now, &origin);
        let own = &mut self.own;
        if let Some(next) = own.flow().map(|flow| flow.next) {
            self.head.deadline = next;
        }
        self.head.set_what(self.own.point());
        item
    }

    /// Of a stream: may another item come?
    pub(crate) fn has_credit(&mut self) -> bool {
        self.own.flow().is_some_and(|flow| flow.has_credit())
    }

    /// Of a stream: does it get credit back whatever becomes of its items? Somebody fetches them, or a handler returns.
    pub(crate) fn gets_credit(&mut self) -> bool {
        self.is_serial() || self.own.flow().is_some_and(|flow| flow.is_given_back_when_fetched())
    }

    /// Of a stream: when it is given up.
    pub(crate) fn limit(&mut self) -> Option<Instant> {
        self.own.flow()?.limit
    }

    /// Is it an item of a stream?
    #[inline]
    pub(crate) fn is_item(&self) -> bool {
        self.head.owner == Owner::Item
    }

    /// Its credit, if it is an item that has not given it back; `fetched`: and does so when it is fetched.
    pub(crate) fn take_credit(&mut self, fetched: bool) -> Option<Credit> {
        let (credit, given_back) = self.own.credit()?;
        if fetched && given_back != GivenBack::Fetched { None } else { credit.take() }
    }

    /// The request that was `id` to its port is complete.
    ///
    /// # Safety
    /// As for [`from_head`](Self::from_head).
    pub(crate) unsafe fn completed(head: *mut RawOp, id: OpId) -> Box<Self> {
        // SAFETY: by contract.
        let mut body = unsafe { Self::from_head(head) };
        body.common.id = EventId::new(id, body.common.id.channel());
        let result = body.own.finish(body.head.result());
        body.head.set_result(result);
        body
    }

    /// It is complete as it is posted.
    pub(crate) fn complete_at_once(&mut self, id: EventId) {
        self.common.id = id;
        self.head.set_result(0);
    }

    /// Drops it, nobody having got it. What the program has put into it goes piece by piece, so that each may panic, or fork.
    pub(crate) fn discard(mut self: Box<Self>) {
        let (context, handler) = (self.common.context.take(), self.common.handler.take());
        foreign::let_go!(context, handler, self);
    }
}
