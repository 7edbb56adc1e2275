//! The attributes `event_channel::main` and `event_channel::test`: what they accept, and what becomes of it. What they refuse is in
//! `macros_misuse.rs`.
//!
//! The ignored tests here are run by others, which look at what comes of them, most of them in a process of their own.
#![cfg(feature = "macros")]

use ec_test_support::{limit, refuse, skipped, this_test_again, went_well};
use ec_unkind as _;
use event_channel::Runtime;
use event_channel::channel::Driver;
use event_channel::runtime::Handle;
use std::process::Output;
use std::sync::Mutex;

fn here() -> Driver {
    Runtime::current().expect("it is a task").channel().driver().kind()
}

/// Those that this machine has and the environment does not exclude.
fn drivers() -> Vec<Driver> {
    let named = std::env::var("EVENT_CHANNEL_DRIVER").unwrap_or_default();
    let wanted = Driver::ALL.into_iter().filter(|driver| named.is_empty() || named == driver.name());
    wanted.filter(|driver| Runtime::builder().cores(1).driver(*driver).build().is_ok()).collect()
}

/// A case, which is an ignored test, in a process of its own.
fn child(case: &str, variables: &[(&str, &str)]) -> Output {
    let mut child = this_test_again(case).expect("it is no case itself");
    limit(60, || child.arg("--ignored").envs(variables.iter().copied()).output().unwrap())
}

