//! The channel's queue, model-checked by loom: what is put in comes out once, in order, however many at a time; with blocks of two places.
//! And who sleeps until something is in it: one that does although something is shows as a deadlock, which loom reports.
#![cfg(loom)]

#[path = "../src/queue.rs"]
mod queue;

#[path = "../src/sleeping.rs"]
mod sleeping;

#[path = "model/sync.rs"]
mod sync;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use queue::Queue;
use sleeping::Sleeping;
use std::cell::RefCell;
use std::sync::Weak;

fn model(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// See [`sync::AtomicUsize`].
fn model_where_looks_count(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    sync::LOOKS_COUNT.set(true);
    model(preemptions, f);
    sync::LOOKS_COUNT.set(false);
}

/// A box: loom sees one that is lost, or freed twice.
type Item = Box<u32>;

fn put_in(queue: &Queue<Item>, numbers: std::ops::Range<u32>) {
    let many = numbers.len();
    queue.push_all(&mut numbers.map(Box::new).collect::<Vec<_>>().into_iter(), many);
}

/// Up to `max`, if anything is there.
fn take(queue: &Queue<Item>, max: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    let many = queue.pop_all(max, |item| taken.push(*item));
    assert_eq!(many, taken.len());
    assert!(many <= max);
    taken
}

/// As many, while they come. (A load alone is not enough for loom to see that it and a step of another thread may change places.)
fn take_all(queue: &Queue<Item>, many: usize) -> Vec<u32> {
    let mut taken = take(queue, many);
    while taken.len() < many {
        thread::yield_now();
        taken.extend(take(queue, many - taken.len()));
    }
    taken
}

#[test]
fn many_that_one_puts_in_come_to_another_in_order() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        let theirs = queue.clone();
        let poster = thread::spawn(move || {
            put_in(&theirs, 0..3);
            theirs.push(Box::new(3));
        });
        assert_eq!(take_all(&queue, 4), [0, 1, 2, 3]);
        poster.join().unwrap();
        assert_eq!((queue.len(), queue.is_empty()), (0, true));
    });
}

#[test]
fn two_put_in_at_once_where_a_block_ends() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        let theirs = queue.clone();
        let other = thread::spawn(move || put_in(&theirs, 0..2));
        put_in(&queue, 2..5);
        other.join().unwrap();
        let mut all = take_all(&queue, 5);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn what_two_put_in_comes_once_and_in_the_order_of_each() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        let (one, other) = (queue.clone(), queue.clone());
        let one = thread::spawn(move || put_in(&one, 0..2));
        let other = thread::spawn(move || put_in(&other, 10..13));
        let mut taken = take(&queue, 2);
        one.join().unwrap();
        other.join().unwrap();
        for _ in 0..5 {
            taken.extend(take(&queue, 2));
        }
        let of = |range: std::ops::Range<u32>| taken.iter().copied().filter(move |n| range.contains(n));
        assert!(of(0..10).eq(0..2) && of(10..20).eq(10..13) && taken.len() == 5, "{taken:?}");
    });
}

/// Takes one that is there for certain.
fn take_one(queue: &Queue<Item>) -> u32 {
    *queue.pop().expect("it is there")
}

#[test]
fn a_block_is_used_again_when_both_have_emptied_it() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        put_in(&queue, 0..2);
        let theirs = queue.clone();
        let other = thread::spawn(move || take_one(&theirs));
        let mine = take_one(&queue);
        // The second block is filled, the first comes behind it (or a new one).
        put_in(&queue, 2..5);
        assert_eq!(mine + other.join().unwrap(), 1);
        assert_eq!([(); 3].map(|()| take_one(&queue)), [2, 3, 4]);
        assert!(queue.pop().is_none());
    });
}

#[test]
fn a_block_that_is_used_again_is_as_a_new_one() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        put_in(&queue, 0..2);
        assert_eq!(take(&queue, 2), [0, 1]);
        put_in(&queue, 2..4);
        assert_eq!(take(&queue, 2), [2, 3]);
        // The first block has been put in again.
        let theirs = queue.clone();
        let poster = thread::spawn(move || put_in(&theirs, 4..7));
        assert_eq!(take_all(&queue, 3), [4, 5, 6]);
        poster.join().unwrap();
    });
}

#[test]
fn two_who_take_share_what_is_there() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        put_in(&queue, 0..3);
        let theirs = queue.clone();
        let other = thread::spawn(move || take(&theirs, 2));
        let mut mine = take(&queue, 2);
        put_in(&queue, 3..6);
        mine.extend(take(&queue, 1));
        let mut all = other.join().unwrap();
        assert!(mine.is_sorted() && all.is_sorted());
        all.extend(mine);
        while !queue.is_empty() {
            all.extend(take(&queue, 4));
        }
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn what_has_been_put_in_is_found_by_whoever_is_told() {
    model(4, || {
        let queue = Arc::new(Queue::new());
        let theirs = queue.clone();
        let poster = thread::spawn(move || put_in(&theirs, 0..2));
        let (mut taken, mut seen) = (Vec::new(), 0);
        if !queue.is_empty() {
            seen = 1;
            taken = take(&queue, 1);
        }
        assert_eq!(taken.len(), seen, "it was said to be there");
        poster.join().unwrap();
        assert_eq!(queue.len() + taken.len(), 2);
        // What is left is dropped with the queue.
    });
}

