//! Stacks: reuse, return of memory, guards, what happens when there is no more.
#![cfg(not(loom))]

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Workers, in_child, in_child_with, stderr};
use ec_tasks::{GuardKind, SpawnOptions, Task, park, stack_stats, trim_stacks};
use ec_test_support::{limit, skipped};
use ec_unkind as _;

/// So many pages of the range hold memory.
fn resident(range: &std::ops::Range<usize>) -> usize {
    let start = range.start & !4095;
    let mut pages = vec![0u8; (range.end - start).div_ceil(4096)];
    // SAFETY: a mapped range and a vector with a byte for each of its pages.
    let asked = unsafe { libc::mincore(start as *mut _, range.end - start, pages.as_mut_ptr()) };
    assert_eq!(asked, 0);
    pages.iter().filter(|page| **page & 1 == 1).count()
}

/// Where the task's stack is: it gets it when it first runs.
fn stack_of(task: &Task) -> std::ops::Range<usize> {
    common::until(|| task.info().stack.is_some());
    task.info().stack.unwrap()
}

fn must_succeed(output: std::process::Output) {
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
}

#[test]
fn a_stack_is_used_again_by_the_next_task() {
    must_succeed(in_child("a_stack_is_used_again_by_the_next_task", || {
        let workers = Workers::new(1);
        let first = workers.spawn(|| ());
        let range = stack_of(first.task());
        first.join().unwrap();
        for _ in 0..1000 {
            let next = workers.spawn(|| ());
            assert_eq!(stack_of(next.task()), range);
            next.join().unwrap();
        }
        let stats = stack_stats();
        assert_eq!((stats.in_use, stats.slabs), (0, 1));
        // The worker keeps some promises for what it might spawn itself.
        assert!(stats.free <= 40, "{}", stats.free);
    }));
}

/// Or the tasks of a program would all want the same few lines of a cache.
#[test]
fn neighbouring_stacks_begin_at_different_lines_of_a_page() {
    must_succeed(in_child("neighbouring_stacks_begin_at_different_lines_of_a_page", || {
        let workers = Workers::new(1);
        let tasks: Vec<_> = (0..16).map(|_| workers.spawn(park)).collect();
        let lines: HashSet<_> = tasks.iter().map(|task| stack_of(task.task()).end % 4096 / 64).collect();
        assert_eq!(lines.len(), 16);
        for task in tasks {
            task.task().unpark();
            task.join().unwrap();
        }
    }));
}

/// A task that has not run holds no stack, but one is set aside for it.
#[test]
fn a_task_gets_its_stack_when_it_first_runs() {
    must_succeed(in_child("a_task_gets_its_stack_when_it_first_runs", || {
        let workers = Workers::new(1);
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let first = workers.spawn(move || held.recv().is_ok());
        let range = stack_of(first.task());
        let others: Vec<_> =
            (0..100).map(|_| workers.spawn(|| ec_tasks::current().unwrap().info().stack)).collect();
        assert!(others.iter().all(|task| task.task().info().stack.is_none()));
        assert_eq!(stack_stats().in_use, 101);
        let_go.send(()).unwrap();
        assert!(first.join().unwrap());
        for task in others {
            // One after the other, on the stack that is warm.
            assert_eq!(task.join().unwrap(), Some(range.clone()));
        }
        assert_eq!(stack_stats().in_use, 0);
    }));
}

#[test]
fn a_stack_has_at_least_the_size_asked_for() {
    limit(20, || {
        let workers = Workers::new(1);
        for size in [1, 16 << 10, 64 << 10, 100_000, 1 << 20, 8 << 20] {
            let task = workers.spawn_with(SpawnOptions::new().stack_size(size), || ());
            let range = stack_of(task.task());
            assert!(range.len() >= size.max(16 << 10), "{size}: {}", range.len());
            task.join().unwrap();
        }
    });
}

