//! Thread-locals are the task's: borrows, references and counts without atomics, over every hop.

use crate::check::Check;
use crate::support::{eventually, hop, hops, many, tasks};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_borrow_of_a_thread_local_is_held_over_hops", a_borrow_is_held),
    Check::new("a_reference_from_with_is_good_over_hops", a_reference_is_good),
    Check::new("a_thread_local_stays_at_its_place_and_no_two_tasks_share_one", no_two_share),
    Check::new("an_rc_in_a_thread_local_counts_right", an_rc_counts_right),
    Check::new("a_lazy_thread_local_is_initialised_once_for_each_task", lazily_once),
    Check::new("an_initialiser_may_hop", an_initialiser_may_hop),
    Check::new("a_const_thread_local_begins_anew_in_each_task", const_begins_anew),
    Check::new("a_plain_threads_thread_locals_are_left_alone", plain_threads_are_left_alone),
    Check::new("many_thread_locals_of_all_sizes", many_of_all_sizes),
    Check::new("once_cells_and_cells_in_thread_locals", once_cells),
    Check::new("a_linked_list_of_rcs_and_weaks_lives_in_a_thread_local", a_list_lives),
];

thread_local! {
    static LIST: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static COUNTED: Rc<Cell<usize>> = Rc::new(Cell::new(0));
    static CONST: Cell<usize> = const { Cell::new(7) };
}

fn a_borrow_is_held() {
    tasks(many(1000), |me| {
        LIST.with(|list| {
            let mut mine = list.borrow_mut();
            for n in 0..20 {
                mine.push(me * 100 + n);
                hop();
                assert!(LIST.with(|again| again.try_borrow().is_err()), "the borrow is lost");
            }
            assert!(mine.iter().copied().eq((0..20).map(|n| me * 100 + n)));
        });
        hop();
        assert_eq!(LIST.take().len(), 20, "nobody else's list");
    });
}

fn a_reference_is_good() {
    thread_local! {
        static NAME: String = format!("made for {}", CONST.get());
    }
    tasks(many(1000), |me| {
        CONST.set(me);
        NAME.with(|name| {
            let expected = format!("made for {me}");
            for _ in 0..20 {
                hop();
                assert_eq!(*name, expected);
                NAME.with(|again| assert!(std::ptr::eq(name, again)));
            }
        });
    });
}

fn no_two_share() {
    let n = many(1000);
    let places = Arc::new((Mutex::new(HashSet::new()), AtomicUsize::new(0)));
    tasks(n, move |_| {
        let place = || CONST.with(|cell| cell.as_ptr() as usize);
        let first = place();
        assert!(places.0.lock().unwrap().insert(first), "two tasks live, one place");
        places.1.fetch_add(1, Ordering::Relaxed);
        // All are alive at the same time.
        eventually(|| places.1.load(Ordering::Relaxed) == n);
        for _ in 0..20 {
            hop();
            assert_eq!(place(), first);
        }
    });
}

fn an_rc_counts_right() {
    tasks(many(1000), |me| {
        let mine = COUNTED.with(Rc::clone);
        mine.set(me);
        let mut held = vec![mine];
        for n in 0..40 {
            hop();
            if n % 3 == 2 {
                drop(held.pop())
            } else {
                held.push(COUNTED.with(Rc::clone))
            }
            assert_eq!(COUNTED.with(Rc::strong_count), held.len() + 1);
            assert_eq!(COUNTED.with(|rc| rc.get()), me);
        }
        drop(held);
        hop();
        assert_eq!(COUNTED.with(Rc::strong_count), 1);
    });
}

fn lazily_once() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LAZY: (usize, Box<usize>) = {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            (number, Box::new(number))
        };
    }
    let (rounds, n) = (3, many(700));
    let seen = Arc::new(Mutex::new(HashSet::new()));
    for _ in 0..rounds {
        let seen = seen.clone();
        tasks(n, move |_| {
            let number = LAZY.with(|lazy| lazy.0);
            assert!(seen.lock().unwrap().insert(number), "another task's value");
            for _ in 0..10 {
                hop();
                LAZY.with(|lazy| assert_eq!((lazy.0, *lazy.1), (number, number)));
            }
        });
    }
    assert_eq!(MADE.load(Ordering::Relaxed), rounds * n);
}

fn an_initialiser_may_hop() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOW: usize = {
            let me = CONST.get();
            hops(5);
            MADE.fetch_add(1, Ordering::Relaxed);
            assert_eq!(CONST.get(), me);
            me
        };
    }
    let n = many(700);
    tasks(n, |me| {
        CONST.set(me);
        for _ in 0..5 {
            assert_eq!(SLOW.with(|slow| *slow), me);
            hop();
        }
    });
    assert_eq!(MADE.load(Ordering::Relaxed), n);
}

