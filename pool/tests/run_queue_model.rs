//! The run queues, model-checked by loom against the production source, with rings of two slots and entries of two words.
//!
//! An entry that comes out twice or not at all shows in the count, one whose words do not belong together as it comes out; a list that
//! two change at once loom reports by itself.
#![cfg(loom)]

// The files under test are the ones the pool is built from; loom brings its primitives.
#[allow(dead_code)]
#[path = "../src/core/run_queue/mod.rs"]
mod run_queue;

mod model;

mod sync {
    /// (The spin lock has a model of its own.)
    pub(crate) use crate::model::Mutex as SpinLock;
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering, fence};
    use std::ops::Deref;

    /// Cache lines are not modelled.
    pub(crate) struct CachePadded<T>(T);

    impl<T> CachePadded<T> {
        pub(crate) fn new(value: T) -> Self {
            CachePadded(value)
        }
    }

    impl<T> Deref for CachePadded<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}

use ec_test_support::limit;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use model::explore;
use run_queue::fifo::{Fifo, FifoStealer};
use run_queue::lifo::{Lifo, LifoStealer};
use run_queue::list::List;
use run_queue::{Entry, Link};

/// An entry: where it is in memory, and the same once more in disguise. In the model it stays for ever.
struct Item(&'static Node);

struct Node {
    number: usize,
    link: Link,
}

const DISGUISE: usize = 0x5a5a;

impl Item {
    fn new(number: usize) -> Item {
        let link = [AtomicUsize::new(0), AtomicUsize::new(0)];
        Item(Box::leak(Box::new(Node { number, link })))
    }
}

// SAFETY: a node stays for ever, and only the queue uses its link.
unsafe impl Entry for Item {
    type Words = [usize; 2];

    fn into_words(self) -> [usize; 2] {
        let place = std::ptr::from_ref(self.0) as usize;
        [place, place ^ DISGUISE]
    }

    unsafe fn from_words([place, second]: [usize; 2]) -> Item {
        assert_eq!(place ^ DISGUISE, second, "two words of one entry");
        // SAFETY: by contract.
        unsafe { Item::from_name(place) }
    }

    unsafe fn from_name(place: usize) -> Item {
        // SAFETY: made in `into_words`, and a node stays for ever.
        Item(unsafe { &*(place as *const Node) })
    }

    unsafe fn link<'a>(place: usize) -> &'a Link {
        // SAFETY: as above.
        unsafe { &(*(place as *const Node)).link }
    }
}

fn numbers(items: impl IntoIterator<Item = Item>) -> Vec<usize> {
    items.into_iter().map(|item| item.0.number).collect()
}

/// Each of `all` came out once.
fn all_came_once(all: usize, came: impl IntoIterator<Item = Vec<usize>>) {
    let mut came: Vec<usize> = came.into_iter().flatten().collect();
    came.sort_unstable();
    assert_eq!(came, (0..all).collect::<Vec<_>>(), "each comes out once");
}

type First = Fifo<Item, 2>;
type Last = Lifo<Item, 2>;

fn fifo(count: usize) -> First {
    let queue = First::new();
    (0..count).for_each(|number| queue.push(Item::new(number)));
    queue
}

fn lifo(count: usize) -> Last {
    let queue = Last::new();
    (0..count).for_each(|number| queue.push(Item::new(number)));
    queue
}

fn thief_of_fifo(end: FifoStealer<Item, 2>) -> thread::JoinHandle<Vec<usize>> {
    thread::spawn(move || numbers(end.steal()))
}

fn thief_of_lifo(end: LifoStealer<Item, 2>) -> thread::JoinHandle<Vec<usize>> {
    thread::spawn(move || numbers(end.steal()))
}

fn pop_all(pop: impl Fn() -> Option<Item>) -> Vec<usize> {
    numbers(std::iter::from_fn(pop))
}

/// What came out is in order.
fn ascends(came: &[usize]) {
    assert!(came.is_sorted(), "first in, first out: {came:?}");
}

#[test]
fn by_themselves_the_queues_keep_their_orders() {
    limit(20, || {
        explore(1, || {
            let first = fifo(7);
            assert_eq!(first.len(), 7);
            assert_eq!(pop_all(|| first.pop()), [0, 1, 2, 3, 4, 5, 6]);
            let last = lifo(7);
            assert_eq!(last.len(), 7);
            assert_eq!(numbers(last.pop_oldest()), [0]);
            assert_eq!(pop_all(|| last.pop()), [6, 5, 4, 3, 2, 1]);
            let stolen = lifo(7);
            assert_eq!(numbers(stolen.stealer().steal()), [0, 1, 2, 3]);
            let stolen = fifo(7);
            assert_eq!(numbers(stolen.stealer().steal()), [0]);
            assert_eq!(numbers(stolen.stealer().steal()), [1]);
            assert_eq!(numbers(stolen.stealer().steal()), [2, 3, 4]);
        });
    });
}

#[test]
fn a_thief_sees_whole_what_is_pushed_meanwhile() {
    limit(120, || {
        explore(3, || {
            let (first, last) = (fifo(0), lifo(0));
            let thieves = [thief_of_fifo(first.stealer()), thief_of_lifo(last.stealer())];
            first.push(Item::new(0));
            last.push(Item::new(1));
            last.push(Item::new(2));
            let mut own = numbers(last.pop());
            own.extend(pop_all(|| first.pop()));
            own.extend(pop_all(|| last.pop()));
            let [a, b] = thieves.map(|thief| thief.join().unwrap());
            all_came_once(3, [own, a, b]);
        });
    });
}

#[test]
fn first_in_is_first_out_while_another_steals() {
    limit(120, || {
        let ends = explore(3, || {
            let queue = fifo(1);
            let thief = thief_of_fifo(queue.stealer());
            let mut came = Vec::new();
            // The ring overflows, unless the thief is quick.
            for number in 1..4 {
                queue.push(Item::new(number));
            }
            came.extend(pop_all(|| queue.pop()));
            ascends(&came);
            let stolen = thief.join().unwrap();
            ascends(&stolen);
            all_came_once(4, [came, stolen.clone()]);
            stolen.len()
        });
        assert_eq!(ends, [0, 1], "it gets its share, or comes too late");
    });
}

#[test]
fn two_thieves_of_a_fifo_share_with_its_owner() {
    limit(300, || {
        explore(2, || {
            let queue = fifo(3);
            let thieves = [thief_of_fifo(queue.stealer()), thief_of_fifo(queue.stealer())];
            let own = pop_all(|| queue.pop());
            ascends(&own);
            let stolen = thieves.map(|thief| thief.join().unwrap());
            let [a, b] = stolen;
            all_came_once(3, [own, a, b]);
        });
    });
}

/// The slots are used again while a slow thief still looks at what was there.
#[test]
fn a_slow_thief_of_a_fifo_gets_nothing_that_has_gone() {
    limit(300, || {
        explore(3, || {
            let queue = fifo(2);
            let thief = thief_of_fifo(queue.stealer());
            let mut own = numbers(queue.pop());
            queue.push(Item::new(2));
            own.extend(numbers(queue.pop()));
            queue.push(Item::new(3));
            own.extend(pop_all(|| queue.pop()));
            ascends(&own);
            all_came_once(4, [own, thief.join().unwrap()]);
        });
    });
}

#[test]
fn a_look_ahead_shows_what_is_or_was_in_the_queue() {
    limit(120, || {
        explore(3, || {
            let queue = fifo(3);
            let thief = thief_of_fifo(queue.stealer());
            for [place, second] in queue.look(32) {
                assert_eq!(place ^ DISGUISE, second);
            }
            all_came_once(3, [pop_all(|| queue.pop()), thief.join().unwrap()]);
        });
    });
}

#[test]
fn the_last_one_of_a_lifo_has_one_taker() {
    limit(120, || {
        let ends = explore(3, || {
            let queue = lifo(1);
            let thief = thief_of_lifo(queue.stealer());
            let own = pop_all(|| queue.pop());
            let stolen = thief.join().unwrap();
            all_came_once(1, [own, stolen.clone()]);
            stolen.len()
        });
        assert_eq!(ends, [0, 1]);
    });
}

#[test]
fn two_thieves_of_a_lifo_share_with_its_owner() {
    limit(300, || {
        explore(2, || {
            let queue = lifo(2);
            let thieves = [thief_of_lifo(queue.stealer()), thief_of_lifo(queue.stealer())];
            let own = pop_all(|| queue.pop());
            let [a, b] = thieves.map(|thief| thief.join().unwrap());
            all_came_once(2, [own, a, b]);
        });
    });
}

#[test]
fn a_lifo_overflows_and_is_refilled_while_another_steals() {
    limit(300, || {
        explore(2, || {
            let queue = lifo(1);
            let thief = thief_of_lifo(queue.stealer());
            for number in 1..4 {
                queue.push(Item::new(number));
            }
            let own = pop_all(|| queue.pop());
            assert!(own.is_sorted_by(|a, b| a > b), "last in, first out: {own:?}");
            let stolen = thief.join().unwrap();
            all_came_once(4, [own, stolen]);
        });
    });
}

#[test]
fn a_slow_thief_of_a_lifo_gets_nothing_that_has_gone() {
    limit(300, || {
        explore(3, || {
            let queue = lifo(2);
            let thief = thief_of_lifo(queue.stealer());
            let mut own = numbers(queue.pop());
            queue.push(Item::new(2));
            own.extend(numbers(queue.pop_oldest()));
            queue.push(Item::new(3));
            own.extend(pop_all(|| queue.pop()));
            all_came_once(4, [own, thief.join().unwrap()]);
        });
    });
}

/// One that nobody takes, while its owner moves it from the list to the ring, is seen all the time.
#[test]
fn a_fifo_in_which_one_waits_never_looks_empty() {
    limit(300, || {
        explore(3, || {
            let queue = fifo(4);
            let end = queue.stealer();
            let observer = thread::spawn(move || end.is_empty());
            let own = numbers((0..3).filter_map(|_| queue.pop()));
            assert_eq!(own, [0, 1, 2]);
            assert!(!observer.join().unwrap(), "somebody would sleep over it");
        });
    });
}

/// As above, from the ring to the list and back.
#[test]
fn a_lifo_in_which_one_waits_never_looks_empty() {
    limit(300, || {
        explore(4, || {
            let queue = lifo(2);
            let end = queue.stealer();
            let observer = thread::spawn(move || end.is_empty());
            for number in 2..4 {
                queue.push(Item::new(number));
            }
            let own = numbers((0..3).filter_map(|_| queue.pop()));
            assert_eq!(own, [3, 2, 1]);
            assert!(!observer.join().unwrap(), "somebody would sleep over it");
        });
    });
}

#[test]
fn what_anybody_puts_into_a_list_comes_out_once() {
    limit(300, || {
        explore(2, || {
            let list = Arc::new(List::new());
            let pushers = [0, 2].map(|first| {
                let list = list.clone();
                thread::spawn(move || {
                    list.push_back(Item::new(first));
                    list.push_back(Item::new(first + 1));
                })
            });
            let mut came = numbers(list.pop_batch(|len| len));
            for pusher in pushers {
                pusher.join().unwrap();
            }
            came.extend(numbers(list.pop_front()));
            came.extend(numbers(list.pop_batch(|len| len)));
            all_came_once(4, [came]);
            assert!(list.is_empty());
        });
    });
}

/// A place for the one that shall run next, which thieves leave alone until it has been there for a while: it can be put in front of a
/// queue as it stands.
struct Next {
    place: AtomicUsize,
    old: AtomicBool,
}

impl Next {
    fn take(&self) -> Option<Item> {
        let place = self.place.swap(0, Ordering::AcqRel);
        // SAFETY: put there by `put`, and taken once.
        (place != 0).then(|| unsafe { Item::from_name(place) })
    }

    /// Gives back the one that was there.
    fn put(&self, item: Item) -> Option<Item> {
        self.old.store(false, Ordering::Relaxed);
        let before = self.place.swap(item.into_words()[0], Ordering::AcqRel);
        // SAFETY: as above.
        (before != 0).then(|| unsafe { Item::from_name(before) })
    }
}

#[test]
fn a_place_before_the_queue_loses_nothing() {
    limit(300, || {
        explore(3, || {
            let queue = fifo(0);
            let next = Arc::new(Next { place: AtomicUsize::new(0), old: AtomicBool::new(false) });
            assert!(next.put(Item::new(0)).is_none());
            let thief = {
                let (end, next) = (queue.stealer(), next.clone());
                thread::spawn(move || {
                    let mut came = numbers(end.steal());
                    if next.old.load(Ordering::Relaxed) {
                        came.extend(numbers(next.take()));
                    }
                    came
                })
            };
            // Time passes.
            next.old.store(true, Ordering::Relaxed);
            if let Some(before) = next.put(Item::new(1)) {
                queue.push(before);
            }
            let own = pop_all(|| next.take().or_else(|| queue.pop()));
            all_came_once(2, [own, thief.join().unwrap()]);
        });
    });
}
