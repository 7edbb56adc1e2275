//! The streams of a storm: each item once and in order, then one last event, and nothing after it.

use super::super::Random;
use super::parts::fatal;
use ec_channel::{Event, EventChannel, EventId, Interest, Request, SignalPoster, Source};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// So many streams of posts at once, each with a descriptor of its own.
const POSTERS: usize = 32;
/// So many items a getter keeps for a while.
const KEPT: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sort {
    Ticks,
    Readiness,
    Posts,
}

impl Sort {
    pub const ALL: [Sort; 3] = [Sort::Ticks, Sort::Readiness, Sort::Posts];
}

/// How it ends, if nobody cancels it at random.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// With its time limit.
    Limit,
    /// Only by the cancel that is said with it.
    Cancel,
    /// Cancelled by whoever gets this item.
    Item(u64),
    /// When its poster has gone.
    Itself,
}

/// A stream, as it was for those who have got of it.
struct Course {
    sort: Sort,
    end: End,
    /// Of ticks: where the first was said to be, and how far apart they are.
    first: Instant,
    period: Duration,
    /// When its time limit comes at the earliest: no tick behind it is counted.
    limit: Instant,
    /// So many were posted.
    posts: AtomicU64,
    id: OnceLock<EventId>,
    items: AtomicU64,
    /// Items, and ticks that were missed.
    ticks: AtomicU64,
    /// Of ticks: when the first was at the latest, and when one before was there, of those that come to a handler one at a time.
    seen: Mutex<Option<(Instant, Instant)>>,
    /// The one item that it may have at a time is in somebody's hands.
    in_hand: AtomicBool,
    /// By the storm's clock, which goes by one each time somebody looks: when the latest get of an item began, and when that of the last
    /// event was over. 0: not yet.
    began: AtomicU64,
    ended: AtomicU64,
    /// It ended without an error.
    is_done: AtomicBool,
}

/// How somebody has come by an event.
#[derive(Clone, Copy)]
pub struct Got {
    /// By the storm's clock.
    pub began: u64,
    pub ended: u64,
    /// As its handler.
    pub handles: bool,
}

/// All of them.
#[derive(Default)]
pub struct Streams {
    courses: Mutex<HashMap<u64, Arc<Course>>>,
    clock: AtomicU64,
    posters: Mutex<Vec<(SignalPoster, Arc<Course>)>>,
    /// Twice as many as there are: poster and stream go by themselves.
    posting: AtomicUsize,
    /// Items of each sort.
    pub items: [AtomicU64; Sort::ALL.len()],
    /// Those that ended while they had no credit.
    pub ended_in_pause: AtomicU64,
}

impl Streams {
    /// A later time.
    pub fn now(&self) -> u64 {
        self.clock.fetch_add(1, SeqCst) + 1
    }

    /// A stream: of the first of these sources it can read, into the second it can write, of the third it cannot read. `alone`: or one
    /// that only a cancel ends, and that is said with it.
    pub fn request(
        &self,
        token: u64,
        random: &mut Random,
        sources: [&Source; 3],
        alone: bool,
    ) -> (Request, bool) {
        let end = match random.below(6) {
            0 if alone => End::Cancel,
            0..3 => End::Limit,
            _ => End::Item(1 + random.below(6)),
        };
        let limit = Duration::from_micros(20 + random.below(3_000));
        let period = Duration::from_micros(20 + random.below(300));
        let now = Instant::now();
        let (course, request) = match random.below(6) {
            0 if self.posting.fetch_add(2, SeqCst) < 2 * POSTERS => {
                let (poster, posts) = Request::signal_posts().unwrap();
                let end = if end == End::Limit { end } else { End::Itself };
                let course = Arc::new(Course::new(Sort::Posts, end, now, period, now + limit));
                // (Some come before the stream is posted.)
                course.post(&poster, random.below(4));
                self.posters.lock().unwrap().push((poster, course.clone()));
                (course, posts)
            }
            0 => {
                self.posting.fetch_sub(2, SeqCst);
                (
                    Arc::new(Course::new(Sort::Ticks, end, now + period, period, now + limit)),
                    Request::interval(period),
                )
            }
            1 | 2 => (
                Arc::new(Course::new(Sort::Ticks, end, now + period, period, now + limit)),
                Request::interval(period),
            ),
            3 => {
                // (It has passed, or it comes.)
                let first = now + period - 2 * Duration::from_micros(random.below(300));
                (
                    Arc::new(Course::new(Sort::Ticks, end, first, period, now + limit)),
                    Request::interval_at(first, period),
                )
            }
            _ => {
                // What nobody writes to is for those that may end without an item.
                let silent = matches!(end, End::Limit | End::Cancel) && random.below(4) == 0;
                let (source, interest) = match random.below(2) {
                    _ if silent => (sources[2], Interest::READABLE),
                    0 => (sources[0], Interest::READABLE),
                    _ => (sources[1], Interest::WRITABLE),
                };
                let request = Request::readiness_stream(source.clone(), interest);
                (Arc::new(Course::new(Sort::Readiness, end, now, period, now + limit)), request)
            }
        };
        let request = if course.end == End::Limit { request.within(limit) } else { request };
        let only_a_cancel = course.end == End::Cancel;
        self.courses.lock().unwrap().insert(token, course);
        (request.credit(1 + random.below(4) as u32), only_a_cancel)
    }