/// The process is a case's. (Those that fail by intention do it there only.)
fn is_child(case: &str) -> bool {
    this_test_again(case).is_none()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

mod cases {
    use super::*;
    use event_channel::{metrics, task};
    use std::error::Error;
    use std::rc::Rc;

    pub static RAN: Mutex<Vec<(Driver, Handle)>> = Mutex::new(Vec::new());

    #[event_channel::test]
    #[ignore = "another test calls it"]
    pub fn notes_its_driver() {
        let driver = here();
        assert_eq!(task::current().name().unwrap(), format!("cases::notes_its_driver on {driver}"));
        eprintln!("noted: {driver}");
        RAN.lock().unwrap().push((driver, Runtime::current().unwrap()));
    }

    #[event_channel::test(driver = "epoll")]
    #[ignore = "another test calls it"]
    pub fn leaves_a_task_behind() {
        drop(task::Builder::new().name("stubborn".into()).spawn(task::park).unwrap());
    }

    #[event_channel::test]
    #[ignore = "it fails, in a process of its own"]
    fn fails_on_epoll() {
        assert!(here() != Driver::Epoll || !is_child("cases::fails_on_epoll"), "on purpose");
    }

    #[event_channel::test]
    #[ignore = "it fails, in a process of its own"]
    fn returns_an_error() -> Result<(), Box<dyn Error>> {
        match here() {
            Driver::Epoll if is_child("cases::returns_an_error") => Err("on purpose".into()),
            _ => Ok(()),
        }
    }

    #[event_channel::test]
    #[should_panic]
    #[ignore = "it fails, in a process of its own"]
    fn does_not_panic_on_epoll() {
        assert!(here() == Driver::Epoll && is_child("cases::does_not_panic_on_epoll"), "on the others");
    }

    #[event_channel::test]
    #[should_panic(expected = "these words")]
    #[ignore = "it fails, in a process of its own"]
    fn panics_with_other_words_on_epoll() {
        let other = here() == Driver::Epoll && is_child("cases::panics_with_other_words_on_epoll");
        panic!("{}", if other { "with others" } else { "with these words" });
    }

    // What follows passes, and is no case.

    #[event_channel::test]
    #[should_panic]
    fn may_panic() {
        panic!("as it should");
    }

    #[event_channel::test]
    #[should_panic = "as it should"]
    fn may_panic_with_words() {
        panic!("{} as it should", here());
    }

    #[event_channel::test(cores = 1)]
    fn may_return_what_is_bound_to_its_thread() -> Result<(), Rc<str>> {
        let words: Rc<str> = "not Send".into();
        if words.is_empty() { Err(words) } else { Ok(()) }
    }

    #[event_channel::test(cores = 1)]
    fn may_return_any_termination() -> impl std::process::Termination {
        std::process::ExitCode::SUCCESS
    }

    const CORES: usize = 1;

    #[event_channel::test(cores = CORES + 2, max_threads = 3 + CORES * 8, stack_size = 1 << 20, driver = "poll")]
    fn takes_any_expression() {
        assert_eq!((here(), metrics().cores), (Driver::Poll, 3));
        // More than a stack is by default.
        let large = [here() as u8; 512 * 1024];
        assert!(std::hint::black_box(large).iter().all(|byte| *byte == here() as u8));
    }

    fn size<A, B>() -> usize {
        size_of::<A>() + size_of::<B>()
    }

    trait Size<A, B> {
        const SIZE: usize = size_of::<A>() + size_of::<B>();
    }
    impl<A, B> Size<A, B> for () {}

    type Pair<A, B> = <(A, B) as Second>::Second;
    trait Second {
        type Second;
    }
    impl<A, B> Second for (A, B) {
        type Second = B;
    }

    #[event_channel::test(
        cores = size::<Result<u8, Vec<u8>>, u8>() / size::<fn(u8, u8) -> u8, u64>() + <() as Size<u8, u8>>::SIZE,
        max_threads = if CORES < 2 { 1 << 3 } else { 1 } as Pair<u8, usize>,
        keep_alive = std::time::Duration::from_secs(if 1 > <() as Size<u8, u8>>::SIZE { 1 } else { 2 }),
        stack_size = (1_usize, 1 << 20).1 + size::<u8, u8>() * 4096,
        driver = "poll",
    )]
    fn takes_an_expression_with_generics() {
        assert_eq!((here(), metrics().cores), (Driver::Poll, 3));
    }

    macro_rules! on {
        ($name:ident: $cores:expr, $driver:literal, $crate_path:path, $($others:meta),*) => {
            #[event_channel::test(cores = 2 * $cores + 10 % std::convert::identity($cores * 2), driver = $driver, crate = $crate_path, $($others),*)]
            fn $name() {
                assert_eq!((here(), metrics().cores), (Driver::Poll, 10));
            }
        };
    }
    on!(takes_what_a_macro_was_given: size::<u8, u8>() + 1, "poll", ::event_channel, max_threads = 20, stack_size = 1 << 20);
}

#[test]
fn a_test_runs_once_on_each_driver_on_a_runtime_of_its_own_that_ends_with_it() {
    limit(60, || {
        cases::notes_its_driver();
        let ran = std::mem::take(&mut *cases::RAN.lock().unwrap());
        assert_eq!(ran.iter().map(|(driver, _)| *driver).collect::<Vec<_>>(), drivers());
        for (driver, runtime) in ran {
            let late = runtime.spawn_with(event_channel::task::Builder::new(), || ());
            assert!(late.is_err(), "the runtime on {driver} goes on");
        }
    });
}

#[test]
fn a_panic_and_an_error_name_the_driver() {
    if !drivers().contains(&Driver::Epoll) {
        return skipped("epoll is not to be used");
    }
    let panicked = child("cases::fails_on_epoll", &[]);
    let said = said(&panicked);
    assert!(!panicked.status.success(), "{said}");
    assert!(said.contains("task 'cases::fails_on_epoll on epoll' (id "), "{said}");
    assert!(said.contains("the test cases::fails_on_epoll has panicked on epoll"), "{said}");

    let failed = child("cases::returns_an_error", &[]);
    let said = self::said(&failed);
    assert!(!failed.status.success(), "{said}");
    assert!(said.contains("Error: \"on purpose\""), "{said}");
    assert!(said.contains("the test cases::returns_an_error returned an error on epoll"), "{said}");
}