#[test]
fn a_stack_too_large_is_an_error() {
    let workers = Workers::new(1);
    for size in [2 << 30, usize::MAX] {
        let refused = common::start(workers.scheduler(), SpawnOptions::new().stack_size(size), || ());
        let error = refused.expect_err("too large");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

/// A worker does it between two looks at its port.
#[test]
fn memory_is_returned_a_little_at_a_time() {
    must_succeed(in_child("memory_is_returned_a_little_at_a_time", || {
        let workers = Workers::new(1);
        let tasks: Vec<_> = (0..200).map(|_| workers.spawn(park)).collect();
        common::until(|| tasks.iter().all(|task| task.task().info().waits_for.is_some()));
        for task in tasks {
            task.task().unpark();
            task.join().unwrap();
        }
        workers.until_asleep();
        let start = Instant::now();
        assert_eq!(trim_stacks(start), Some(Duration::from_secs(1)), "all were needed a moment ago");
        let later = start + Duration::from_secs(2);
        let mut returned = vec![0];
        while trim_stacks(later) == Some(Duration::ZERO) {
            returned.push(stack_stats().free_and_returned);
        }
        assert!(returned.len() > 3 && returned.windows(2).all(|two| two[1] - two[0] <= 64), "{returned:?}");
        assert_eq!(stack_stats().free_and_returned, 200);
    }));
}

#[test]
fn memory_that_nobody_needed_lately_is_returned() {
    must_succeed(in_child("memory_that_nobody_needed_lately_is_returned", || {
        let workers = Workers::new(1);
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                workers.spawn(|| {
                    std::hint::black_box(&mut [1u8; 64 * 1024]);
                    park();
                })
            })
            .collect();
        common::until(|| tasks.iter().all(|task| task.task().info().waits_for.is_some()));
        let ranges: Vec<_> = tasks.iter().map(|task| stack_of(task.task())).collect();
        for task in tasks {
            task.task().unpark();
            task.join().unwrap();
        }
        // The worker keeps the last one until then.
        workers.until_asleep();
        let held = |ranges: &[std::ops::Range<usize>]| ranges.iter().map(resident).sum::<usize>();
        let before = held(&ranges);
        assert!(before >= 40 * 16, "{before}");
        let start = Instant::now();
        // All were needed a moment ago: nothing goes yet, but it would like to look again.
        assert!(trim_stacks(start).is_some());
        assert_eq!(held(&ranges), before);
        assert!(trim_stacks(start).is_some(), "too early");
        // One is needed meanwhile: the one used last, which stays.
        let hot = workers.spawn(|| ());
        let kept = stack_of(hot.task());
        assert_eq!(kept, ranges[39]);
        hot.join().unwrap();
        workers.until_asleep();
        assert_eq!(trim_stacks(start + Duration::from_secs(2)), Some(Duration::from_secs(1)));
        assert!(resident(&kept) >= 16);
        assert!(held(&ranges) <= 17 + 40, "{}", held(&ranges));
        assert_eq!(stack_stats().free_and_returned, 39);
        assert_eq!(trim_stacks(start + Duration::from_secs(4)), None);
        assert_eq!(stack_stats().free_and_returned, 40);
        // And the stacks still serve.
        let again: Vec<_> = (0..40).map(|number| workers.spawn(move || number)).collect();
        assert_eq!(again.into_iter().map(|task| task.join().unwrap()).sum::<i32>(), 780);
    }));
}

#[test]
fn stacks_of_living_tasks_do_not_overlap() {
    limit(20, || {
        let workers = Workers::new(1);
        let tasks: Vec<_> = (0..300).map(|_| workers.spawn(park)).collect();
        let mut ranges: Vec<_> = tasks.iter().map(|task| stack_of(task.task())).collect();
        ranges.sort_by_key(|range| range.start);
        for pair in ranges.windows(2) {
            assert!(pair[0].end + 64 * 1024 <= pair[1].start, "the guard lies between");
        }
        for task in tasks {
            task.task().unpark();
            task.join().unwrap();
        }
    });
}

/// No address space: an error that says so; what runs goes on, and later it works again.
#[test]
fn no_memory_for_a_stack_is_an_error() {
    must_succeed(in_child("no_memory_for_a_stack_is_an_error", || {
        let workers = Workers::new(1);
        assert_eq!(workers.spawn(|| 1).join().unwrap(), 1);
        let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: plain numbers in and out.
        unsafe {
            libc::getrlimit(libc::RLIMIT_AS, &mut old);
            let tight = libc::rlimit { rlim_cur: 1 << 20, rlim_max: old.rlim_max };
            libc::setrlimit(libc::RLIMIT_AS, &tight);
        }
        let held = Arc::new(());
        let copy = held.clone();
        let options = SpawnOptions::new().stack_size(64 << 20);
        let refused = common::start(workers.scheduler(), options.clone(), move || copy);
        // SAFETY: as above.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &old) };
        let error = refused.expect_err("no address space");
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory, "{error}");
        // (Already for a list, if the allocator takes each piece from the system, as musl's may.)
        let mapped = error.to_string().contains("no stack for the task: cannot map");
        let listed = error.to_string().contains("no stack for the task: no memory for the lists");
        assert!(mapped || cfg!(target_env = "musl") && listed, "{error}");
        assert_eq!(Arc::strong_count(&held), 1, "the closure was dropped");
        assert_eq!(workers.spawn_with(options, || 2).join().unwrap(), 2);
    }));
}

