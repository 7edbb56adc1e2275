//! What a request and its event are: a body, or the little that one needs which has none.

use crate::events::body::{Body, Kept, Taker};
use crate::events::stream::Credit;
use crate::id::EventId;
use std::any::Any;
use std::ffi::OsStr;
use std::fmt::DebugStruct;

/// See the module.
pub(crate) enum Inside {
    Body(Box<Body<dyn Kept>>),
    /// Complete as it is posted, and nothing goes with it but a number. Nothing is allocated for it.
    Bare(Bare),
}

pub(crate) struct Bare {
    pub(crate) id: EventId,
    pub(crate) token: u64,
    plain: Plain,
}

/// Of a kind that holds nothing of its own.
#[derive(Clone, Copy)]
pub(crate) struct Plain {
    kind: u8,
    immediate: bool,
    wakes_all: bool,
    /// Posted to a channel that belongs to somebody else.
    is_foreign: bool,
}

impl Plain {
    /// Of this kind (see [`Kept::kind`]), to pass through a port.
    pub(crate) fn new(kind: u8) -> Self {
        Plain { kind, immediate: false, wakes_all: false, is_foreign: false }
    }
}

impl Kept for Plain {
    fn kind(&self) -> u8 {
        self.kind
    }

    fn is_immediate(&self) -> bool {
        self.immediate
    }
}

impl Bare {
    #[inline]
    pub(crate) fn wakes_all(&self) -> bool {
        self.plain.wakes_all
    }
}

impl Inside {
    /// Of this kind (see [`Kept::kind`]), complete as it is posted.
    pub(crate) fn bare(kind: u8) -> Self {
        Inside::Bare(Bare {
            id: EventId::none(0),
            token: 0,
            plain: Plain { immediate: true, ..Plain::new(kind) },
        })
    }

    pub(crate) fn of(own: impl Kept) -> Self {
        Inside::Body(Body::new(own))
    }

    /// The body, if it has one.
    pub(crate) fn body(&self) -> Option<&Body<dyn Kept>> {
        match self {
            Inside::Body(body) => Some(body),
            Inside::Bare(_) => None,
        }
    }

    /// As [`body`](Self::body).
    pub(crate) fn body_mut(&mut self) -> Option<&mut Body<dyn Kept>> {
        match self {
            Inside::Body(body) => Some(body),
            Inside::Bare(_) => None,
        }
    }

    /// From here on it has one.
    pub(crate) fn with_body(self) -> Box<Body<dyn Kept>> {
        match self {
            Inside::Body(body) => body,
            Inside::Bare(bare) => {
                let mut body = Body::new(bare.plain);
                (body.common.id, body.common.token) = (bare.id, bare.token);
                body
            }
        }
    }