fn const_begins_anew() {
    thread_local! {
        // Not zero, so that a block that was only cleared shows; and zero, for one that was not.
        static INITIALISED: [Cell<u64>; 4] = const { [const { Cell::new(0x5eed_0000_0000_0001) }; 4] };
        static ZERO: [Cell<u64>; 4] = const { [const { Cell::new(0) }; 4] };
    }
    for _ in 0..4 {
        tasks(many(500), |me| {
            let me = me as u64;
            for _ in 0..3 {
                assert!(INITIALISED.with(|all| all.iter().all(|cell| cell.get() == 0x5eed_0000_0000_0001)));
                assert!(ZERO.with(|all| all.iter().all(|cell| cell.get() == 0)));
                hop();
            }
            INITIALISED.with(|all| all.iter().for_each(|cell| cell.set(me)));
            ZERO.with(|all| all.iter().for_each(|cell| cell.set(!me)));
            for _ in 0..5 {
                hop();
                assert!(INITIALISED.with(|all| all.iter().all(|cell| cell.get() == me)));
                assert!(ZERO.with(|all| all.iter().all(|cell| cell.get() == !me)));
            }
        });
    }
}

fn plain_threads_are_left_alone() {
    let watch = || {
        CONST.set(1234);
        LIST.with(|list| {
            let held = list.borrow_mut();
            tasks(many(300), |me| {
                CONST.set(me);
                LIST.with_borrow_mut(|list| list.push(me));
                hops(10);
            });
            assert!(held.is_empty());
        });
        assert_eq!(CONST.get(), 1234);
    };
    std::thread::scope(|scope| {
        scope.spawn(watch);
        watch();
    });
}

macro_rules! sized {
    ($($name:ident $size:literal),*) => {
        thread_local! { $(static $name: Cell<[u8; $size]> = const { Cell::new([$size as u8; $size]) };)* }

        fn check_all(byte: Option<u8>) {
            $(assert_eq!($name.get(), [byte.unwrap_or($size as u8); $size]);)*
        }

        fn set_all(byte: u8) {
            $($name.set([byte; $size]);)*
        }
    };
}

sized!(A 1, B 2, C 3, D 5, E 8, F 13, G 21, H 34, I 55, J 89, K 144, L 233, M 252, N 254);

fn many_of_all_sizes() {
    for _ in 0..3 {
        tasks(many(400), |me| {
            check_all(None);
            for n in 0..10 {
                let byte = (me * 31 + n) as u8;
                set_all(byte);
                hop();
                check_all(Some(byte));
            }
        });
    }
}

fn once_cells() {
    thread_local! {
        static ONCE: OnceCell<Rc<usize>> = const { OnceCell::new() };
        static TAKEN: Cell<Option<Box<usize>>> = const { Cell::new(None) };
    }
    for _ in 0..2 {
        tasks(many(500), |me| {
            ONCE.with(|once| {
                assert!(once.get().is_none(), "another task's");
                let mine = once.get_or_init(|| {
                    hop();
                    Rc::new(me)
                });
                for _ in 0..10 {
                    TAKEN.set(Some(Box::new(me)));
                    hop();
                    assert_eq!(TAKEN.take().as_deref(), Some(&me));
                    assert_eq!((**mine, Rc::strong_count(mine)), (me, 1));
                }
            });
        });
    }
}

struct Node {
    value: usize,
    next: RefCell<Option<Rc<Node>>>,
    previous: RefCell<Weak<Node>>,
}

fn a_list_lives() {
    thread_local! {
        static HEAD: RefCell<Option<Rc<Node>>> = const { RefCell::new(None) };
    }
    tasks(many(500), |me| {
        for n in 0..30 {
            let next = HEAD.take();
            let node = Rc::new(Node {
                value: me + n,
                next: RefCell::default(),
                previous: RefCell::new(Weak::new()),
            });
            if let Some(next) = &next {
                hop();
                *next.previous.borrow_mut() = Rc::downgrade(&node);
            }
            *node.next.borrow_mut() = next;
            HEAD.set(Some(node));
            hop();
        }
        let (mut expected, mut at) = (me + 29, HEAD.with_borrow(|head| head.clone().unwrap()));
        assert_eq!(Rc::strong_count(&at), 2);
        loop {
            assert_eq!(at.value, expected);
            if let Some(previous) = at.previous.borrow().upgrade() {
                assert_eq!(previous.value, expected + 1);
            }
            hop();
            let Some(next) = at.next.borrow().clone() else { break };
            (at, expected) = (next, expected - 1);
        }
        assert_eq!(expected, me);
    });
}
