//! A small program for outside observers; `tests/observers.sh` runs it under valgrind and gdb.
//!
//! `observed scenes [MODULE]` plays the scenes, each in a runtime of its own whose tasks change workers at every
//! suspension: own, lean and dedicated tasks, thread-locals with destructors, memory that goes from task to task,
//! panics, and a shared library with thread-locals (MODULE, from `module.c`). `observed stop` calls
//! [`watched::observed_here`] in a task, where a debugger can stop. `observed planted` does what a checker has to find.

mod module;
mod scenes;
mod watched;

use event_channel::{Runtime, task};
use std::time::Duration;

/// Plays a scene in a runtime of its own, which ends with it.
fn play(name: &str, scene: impl FnOnce() + Send) {
    let runtime = Runtime::builder().cores(3).force_migration().build().expect("a runtime");
    runtime.run(scene);
    runtime.shutdown(Duration::from_secs(60)).expect("every task ends");
    println!("scene right: {name}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let how = if task::migrates() { "migrate" } else { "are threads" };
    println!("tasks of task::spawn {how} here");
    match words.as_slice() {
        ["stop"] => play("stop", watched::stop),
        ["planted"] => play("planted", scenes::planted),
        ["scenes", module @ ..] => {
            play("own tasks", scenes::own);
            play("lean tasks", scenes::lean);
            play("dedicated tasks", scenes::dedicated);
            play("memory from task to task", scenes::memory);
            play("closures of all sizes", scenes::captures);
            play("panics", scenes::panics);
            for path in module {
                play("a library's thread-locals", || module::scene(path));
            }
        }
        _ => {
            eprintln!("usage: observed scenes [MODULE] | stop | planted");
            std::process::exit(2);
        }
    }
}