#[test]
fn a_test_that_should_panic_has_to_on_each_driver() {
    if !drivers().contains(&Driver::Epoll) {
        return skipped("epoll is not to be used");
    }
    let went_well = child("cases::does_not_panic_on_epoll", &[]);
    let said = said(&went_well);
    assert!(!went_well.status.success() && said.contains("and did not on "), "{said}");
    assert!(said.contains("test did not panic as expected"), "{said}");

    let other_words = child("cases::panics_with_other_words_on_epoll", &[]);
    let said = self::said(&other_words);
    assert!(!other_words.status.success() && said.contains("has panicked on epoll"), "{said}");
    assert!(said.contains("panic did not contain expected string"), "{said}");
}

#[test]
fn an_ignored_test_is_left_out() {
    let mut child = this_test_again("cases::notes_its_driver").unwrap();
    let output = limit(60, || child.output().unwrap());
    let said = said(&output);
    assert!(output.status.success() && said.contains("1 ignored") && !said.contains("noted: "), "{said}");
}

#[test]
fn the_environment_says_which_drivers() {
    let only_poll = child("cases::notes_its_driver", &[("EVENT_CHANNEL_DRIVER", "poll")]);
    let said = said(&only_poll);
    assert!(only_poll.status.success() && said.matches("noted: ").count() == 1, "{said}");
    assert!(said.contains("noted: poll"), "{said}");
    assert!(said.contains("is skipped on epoll: EVENT_CHANNEL_DRIVER is poll"), "{said}");

    let variables = [("EVENT_CHANNEL_DRIVER", ""), ("EVENT_CHANNEL_EXCLUDE", "io_uring, epoll")];
    let not_those = child("cases::notes_its_driver", &variables);
    let said = self::said(&not_those);
    assert!(not_those.status.success() && said.matches("noted: ").count() == 1, "{said}");
    assert!(said.contains("is skipped on io_uring: EVENT_CHANNEL_EXCLUDE is io_uring, epoll"), "{said}");

    let unknown = child("cases::notes_its_driver", &[("EVENT_CHANNEL_DRIVER", "pool")]);
    let said = self::said(&unknown);
    assert!(
        !unknown.status.success() && said.contains("no event channel driver is called \"pool\""),
        "{said}"
    );

    // One that asks for another driver has nothing to do.
    let another = child("cases::leaves_a_task_behind", &[("EVENT_CHANNEL_DRIVER", "poll")]);
    let said = self::said(&another);
    assert!(another.status.success() && said.contains("is skipped on epoll"), "{said}");
}

#[test]
fn a_driver_that_the_machine_refuses_is_skipped_with_the_reason() {
    const NAME: &str = "a_driver_that_the_machine_refuses_is_skipped_with_the_reason";
    if let Some(mut child) = this_test_again(NAME) {
        let output = limit(60, || child.env_remove("EVENT_CHANNEL_DRIVER").output().unwrap());
        let said = said(&output);
        let skips = said.contains("notes_its_driver is skipped on io_uring: ")
            && said.contains("Operation not permitted");
        assert!(skips || said.contains(" is skipped: "), "{said}");
        return went_well(Some(output));
    }
    if !refuse(&[libc::SYS_io_uring_setup], libc::EPERM) {
        return skipped("system calls cannot be refused here");
    }
    cases::notes_its_driver();
    let ran: Vec<_> = cases::RAN.lock().unwrap().iter().map(|(driver, _)| *driver).collect();
    assert_eq!(ran, [Driver::Epoll, Driver::Poll]);
}

#[test]
fn a_task_that_outlasts_a_test_is_named() {
    let output = child("cases::leaves_a_task_behind", &[("EVENT_CHANNEL_DRIVER", "epoll")]);
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("after the test cases::leaves_a_task_behind on epoll: "), "{said}");
    assert!(said.contains("stubborn"), "{said}");
}