    /// This token's stream was not posted.
    pub fn unmake(&self, token: u64) {
        let course = self.courses.lock().unwrap().remove(&token);
        if course.is_some_and(|course| course.sort == Sort::Posts) {
            self.posting.fetch_sub(1, SeqCst);
        }
    }

    fn course(&self, event: &Event) -> Arc<Course> {
        let course = self.courses.lock().unwrap().get(&event.token()).cloned();
        let course = course.unwrap_or_else(|| fatal(&format!("of no stream: {event:?}")));
        if *course.id.get_or_init(|| event.id()) != event.id() {
            fatal(&format!("with another id than before: {event:?}"));
        }
        course
    }

    /// An item has come.
    pub fn item(&self, channel: &EventChannel, event: &Event, got: Got) {
        let course = self.course(event);
        let one_at_a_time = got.handles || course.sort == Sort::Readiness;
        if one_at_a_time && course.in_hand.swap(true, SeqCst) {
            fatal(&format!("an item while the one before is in hand: {event:?}"));
        }
        course.began.fetch_max(got.began, SeqCst);
        course.look_at_the_end(event);
        match course.sort {
            Sort::Ticks => {
                let n = 1 + event.missed();
                let n = course.ticks.fetch_add(n, SeqCst) + n;
                // Whichever of them have been seen.
                let (now, ticks) = (Instant::now(), course.period * (n - 1) as u32);
                if course.first + ticks > now {
                    fatal(&format!("{n} ticks, more than there can have been: {event:?}"));
                }
                if got.handles {
                    // It is the youngest of a time since the one before was there.
                    let mut seen = course.seen.lock().unwrap();
                    let first = seen.map_or(now - ticks, |(first, _)| first.min(now - ticks));
                    let next = first + ticks + course.period;
                    let is_counted = course.end != End::Limit || next <= course.limit;
                    if is_counted && seen.is_some_and(|(_, before)| next <= before) {
                        fatal(&format!("{n} ticks, and missed ones are not counted: {event:?}"));
                    }
                    *seen = Some((first, now));
                }
            }
            Sort::Readiness if event.ready() == Interest::WRITABLE => {}
            Sort::Readiness if event.ready() == Interest::READABLE => {}
            Sort::Readiness => fatal(&format!("nothing is ready: {event:?}")),
            Sort::Posts => {}
        }
        self.items[course.sort as usize].fetch_add(1, SeqCst);
        if End::Item(course.items.fetch_add(1, SeqCst) + 1) == course.end {
            channel.cancel(event.id());
        }
    }

    /// The last event has come.
    pub fn last(&self, event: &Event, got: Got) {
        let course = self.course(event);
        if course.ended.swap(got.ended, SeqCst) != 0 {
            fatal(&format!("the last event twice: {event:?}"));
        }
        course.look_at_the_end(event);
        if course.in_hand.load(SeqCst) {
            if got.handles {
                fatal(&format!("the last event before the handler has returned: {event:?}"));
            }
            self.ended_in_pause.fetch_add(1, SeqCst);
        }
        course.is_done.store(event.result().is_ok(), SeqCst);
        match course.sort {
            Sort::Posts => drop(self.posting.fetch_sub(1, SeqCst)),
            _ if event.result().is_ok() => fatal(&format!("it ends by itself: {event:?}")),
            _ => {}
        }
    }

