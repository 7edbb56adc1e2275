//! A logger is somebody's code: it may spawn, dlopen, panic, and wait for what it has spawned.
#![cfg(not(loom))]

mod common;

use common::{Workers, in_child_with, stderr};
use ec_tasks::{Kind, SpawnOptions, own_thread_locals};
use ec_test_support::limit;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Unkind;

static WORKERS: OnceLock<Workers> = OnceLock::new();
static LINES: AtomicUsize = AtomicUsize::new(0);
thread_local!(static WITHIN: Cell<bool> = const { Cell::new(false) });

impl log::Log for Unkind {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        if WITHIN.replace(true) {
            return;
        }
        LINES.fetch_add(1, Ordering::Relaxed);
        assert_eq!(ec_tasks::crossing(), None);
        assert_eq!(WORKERS.get().unwrap().spawn(|| 7).join().unwrap(), 7);
        assert!(own_thread_locals().is_ok() || std::env::var_os("EVENT_CHANNEL_OWN_TLS").is_some());
        WITHIN.set(false);
        panic!("on purpose");
    }

    fn flush(&self) {}
}

/// The line that says whether tasks have thread-locals of their own comes with the first spawn.
fn first_spawn(test: &str, setting: &str) {
    // (It has a logger of its own.)
    let env = [("EVENT_CHANNEL_OWN_TLS", setting), ("EC_UNKIND_LOGGER", "")];
    let output = in_child_with(test, &env, || {
        limit(60, || {
            log::set_logger(&Unkind).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
            let workers = WORKERS.get_or_init(|| Workers::new(2));
            let task = ec_tasks::spawn(workers.scheduler(), SpawnOptions::new(), || {
                ec_tasks::current().unwrap().kind() == Kind::Dedicated
            });
            let own = own_thread_locals().is_ok();
            assert_eq!(task.unwrap().join().unwrap(), !own);
            // (Where it is known when the program is compiled, nothing is said.)
            let may_have_own = cfg!(all(
                feature = "own-tls",
                target_arch = "x86_64",
                target_env = "gnu",
                not(target_feature = "crt-static"),
            ));
            let known = !may_have_own;
            assert_eq!(LINES.load(Ordering::Relaxed), usize::from(!known));
        });
    });
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_spawning_and_panicking_logger_does_not_disturb_the_first_spawn() {
    first_spawn("a_spawning_and_panicking_logger_does_not_disturb_the_first_spawn", "on");
}

#[test]
fn nor_where_tasks_are_threads() {
    first_spawn("nor_where_tasks_are_threads", "off");
}
