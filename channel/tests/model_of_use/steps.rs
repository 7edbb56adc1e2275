//! What a program may do, step by step; how such sequences are made, and made shorter.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The last of them has no room for what is sent, until it is drained.
pub const PAIRS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Notification,
    /// After so many milliseconds; `None`: in an hour.
    Timer(Option<u8>),
    Recv {
        pair: usize,
        room: usize,
    },
    Send {
        pair: usize,
        bytes: usize,
    },
    Readable(usize),
    Writable(usize),
    Accept,
    Connect,
    RecvFrom,
    SendTo,
    /// A byte of a file, at this offset.
    ReadAt(u8),
    /// A closure.
    Work,
    /// A stream of ticks, so many milliseconds apart.
    Interval {
        ms: u8,
        credit: usize,
    },
    /// A stream.
    ReadableAgain(usize),
}

#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub what: What,
    /// Given up after so many milliseconds.
    pub limit: Option<u8>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Post(Ask),
    PostAll(Vec<Ask>),
    /// One that has come back goes once more.
    Again(Index),
    /// Any that was ever posted.
    Cancel(Index),
    /// An item of a stream that has come is dropped, or tried to be posted.
    LetGo {
        item: Index,
        posts: bool,
    },
    /// Waits, if something is to come.
    Get,
    Try,
    GetMany(usize),
    /// The peer sends bytes.
    Feed {
        pair: usize,
        bytes: usize,
    },
    /// The peer receives what is there.
    Drain(usize),
    /// The peer is gone.
    Close(usize),
    /// Somebody connects to the listener.
    Dial,
    /// Somebody sends a datagram.
    Datagram,
    /// So many milliseconds go by.
    Pause(u8),
    Shutdown,
}

fn what() -> impl Strategy<Value = What> {
    let pair = 0..PAIRS;
    prop_oneof![
        2 => Just(What::Notification),
        2 => (0..12_u8).prop_map(What::ReadAt),
        2 => Just(What::Work),
        2 => proptest::option::weighted(0.7, 0..4_u8).prop_map(What::Timer),
        5 => (pair.clone(), 1..6_usize).prop_map(|(pair, room)| What::Recv { pair, room }),
        2 => (pair.clone(), 1..6_usize).prop_map(|(pair, bytes)| What::Send { pair, bytes }),
        2 => pair.clone().prop_map(What::Readable),
        1 => pair.clone().prop_map(What::Writable),
        2 => Just(What::Accept),
        1 => Just(What::Connect),
        2 => Just(What::RecvFrom),
        1 => Just(What::SendTo),
        2 => (1..4_u8, 1..4_usize).prop_map(|(ms, credit)| What::Interval { ms, credit }),
        3 => pair.prop_map(What::ReadableAgain),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    (what(), proptest::option::weighted(0.2, 0..4_u8)).prop_map(|(what, limit)| Ask { what, limit })
}

fn step() -> impl Strategy<Value = Step> {
    let pair = 0..PAIRS;
    prop_oneof![
        12 => ask().prop_map(Step::Post),
        2 => vec(ask(), 1..5).prop_map(Step::PostAll),
        2 => any::<Index>().prop_map(Step::Again),
        6 => any::<Index>().prop_map(Step::Cancel),
        5 => (any::<Index>(), proptest::bool::weighted(0.1))
            .prop_map(|(item, posts)| Step::LetGo { item, posts }),
        6 => Just(Step::Get),
        3 => Just(Step::Try),
        2 => (1..5_usize).prop_map(Step::GetMany),
        5 => (pair.clone(), 1..6_usize).prop_map(|(pair, bytes)| Step::Feed { pair, bytes }),
        1 => pair.clone().prop_map(Step::Drain),
        1 => pair.prop_map(Step::Close),
        2 => Just(Step::Dial),
        2 => Just(Step::Datagram),
        2 => (1..5_u8).prop_map(Step::Pause),
        1 => Just(Step::Shutdown),
    ]
}

/// Sequences of steps.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..60)
}