    /// Lets go of an event.
    pub fn let_go(&self, event: Event) {
        if !event.is_last() {
            self.course(&event).in_hand.store(false, SeqCst);
        }
        drop(event);
    }

    /// Posts, until there is no more to come of the storm.
    pub fn go_on_posting(&self, over: &AtomicBool) {
        let mut random = Random(29);
        while !over.load(SeqCst) {
            let posters = std::mem::take(&mut *self.posters.lock().unwrap());
            for (poster, course) in posters {
                course.post(&poster, random.below(4));
                if random.below(3) > 0 {
                    self.posters.lock().unwrap().push((poster, course));
                    continue;
                }
                drop(poster);
                self.posting.fetch_sub(1, SeqCst);
            }
            thread::sleep(Duration::from_micros(random.below(200)));
        }
    }

    /// All have come back: all that was posted has come, unless it ended before. Gives how many items there were.
    pub fn end(&self) -> u64 {
        for course in self.courses.lock().unwrap().values() {
            assert_ne!(course.ended.load(SeqCst), 0, "a stream without an end");
            let (posts, items) = (course.posts.load(SeqCst), course.items.load(SeqCst));
            if course.is_done.load(SeqCst) {
                assert_eq!(items, posts, "what was posted has come");
            }
            assert!(course.sort != Sort::Posts || items <= posts, "more has come than was posted");
        }
        self.items.iter().map(|items| items.load(SeqCst)).sum()
    }
}

impl Course {
    fn new(sort: Sort, end: End, first: Instant, period: Duration, limit: Instant) -> Self {
        Course {
            sort,
            end,
            first,
            period,
            limit,
            posts: AtomicU64::new(0),
            id: OnceLock::new(),
            items: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            seen: Mutex::new(None),
            in_hand: AtomicBool::new(false),
            began: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            is_done: AtomicBool::new(false),
        }
    }

    fn post(&self, poster: &SignalPoster, n: u64) {
        for _ in 0..n {
            self.posts.fetch_add(1, SeqCst);
            poster.post();
        }
    }

    /// No get of an item began after that of the last event was over. (Whoever notes the second of the two sees both.)
    fn look_at_the_end(&self, event: &Event) {
        let ended = self.ended.load(SeqCst);
        if ended != 0 && self.began.load(SeqCst) > ended {
            fatal(&format!("an item after the last event: {event:?}"));
        }
    }

    /// It ends also if nobody lets go of its items.
    fn ends_in_pause(&self) -> bool {
        matches!(self.end, End::Limit | End::Cancel)
    }
}

/// The events that a getter has. When it goes (it may die) it lets go of them.
pub struct Hands<'a> {
    streams: &'a Streams,
    /// Those of one get.
    pub batch: Vec<Event>,
    /// Items that are kept, so that their streams pause.
    kept: Vec<Event>,
}

impl<'a> Hands<'a> {
    pub fn new(streams: &'a Streams) -> Self {
        Hands { streams, batch: Vec::new(), kept: Vec::new() }
    }

    /// Lets go of the batch, and of some that were kept. Now and then it keeps one.
    pub fn empty(&mut self, random: &mut Random) {
        for event in self.batch.drain(..) {
            let keeps =
                !event.is_last() && random.below(3) == 0 && self.streams.course(&event).ends_in_pause();
            match keeps {
                true => self.kept.push(event),
                false => self.streams.let_go(event),
            }
        }
        while self.kept.len() > KEPT || !self.kept.is_empty() && random.below(8) == 0 {
            self.streams.let_go(self.kept.remove(0));
        }
    }
}

impl Drop for Hands<'_> {
    fn drop(&mut self) {
        self.batch.drain(..).chain(self.kept.drain(..)).for_each(|event| self.streams.let_go(event));
    }
}