/// On an old kernel guards take mappings, which run out: an error as well.
#[test]
fn no_more_guards_is_an_error() {
    let most: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    if most > 100_000 {
        return skipped(&format!("vm.max_map_count is {most} here, no limit to reach"));
    }
    let output = in_child("no_more_guards_is_an_error", || {
        // SAFETY: this process is for that.
        unsafe { ec_tasks::force_protected_guards() };
        let workers = Workers::new(1);
        let mut tasks = Vec::new();
        let error = loop {
            match common::start(workers.scheduler(), SpawnOptions::new(), park) {
                Ok(task) => tasks.push(task),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("vm.max_map_count"), "{error}");
        assert!(tasks.len() > most / 4, "{}", tasks.len());
        assert_eq!(stack_stats().guard, GuardKind::Protected);
        for task in &tasks {
            task.task().unpark();
        }
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
    must_succeed(output);
}

/// The guard's technique is logged when the first stack is made; a logger may do what it likes then.
#[test]
fn a_logger_may_look_at_the_stacks() {
    struct Looks;
    impl log::Log for Looks {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            eprintln!("{} of {} stacks", record.args(), stack_stats().in_use);
        }
        fn flush(&self) {}
    }
    const NO_LOCKED_MEMORY: i32 = 77;
    // (It has a logger of its own.)
    let env = [("EC_UNKIND_LOGGER", "")];
    let output = in_child_with("a_logger_may_look_at_the_stacks", &env, || {
        log::set_logger(&Looks).unwrap();
        log::set_max_level(log::LevelFilter::Info);
        let workers = Workers::new(1);
        // Guards cannot be marked in locked memory.
        // SAFETY: plain numbers.
        if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } != 0 {
            std::process::exit(NO_LOCKED_MEMORY);
        }
        limit(20, || workers.spawn(|| ()).join().unwrap());
    });
    if output.status.code() == Some(NO_LOCKED_MEMORY) {
        return skipped("memory cannot be locked here");
    }
    assert!(stderr(&output).contains("guards by mprotect"), "{}", stderr(&output));
    must_succeed(output);
}

#[test]
fn a_large_closure_does_not_fill_the_stack() {
    limit(20, || {
        let workers = Workers::new(1);
        let data = vec![7u8; 1 << 20].into_boxed_slice();
        let big: [u8; 100_000] = std::array::from_fn(|at| data[at]);
        let task = workers.spawn_with(SpawnOptions::new().stack_size(1 << 20), move || {
            big.iter().map(|byte| u64::from(*byte)).sum::<u64>()
        });
        assert_eq!(task.join().unwrap(), 700_000);
    });
}

/// A hundred thousand tasks wait at once (fewer if memory is short), and all end.
#[test]
fn very_many_tasks_wait_at_once() {
    let output = in_child("very_many_tasks_wait_at_once", || {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap();
        let line = text.lines().find(|line| line.starts_with("MemAvailable")).unwrap();
        let free: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        // 4 KiB of stack, a share of page tables and the record, in a debug build: 16 KiB.
        let count = (free / 4 / 16).min(100_000);
        let workers = Workers::new(2);
        let tasks: Vec<_> = (0..count)
            .map(|number| {
                workers.spawn(move || {
                    park();
                    number
                })
            })
            .collect();
        assert_eq!(stack_stats().in_use, count);
        let stacks: HashSet<_> = tasks.iter().map(|task| stack_of(task.task()).start).collect();
        assert_eq!(stacks.len(), count);
        for task in &tasks {
            task.task().unpark();
        }
        let sum: usize = tasks.into_iter().map(|task| task.join().unwrap()).sum();
        assert_eq!(sum, count * (count - 1) / 2);
        assert_eq!(stack_stats().in_use, 0);
        assert!(stack_stats().slabs <= 32);
        println!("{count} tasks");
    });
    must_succeed(output);
}
