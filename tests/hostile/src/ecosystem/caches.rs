//! Small libraries with something for each thread: scoped-tls, thread_local, regex, once_cell.

use crate::check::Check;
use crate::support::{hop, hops, many, tasks};
use once_cell::unsync;
use regex::Regex;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use thread_local::ThreadLocal;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_scoped_thread_local_is_its_tasks_and_ends_with_its_scope", scoped),
    Check::new("a_thread_local_object_has_a_value_for_each_task", per_object),
    Check::new("a_regex_is_used_by_tasks_that_hop_between_matches", regexes),
    Check::new("a_once_cell_lazy_value_is_each_tasks", lazies),
];

scoped_tls::scoped_thread_local!(static SCOPED: RefCell<Vec<usize>>);

/// With a thread-local of the worker another task would find a pointer into a frame that is gone.
fn scoped() {
    tasks(many(1000), |me| {
        for n in 0..10 {
            assert!(!SCOPED.is_set(), "another task's scope");
            let value = RefCell::new(vec![me, n]);
            SCOPED.set(&value, || {
                hop();
                SCOPED.with(|seen| {
                    assert!(std::ptr::eq(seen, &value));
                    let mut held = seen.borrow_mut();
                    hop();
                    held.push(me + n);
                });
                let inner = RefCell::new(vec![n]);
                SCOPED.set(&inner, hop);
                SCOPED.with(|seen| assert_eq!(*seen.borrow(), [me, n, me + n]));
            });
            hop();
            assert_eq!(value.into_inner(), [me, n, me + n]);
        }
    });
}

fn per_object() {
    let object = Arc::new(ThreadLocal::<RefCell<usize>>::new());
    let (rounds, n) = (3, many(700));
    for _ in 0..rounds {
        let object = object.clone();
        tasks(n, move |_| {
            let mine = object.get_or_default();
            for _ in 0..10 {
                let mut held = mine.try_borrow_mut().expect("nobody else has this value now");
                *held += 1;
                hop();
                assert!(std::ptr::eq(mine, object.get_or_default()));
                drop(held);
                hop();
            }
        });
    }
    // The values outlive their tasks, and later ones go on with them.
    let mut object = Arc::into_inner(object).expect("the tasks have ended");
    assert_eq!(object.iter_mut().map(|value| *value.get_mut()).sum::<usize>(), rounds * n * 10);
    let values = object.iter_mut().count();
    assert!((1..=rounds * n).contains(&values));
}

fn regexes() {
    let regex = Arc::new(Regex::new(r"(?P<word>[a-z]+)-(?P<number>\d+)").expect("a regex"));
    // The first to use it is its owner, and has its cache for itself.
    assert!(regex.is_match("main-1"));
    tasks(many(500), move |me| {
        let text = (0..12).map(|n| format!("word-{}", me * 100 + n)).collect::<Vec<_>>().join(", ");
        for (n, found) in regex.captures_iter(&text).enumerate() {
            hop();
            assert_eq!(&found["word"], "word");
            assert_eq!(found["number"].parse(), Ok(me * 100 + n));
            // A second search while the first is under way.
            assert_eq!(regex.find(&text[n..]).map(|inner| inner.is_empty()), Some(false));
        }
        assert_eq!(regex.captures_iter(&text).count(), 12);
    });
}

fn lazies() {
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(0) };
        static CELL: unsync::OnceCell<String> = const { unsync::OnceCell::new() };
        static LAZY: unsync::Lazy<Vec<usize>> = unsync::Lazy::new(|| {
            hops(2);
            vec![MINE.get(); 10]
        });
    }
    for _ in 0..2 {
        tasks(many(700), |me| {
            MINE.set(me);
            CELL.with(|cell| {
                assert_eq!(cell.get(), None, "an earlier task's value");
                let mine = cell.get_or_init(|| {
                    hop();
                    me.to_string()
                });
                LAZY.with(|lazy| {
                    hop();
                    assert_eq!(**lazy, [me; 10]);
                });
                hop();
                assert_eq!(*mine, me.to_string());
            });
        });
    }
}
