//! A task's own thread-locals: to the language such a task *is* a thread.
//!
//! Each task has a block of what the ABI calls static thread-local storage, with a thread
//! descriptor of libc's above it, and while the task runs the FS register points there. Every
//! `thread_local!` and `__thread` of the program is thereby the task's, and travels with it.
//!
//! ```text
//!   low                                                                        top of the slot
//!    | guard | stack  ...  <- sp | surplus | TLS of the modules | descriptor | slot head |
//!                                ^                              ^
//!                             low end                    thread pointer (FS)
//! ```
//!
//! * [`facts`] measures on threads of libc's ([`helper`]) how it lays such a block out, twice, and compares.
//! * [`template`] keeps a picture of a thread that has done nothing yet, and renews it when a
//!   library with thread-locals is loaded.
//! * [`block`] makes a block from the picture, and cleans it up.
//! * [`switch`] takes a thread into a block and back; libc's own segment (malloc's caches) stays
//!   with the thread.
//! * [`ending`] runs the destructors when the task ends; [`interpose`] is how they get there.
//! * [`setxid`] lets libc change the process's user while tasks run.
//! * [`check`] tries it all on two blocks before the first task gets one.
//!
//! Where anything is not as it should be, tasks become threads instead, and the reason is logged.

mod block;
mod check;
mod ending;
mod facts;
mod helper;
mod interpose;
mod setxid;
mod switch;
mod template;

use std::sync::OnceLock;

pub(crate) use block::{admit, build, clear, discard, low_end, space, thread_pointer_below};
pub(crate) use ending::{begin, run_destructors};
pub(crate) use switch::{after_fork, enter, leave, on_thread, same_place, step_out};

/// The variable that says how tasks get thread-locals: `off` makes them threads, `break:WHAT` falsifies
/// a measured fact, for tests.
const VARIABLE: &str = "EVENT_CHANNEL_OWN_TLS";

/// What `break:` can falsify.
pub(crate) const FACTS: &[&str] = facts::NAMES;

static SUPPORT: OnceLock<Result<(), String>> = OnceLock::new();

/// Whether tasks can have thread-locals of their own in this process, else why not. Finds out when
/// first asked, which takes about a millisecond.
pub(crate) fn support() -> Result<(), &'static str> {
    if let Some(known) = SUPPORT.get() {
        return known.as_ref().copied().map_err(String::as_str);
    }
    let mut first = false;
    let found = SUPPORT.get_or_init(|| {
        first = true;
        // On a thread of its own: the one that asks may be in a task.
        let asked = std::thread::Builder::new().name("ec-own-check".into()).spawn(find_out);
        match asked.map(std::thread::JoinHandle::join) {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Err("the self-test panicked".into()),
            Err(why) => Err(format!("no thread for the self-test: {why}")),
        }
    });
    if first {
        // Not under the lock: a logger may spawn tasks.
        match found {
            Ok(()) => log::debug!("tasks have thread-locals of their own"),
            Err(why) => log::warn!("each task gets an OS thread, which is slower: {why}"),
        }
    }
    found.as_ref().copied().map_err(String::as_str)
}

fn find_out() -> Result<(), String> {
    let falsify = match std::env::var(VARIABLE) {
        Err(_) => None,
        Ok(value) if value.is_empty() || value == "on" => None,
        Ok(value) if value == "off" => return Err(format!("{VARIABLE}=off")),
        Ok(value) => match value.strip_prefix("break:") {
            Some(what) if FACTS.contains(&what) => Some(what.to_owned()),
            _ => {
                return Err(format!(
                    "{VARIABLE}={value} is not known: on, off or break: and one of {FACTS:?}"
                ));
            }
        },
    };
    for sanitizer in [c"__asan_init", c"__msan_init", c"__tsan_init", c"__hwasan_init"] {
        if facts::symbol(sanitizer).is_some() {
            return Err(format!("a sanitizer is in this program ({})", sanitizer.to_string_lossy()));
        }
    }
    interpose::in_place()?;
    ending::find_program();
    let facts = facts::establish(falsify.as_deref())?;
    // Meanwhile no library is loaded.
    interpose::loading(|| {
        let template = template::Template::take(&facts)?;
        block::set_layout(&facts, &template)?;
        switch::set_layout(&facts)?;
        template::install(facts, template);
        Ok::<_, String>(())
    })?;
    setxid::install()?;
    check::run()
}
