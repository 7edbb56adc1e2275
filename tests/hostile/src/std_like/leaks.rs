//! What safe code may do and well-behaved code does not: leak, forget, drop elsewhere, cancel in the middle.

use crate::check::Check;
use crate::support::{eventually, hop, hops, many, spawn, tasks};
use event_channel::net::UdpSocket;
use event_channel::{Cancelled, task};
use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_leaked_join_handle_costs_its_task_nothing", a_leaked_handle),
    Check::new("a_forgotten_borrow_is_forgotten_with_its_task", a_forgotten_borrow),
    Check::new("a_leaked_value_of_a_thread_local_harms_nobody", a_leaked_value),
    Check::new(
        "a_result_dropped_by_who_joins_sees_the_joiners_thread_locals",
        a_result_dropped_by_the_joiner,
    ),
    Check::new("a_result_that_nobody_takes_is_dropped_once", a_result_nobody_takes),
    Check::new("a_value_sent_elsewhere_is_dropped_with_that_ones_thread_locals", a_value_sent_elsewhere),
    Check::new("a_task_cancelled_in_the_middle_keeps_its_thread_locals", cancelled_in_the_middle),
    Check::new("a_task_may_end_with_everything_it_has_forgotten", everything_forgotten),
];

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(0) };
    static LIST: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static COUNTED: Rc<Cell<usize>> = Rc::new(Cell::new(0));
}

/// Reads a thread-local of whoever drops it, and tells what it saw.
struct SeesWhere {
    seen: mpsc::Sender<usize>,
    list: bool,
}

impl Drop for SeesWhere {
    fn drop(&mut self) {
        if self.list {
            LIST.with_borrow_mut(|list| list.push(MINE.get()));
        }
        let _ = self.seen.send(MINE.get());
    }
}

fn a_leaked_handle() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    let n = many(1000);
    for me in 0..n {
        mem::forget(spawn(move || {
            MINE.set(me);
            hops(5);
            assert_eq!(MINE.get(), me);
            ENDED.fetch_add(1, Ordering::Relaxed);
            vec![me; 10]
        }));
    }
    eventually(|| ENDED.load(Ordering::Relaxed) == n);
}

fn a_forgotten_borrow() {
    for _ in 0..4 {
        tasks(many(700), |me| {
            LIST.with(|list| {
                let mut mine =
                    list.try_borrow_mut().expect("a task that has ended has nothing borrowed here");
                mine.push(me);
                hop();
                mem::forget(mine);
                hop();
                assert!(list.try_borrow().is_err());
            });
            hop();
            assert!(LIST.with(|list| list.try_borrow_mut().is_err()));
        });
    }
}

fn a_leaked_value() {
    for _ in 0..3 {
        tasks(many(700), |me| {
            let mine = COUNTED.with(Rc::clone);
            assert_eq!(Rc::strong_count(&mine), 2, "the count of an earlier task");
            mine.set(me);
            hop();
            mem::forget(mine);
            // For ever, while the thread-local drops its own.
            let leaked: &'static RefCell<Vec<usize>> = Box::leak(Box::new(RefCell::new(vec![me])));
            hop();
            leaked.borrow_mut().push(COUNTED.with(|rc| rc.get()));
            assert_eq!(*leaked.borrow(), [me, me]);
        });
    }
}

fn a_result_dropped_by_the_joiner() {
    tasks(many(500), |me| {
        MINE.set(me);
        let (seen, saw) = mpsc::channel();
        let other = spawn(move || {
            MINE.set(usize::MAX);
            hop();
            SeesWhere { seen, list: true }
        });
        hop();
        drop(other.join());
        assert_eq!(saw.try_recv(), Ok(me));
        assert_eq!(LIST.take(), [me]);
    });
}

/// By the task or by who drops the handle: somewhere with thread-locals that work.
fn a_result_nobody_takes() {
    let (seen, saw) = mpsc::channel();
    let n = many(1000);
    let all: Vec<_> = (0..n)
        .map(|me| {
            let seen = seen.clone();
            spawn(move || {
                MINE.set(me + 1);
                hops(me % 5);
                SeesWhere { seen, list: true }
            })
        })
        .collect();
    drop(seen);
    for (me, task) in all.into_iter().enumerate() {
        if me % 2 == 0 {
            eventually(|| task.is_finished());
        }
        drop(task);
    }
    assert_eq!(saw.into_iter().count(), n);
}

fn a_value_sent_elsewhere() {
    let (to_thread, values) = mpsc::channel::<SeesWhere>();
    let thread = std::thread::spawn(move || {
        MINE.set(777);
        values.into_iter().for_each(|value| {
            assert_eq!(MINE.get(), 777);
            drop(value);
        });
        LIST.take().len()
    });
    let basket: Arc<Mutex<Vec<SeesWhere>>> = Arc::default();
    let to_thread = Mutex::new(to_thread);
    let n = many(600);
    tasks(n, move |me| {
        MINE.set(me + 1000);
        let (seen, saw) = mpsc::channel();
        let value = SeesWhere { seen, list: true };
        hop();
        if me % 2 == 0 {
            to_thread.lock().unwrap().send(value).unwrap();
            eventually(|| match saw.try_recv() {
                Ok(seen) => {
                    assert_eq!(seen, 777);
                    true
                }
                Err(_) => false,
            });
        } else {
            // Whoever comes next drops it.
            let before = basket.lock().unwrap().pop();
            let (held, count) = (usize::from(before.is_some()), LIST.with_borrow(Vec::len));
            drop(before);
            assert_eq!(LIST.with_borrow(Vec::len), count + held);
            basket.lock().unwrap().push(value);
        }
        hop();
        assert_eq!(MINE.get(), me + 1000);
    });
    assert_eq!(thread.join().ok(), Some(n.div_ceil(2)));
}

fn cancelled_in_the_middle() {
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    // Each has a descriptor.
    let n = many(300);
    let all: Vec<_> = (0..n)
        .map(|me| {
            spawn(move || {
                MINE.set(me);
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
                LIST.with(|list| {
                    let mut mine = list.borrow_mut();
                    WAITING.fetch_add(1, Ordering::Relaxed);
                    let error = socket.recv_from(&mut [0; 8]).expect_err("nobody sends");
                    assert!(error.get_ref().is_some_and(|error| error.is::<Cancelled>()), "{error}");
                    assert!(task::is_cancelled());
                    mine.push(me);
                    hop();
                    assert!(LIST.with(|list| list.try_borrow().is_err()));
                });
                assert_eq!((MINE.get(), LIST.take()), (me, vec![me]));
            })
        })
        .collect();
    eventually(|| WAITING.load(Ordering::Relaxed) == n);
    all.iter().for_each(|task| task.cancel());
    all.into_iter().for_each(|task| task.join().expect("it goes on when it is cancelled"));
}

fn everything_forgotten() {
    for _ in 0..5 {
        tasks(many(500), |me| {
            let counted = COUNTED.with(Rc::clone);
            counted.set(me);
            let mutex: &'static Mutex<usize> = Box::leak(Box::new(Mutex::new(me)));
            mem::forget(mutex.lock());
            mem::forget(counted);
            LIST.with(|list| mem::forget(list.borrow_mut()));
            mem::forget(std::thread::current());
            mem::forget(spawn(hop));
            hop();
            assert!(mutex.try_lock().is_err());
        });
    }
}