#[test]
fn it_is_as_long_as_it_was_at_some_moment() {
    model_where_looks_count(3, || {
        let queue = Arc::new(Queue::new());
        queue.push(Box::new(0));
        let theirs = queue.clone();
        let other = thread::spawn(move || {
            theirs.push(Box::new(1));
            take_one(&theirs);
        });
        let (is_empty, len) = (queue.is_empty(), queue.len());
        assert!(!is_empty && (1..=2).contains(&len), "{len}");
        other.join().unwrap();
        assert_eq!(queue.len(), 1);
    });
}

/// There is one order of all that is done to several of them.
#[test]
fn of_two_who_put_in_and_look_into_the_other_one_s_queue_one_finds_something() {
    model(3, || {
        let queues = Arc::new([Queue::new(), Queue::new()]);
        let theirs = queues.clone();
        let other = thread::spawn(move || {
            theirs[1].push(Box::new(1));
            theirs[0].pop().is_some()
        });
        queues[0].push(Box::new(0));
        let found = queues[1].pop().is_some();
        assert!(other.join().unwrap() || found);
    });
}

thread_local! {
    /// Out of which the allocator takes one whenever it is called. (Loom's threads are one thread.)
    static TAKEN_BY_ALLOCATOR: RefCell<Weak<Taken>> = const { RefCell::new(Weak::new()) };
}

struct Taken {
    queue: Queue<Item>,
    items: std::sync::Mutex<Vec<u32>>,
}

fn allocator_is_called() {
    if let Some(taken) = TAKEN_BY_ALLOCATOR.with_borrow(Weak::upgrade)
        && let Some(item) = taken.queue.pop()
    {
        taken.items.lock().unwrap().push(*item);
    }
}

/// It is the program's: it may get events, and wait for what others do. So nobody owes anything while it is called.
#[test]
fn an_allocator_may_take_out_of_the_queue() {
    model(3, || {
        let taken = std::sync::Arc::new(Taken { queue: Queue::new(), items: std::sync::Mutex::default() });
        TAKEN_BY_ALLOCATOR.replace(std::sync::Arc::downgrade(&taken));
        taken.queue.push(Box::new(0));
        let theirs = taken.clone();
        let poster = thread::spawn(move || theirs.queue.push(Box::new(1)));
        taken.queue.push(Box::new(2));
        let mut all = take(&taken.queue, 2);
        all.extend(take(&taken.queue, 2));
        poster.join().unwrap();
        while all.len() < 3 {
            all.extend(taken.queue.pop().map(|item| *item));
            all.append(&mut taken.items.lock().unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
    });
}

/// What is ready, and those who wait for it.
struct Waiting {
    ready: Queue<u32>,
    sleeping: Sleeping,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    asleep: usize,
    /// So many were called, and have not come back.
    called: usize,
}

impl Waiting {
    fn new() -> Arc<Self> {
        let (sleeping, state) = (Sleeping::new(), Mutex::new(State::default()));
        Arc::new(Waiting { ready: Queue::new(), sleeping, state, bell: Condvar::new() })
    }

    fn post(&self, number: u32) {
        self.ready.push(number);
        if self.sleeping.anybody() {
            let mut state = self.state.lock().unwrap();
            if state.called < state.asleep {
                state.called += 1;
                self.bell.notify_one();
            }
        }
    }

    fn get(&self) -> u32 {
        loop {
            if let Some(number) = self.ready.pop() {
                return number;
            }
            let mut state = self.state.lock().unwrap();
            state.asleep += 1;
            self.sleeping.tell(state.asleep);
            if self.ready.is_empty() {
                while state.called == 0 {
                    state = self.bell.wait(state).unwrap();
                }
            }
            state.asleep -= 1;
            state.called = state.called.saturating_sub(1);
            self.sleeping.tell(state.asleep);
        }
    }
}

#[test]
fn who_sleeps_is_called_for_what_is_posted() {
    model(3, || {
        let waiting = Waiting::new();
        let posts = waiting.clone();
        let poster = thread::spawn(move || posts.post(1));
        assert_eq!(waiting.get(), 1);
        poster.join().unwrap();
    });
}

#[test]
fn of_two_posts_none_is_slept_over() {
    model(3, || {
        let waiting = Waiting::new();
        let posters = [1, 2].map(|number| {
            let posts = waiting.clone();
            thread::spawn(move || posts.post(number))
        });
        assert_eq!(waiting.get() + waiting.get(), 3);
        posters.into_iter().for_each(|poster| poster.join().unwrap());
    });
}

/// What was put in before it is closed comes out, and nothing comes in afterwards: also where a block ends.
#[test]
fn nothing_comes_in_once_it_is_closed() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        let (one, two) = (queue.clone(), queue.clone());
        let puts_in =
            thread::spawn(move || (0..3).take_while(|n| one.push_open(Box::new(*n)).is_ok()).count());
        let closes = thread::spawn(move || assert!(two.close()));
        closes.join().unwrap();
        // (It may be on its way still: whoever has reserved a place is waited for.)
        let mut taken = Vec::new();
        while let Some((item, _)) = queue.pop_or_rest() {
            taken.push(*item);
        }
        let many = puts_in.join().unwrap();
        assert!(taken.iter().copied().eq(0..many as u32), "{taken:?} of {many}");
        assert!(queue.is_closed() && !queue.close() && queue.push_open(Box::new(9)).is_err());
    });
}