    /// The buffer; an empty one stays.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        self.body_mut().and_then(|body| body.own.buffer_mut()).map(std::mem::take).unwrap_or_default()
    }

    /// Of one with several: all the buffers; none stay.
    pub(crate) fn take_buffers(&mut self) -> Vec<Vec<u8>> {
        self.body_mut().and_then(|body| body.own.buffers_mut()).map(std::mem::take).unwrap_or_default()
    }

    /// The application's context, once.
    pub(crate) fn take_context(&mut self) -> Option<Box<dyn Any + Send>> {
        self.body_mut()?.common.context.take()
    }

    /// What the kind `K` holds, if it is of that kind.
    pub(crate) fn of_kind<K: Kept>(&self) -> Option<&K> {
        self.body()?.of()
    }

    /// As [`of_kind`](Self::of_kind).
    pub(crate) fn of_kind_mut<K: Kept>(&mut self) -> Option<&mut K> {
        self.body_mut()?.of_mut()
    }

    /// See [`Kept::kind`].
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Inside::Body(body) => body.own.kind(),
            Inside::Bare(bare) => bare.plain.kind,
        }
    }

    pub(crate) fn id(&self) -> EventId {
        match self {
            Inside::Body(body) => body.common.id,
            Inside::Bare(bare) => bare.id,
        }
    }

    pub(crate) fn token(&self) -> u64 {
        match self {
            Inside::Body(body) => body.common.token,
            Inside::Bare(bare) => bare.token,
        }
    }

    pub(crate) fn set_token(&mut self, token: u64) {
        match self {
            Inside::Body(body) => body.common.token = token,
            Inside::Bare(bare) => bare.token = token,
        }
    }

    pub(crate) fn result(&self) -> i32 {
        match self {
            Inside::Body(body) => body.head.result(),
            Inside::Bare(_) => 0,
        }
    }

    /// Is it an item of a stream?
    #[inline]
    pub(crate) fn is_item(&self) -> bool {
        self.body().is_some_and(Body::is_item)
    }

    /// Somebody has taken it out: so it is fetched, if he is anybody.
    #[inline(always)]
    pub(crate) fn taken_out(&mut self) {
        if let Inside::Body(body) = self
            && body.is_item()
            && body.common.taker == Taker::Anybody
        {
            give_back(body);
        }
    }

    /// The owner, who has taken it out, gives it to the program.
    pub(crate) fn fetched_from_owner(&mut self) {
        if let Inside::Body(body) = self {
            give_back(body);
        }
    }

    /// Of an item: the credit, to be given back when its handler has returned.
    pub(crate) fn take_credit(&mut self) -> Option<Credit> {
        if self.is_item() { self.body_mut()?.take_credit(false) } else { None }
    }

    /// Is it for a handler, and not for whoever gets it?
    #[inline]
    pub(crate) fn has_handler(&self) -> bool {
        self.body().is_some_and(Body::has_handler)
    }

    /// Is it complete as it is posted?
    #[inline]
    pub(crate) fn is_immediate(&self) -> bool {
        match self {
            Inside::Body(body) => body.is_immediate(),
            Inside::Bare(_) => true,
        }
    }

    /// It is, under this id.
    #[inline]
    pub(crate) fn complete_at_once(&mut self, id: EventId) {
        match self {
            Inside::Body(body) => body.complete_at_once(id),
            Inside::Bare(bare) => bare.id = id,
        }
    }

    /// Everyone who waits is to get a copy, if it is complete as it is posted.
    pub(crate) fn set_wakes_all(&mut self) {
        if let Some(plain @ Plain { immediate: true, .. }) = self.plain_mut() {
            plain.wakes_all = true;
        }
    }

    #[inline]
    pub(crate) fn wakes_all(&self) -> bool {
        self.plain().is_some_and(|plain| plain.wakes_all)
    }

    /// Of one that holds nothing: whether somebody else posts it than whose channel it is.
    pub(crate) fn set_foreign(&mut self, is_foreign: bool) {
        if let Some(plain) = self.plain_mut() {
            plain.is_foreign = is_foreign;
        }
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.plain().is_some_and(|plain| plain.is_foreign)
    }

    #[inline]
    fn plain(&self) -> Option<&Plain> {
        match self {
            Inside::Body(body) => body.of(),
            Inside::Bare(bare) => Some(&bare.plain),
        }
    }

    fn plain_mut(&mut self) -> Option<&mut Plain> {
        match self {
            Inside::Body(body) => body.of_mut(),
            Inside::Bare(bare) => Some(&mut bare.plain),
        }
    }

    /// The same words once more: id and token.
    pub(crate) fn copy(&self) -> Self {
        let mut copy = Inside::bare(self.kind());
        copy.complete_at_once(self.id());
        copy.set_token(self.token());
        copy
    }

    /// See [`Kept::names`].
    pub(crate) fn names(&self) -> Vec<&OsStr> {
        self.body().map_or_else(Vec::new, |body| body.own.names())
    }

    /// What is printed of both a request and an event.
    pub(crate) fn show<'a, 'b, 'f>(&self, shown: &'a mut DebugStruct<'b, 'f>) -> &'a mut DebugStruct<'b, 'f> {
        shown.field("token", &self.token());
        if let Some(source) = self.body().and_then(|body| body.own.source()) {
            shown.field("descriptor", &source.raw());
        }
        let names = self.names();
        if !names.is_empty() {
            shown.field("names", &names);
        }
        shown
    }

    /// See [`Body::discard`].
    pub(crate) fn discard(self) {
        if let Inside::Body(body) = self {
            body.discard();
        }
    }
}

/// The credit of what has been fetched, if it is an item and it is to be given back now.
#[inline(never)]
fn give_back(item: &mut Body<dyn Kept>) {
    drop(item.take_credit(true));
}
