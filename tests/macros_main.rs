//! The attribute `event_channel::main`; and both attributes in surroundings that are not kind to macros.
#![cfg(feature = "macros")]

extern crate event_channel as renamed;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::{Runtime, metrics, task};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;

/// What a program has found.
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn find(what: impl ToString) {
    FOUND.lock().unwrap().push(what.to_string());
}

/// What these programs find, one at a time.
fn found_by(programs: &[fn() -> ExitCode]) -> Vec<String> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    limit(60, || programs.iter().for_each(|program| assert_eq!(program(), ExitCode::SUCCESS)));
    std::mem::take(&mut *FOUND.lock().unwrap())
}

/// Where the program is.
fn place() -> String {
    let current = task::current();
    let driver = Runtime::current().expect("it is a task").channel().driver().kind();
    format!("{} of {} on {driver}", current.name().unwrap_or("nobody"), metrics().cores)
}

mod plain {
    #[event_channel::main]
    pub fn main() {
        super::find(super::place());
    }
}

mod with_options {
    const fn twice(cores: usize) -> usize {
        2 * cores
    }

    /// Documented.
    #[event_channel::main(cores = twice(2) - 1, driver = "epoll", max_threads = 16, keep_alive = super::task_time())]
    #[allow(clippy::needless_return)]
    pub(crate) fn main() {
        super::find(super::place());
        return;
    }
}

fn task_time() -> std::time::Duration {
    std::time::Duration::from_secs(1)
}

#[test]
fn main_runs_in_the_default_runtime_or_in_one_of_its_own() {
    let found = found_by(&[plain::main, with_options::main]);
    let runtime = event_channel::run(place);
    assert_eq!(found, [runtime, "main of 3 on epoll".to_owned()]);
}

mod returns {
    use std::error::Error;
    use std::process::{ExitCode, Termination};

    pub mod fine {
        #[event_channel::main]
        pub fn main() -> super::Boxed {
            let number: u32 = "7".parse()?;
            crate::find(number);
            Ok(())
        }
    }
    pub mod error {
        #[event_channel::main]
        pub fn main() -> super::Boxed {
            let number: u32 = "seven".parse()?;
            crate::find(number);
            Ok(())
        }
    }
    pub mod code {
        #[event_channel::main]
        pub fn main() -> super::ExitCode {
            super::ExitCode::from(7)
        }
    }
    pub mod any {
        #[event_channel::main]
        pub fn main() -> impl super::Termination {
            super::ExitCode::from(8)
        }
    }
    pub mod never {
        #[event_channel::main(cores = 1)]
        pub fn main() -> ! {
            panic!("on purpose");
        }
    }

    /// Not for another thread.
    pub type Boxed = Result<(), Box<dyn Error>>;
}

#[test]
fn main_returns_what_it_may_elsewhere() {
    assert_eq!(found_by(&[returns::fine::main]), ["7"]);
    limit(60, || {
        assert_eq!(returns::error::main(), ExitCode::FAILURE);
        assert_eq!(returns::code::main(), ExitCode::from(7));
        assert_eq!(returns::any::main(), ExitCode::from(8));
    });
}

#[test]
fn a_panic_of_main_goes_on() {
    limit(60, || {
        let panic = catch_unwind(returns::never::main).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    });
}

mod impossible {
    #[event_channel::main(cores = 0)]
    pub fn main() {}
}

#[test]
fn options_that_make_no_runtime_are_a_panic() {
    limit(60, || {
        let panic = catch_unwind(impossible::main).unwrap_err();
        let words: &String = panic.downcast_ref().unwrap();
        assert!(words.starts_with("the runtime of `main` could not be started: "), "{words}");
    });
}

mod other_name {
    #[renamed::main(crate = renamed)]
    pub fn main() {
        super::find("main");
    }

    #[renamed::test(crate = ::renamed, cores = 1)]
    fn a_test_of_a_renamed_crate_runs() {
        assert!(renamed::task::current().name().unwrap().contains("renamed_crate_runs on"));
    }
}

/// Nothing is in scope here, and what is has the names of what is usual.
#[no_implicit_prelude]
#[allow(dead_code)]
mod bare {
    pub struct Option;
    pub enum Some {}
    pub enum None {}
    pub struct Result;
    pub struct String;
    pub mod std {}
    pub mod core {}
    pub mod event_channel {}
    pub fn run() {}
    pub fn test() {}
    macro_rules! module_path {
        () => {
            5
        };
    }
    const _: u8 = module_path!();

    pub mod program {
        use super::{Option, Some};

        #[::event_channel::main(cores = 1, driver = "poll")]
        pub fn main() {
            super::super::find(super::super::place());
            let _: (Option, ::std::option::Option<Some>) = (Option, ::std::option::Option::None);
        }
    }

    #[::event_channel::test(cores = 1)]
    fn a_test_where_nothing_is_in_scope_runs() {
        ::std::assert!(::event_channel::Runtime::current().is_some());
    }

    #[::event_channel::test(cores = 1)]
    fn r#move() {
        let current = ::event_channel::task::current();
        ::std::assert!(current.name().unwrap().starts_with("bare::move on "));
    }
}

#[test]
fn main_needs_nothing_in_scope() {
    assert_eq!(found_by(&[bare::program::main, other_name::main]), ["main of 1 on poll", "main"]);
}

macro_rules! by_a_macro {
    ($(#[$attribute:meta])* $vis:vis, $cores:expr, $driver:literal, $output:ty, $body:block) => {
        $(#[$attribute])*
        #[event_channel::main(cores = $cores, driver = $driver)]
        $vis fn main() -> $output $body
    };
    ($item:item) => {
        #[event_channel::test(crate = $crate::renamed, cores = 1)]
        $item
    };
}

mod from_macro {
    by_a_macro!(
        /// Documented.
        pub(super), 1 + 1, "epoll", Result<(), std::fmt::Error>, {
            super::find(super::place());
            Ok(())
        }
    );

    by_a_macro!(
        fn a_test_that_a_macro_makes_runs() {
            assert_eq!(super::metrics().cores, 1);
        }
    );
}

#[test]
fn main_may_come_from_a_macro() {
    assert_eq!(found_by(&[from_macro::main]), ["main of 2 on epoll"]);
}
