//! A task's own thread-locals: to the language such a task *is* a thread.
//!
//! Each task has a block of what the ABI calls static thread-local storage, with a thread
//! descriptor of libc's above it. While the task runs, the FS register points there. So every
//! `thread_local!` and `__thread` of the program is the task's, and travels with it.
//!
//! ```text
//!   low                                                                        top of the slot
//!    | guard | stack  ...  <- sp | surplus | TLS of the modules | descriptor | slot head |
//!                                ^                              ^
//!                             low end                    thread pointer (FS)
//! ```
//!
//! * [`measure`] finds out how libc lays out such a block. It measures twice, on threads of libc's ([`helper`]), and
//!   compares.
//! * [`template`] keeps a picture of a thread that has done nothing yet, and renews it when a
//!   library with thread-locals is loaded.
//! * [`block`] makes a block from the picture, and cleans it up.
//! * [`switch`] takes a thread into a block and back; libc's own segment (malloc's caches) stays
//!   with the thread.
//! * [`ending`] runs the destructors when the task ends; [`interpose`] is how they get there.
//! * [`setxid`] lets libc change the process's user while tasks run.
//! * [`loading`] has one library loaded at a time; [`support`](mod@support) remembers what was found.
//! * [`check`] tries it all on two blocks before the first task gets one.
//!
//! Where anything is not as it should be, tasks become threads instead, and the reason is logged.

mod block;
mod check;
mod ending;
mod facts;
mod helper;
mod interpose;
mod loading;
mod measure;
mod pictures;
mod plain;
mod real;
mod setxid;
mod support;
mod switch;
mod template;

use std::sync::Arc;

pub(crate) use block::{admits, build, clear, free_kept, low_end, space, take_kept, thread_pointer_below};
pub(crate) use check::BlockStack;
pub(crate) use ending::{begin, run_destructors};
pub(crate) use support::{ask, known};
pub(crate) use switch::{after_fork, enter, leave, on_thread, step_out};

/// The variable that says how tasks get thread-locals: `off` makes them threads, `break:WHAT` falsifies
/// a measured fact, for tests.
const VARIABLE: &str = "EVENT_CHANNEL_OWN_TLS";

/// What `break:` can falsify.
pub(crate) const FACTS: &[&str] = facts::NAMES;

/// On a thread of its own. `setting` is what the variable says.
fn find_out<S: BlockStack>(setting: Option<String>) -> Result<(), String> {
    let falsify = match setting {
        None => None,
        Some(value) if value.is_empty() || value == "on" => None,
        Some(value) if value == "off" => return Err(format!("{VARIABLE}=off")),
        Some(value) => match value.strip_prefix("break:") {
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
    let facts = Arc::new(measure::establish(falsify.as_deref())?);
    // Meanwhile no library is loaded.
    loading::loading(|| {
        let installed = template::Installed::take(facts.clone())?;
        block::set_layout(&facts, installed.template())?;
        switch::set_layout(&facts)?;
        template::install(installed);
        Ok::<_, String>(())
    })?;
    setxid::install()?;
    check::run::<S>()
}
