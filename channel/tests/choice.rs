//! Which driver a channel takes, and what the environment has to say about it.

use ec_channel::{DRIVER_VARIABLE, Driver, EXCLUDE_VARIABLE, EventChannel};
use ec_test_support::{limit, skipped, this_test_again};
use ec_unkind as _;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Runs this test again with these variables. What it prints as `driver (reason)`, or `error kind: words`.
fn with(test: &str, driver: Option<&str>, exclude: Option<&str>) -> Option<String> {
    let mut child = this_test_again(test)?;
    child.env_remove(DRIVER_VARIABLE).env_remove(EXCLUDE_VARIABLE);
    for (name, value) in [(DRIVER_VARIABLE, driver), (EXCLUDE_VARIABLE, exclude)] {
        if let Some(value) = value {
            child.env(name, value);
        }
    }
    Some(said(child))
}

fn said(mut child: Command) -> String {
    let output = limit(60, move || child.output().unwrap());
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let line = out.lines().find_map(|line| line.split_once("SAID "));
    line.unwrap_or_else(|| panic!("it said nothing: {output:?}")).1.to_owned()
}

fn say() {
    // SAFETY: no pointer is passed.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    match EventChannel::new() {
        Ok(channel) => println!("SAID {secure} {}", channel.driver()),
        Err(error) => println!("SAID {secure} error {:?}: {error}", error.kind()),
    }
}

#[test]
fn the_environment_excludes_and_insists() {
    const TEST: &str = "the_environment_excludes_and_insists";
    let Some(free) = with(TEST, None, None) else { return say() };
    // (Nothing is excluded by nothing.)
    assert_eq!(with(TEST, Some(""), Some(" , ")).unwrap(), free);
    let without = |list| with(TEST, None, Some(list)).unwrap();
    let epoll = without("io_uring");
    assert!(epoll.starts_with("false epoll (io_uring: EVENT_CHANNEL_EXCLUDE says so"), "{epoll}");
    let poll = without(" io_uring,epoll ");
    assert!(poll.starts_with("false poll (io_uring: EVENT_CHANNEL_EXCLUDE says so; epoll: "), "{poll}");
    let none = without("poll,epoll,io_uring");
    assert!(
        none.starts_with("false error Unsupported: no driver for an event channel: io_uring: "),
        "{none}"
    );
    let wrong = without("io_uring,kqueue");
    assert!(
        wrong.starts_with("false error InvalidInput: EVENT_CHANNEL_EXCLUDE: no event channel driver"),
        "{wrong}"
    );
    assert!(wrong.contains("\"kqueue\"") && wrong.contains("io_uring, epoll, poll, direct"), "{wrong}");
    for driver in ["epoll", "poll", "direct"] {
        let named = with(TEST, Some(driver), Some(driver)).unwrap();
        assert_eq!(named, format!("false {driver} (EVENT_CHANNEL_DRIVER says so)"));
    }
    let wrong = with(TEST, Some("kqueue"), None).unwrap();
    assert!(wrong.starts_with("false error InvalidInput: EVENT_CHANNEL_DRIVER: "), "{wrong}");
}

#[test]
fn in_a_setuid_process_the_environment_says_nothing() {
    const TEST: &str = "in_a_setuid_process_the_environment_says_nothing";
    let Some(child) = this_test_again(TEST) else { return say() };
    // SAFETY: no pointer is passed.
    if unsafe { libc::geteuid() } != 0 {
        return skipped("only root can make a setuid program of somebody else's");
    }
    let program = child.get_program();
    let copy = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("setuid");
    let made = || -> io::Result<()> {
        std::fs::copy(program, &copy)?;
        std::os::unix::fs::chown(&copy, Some(65534), None)?;
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755))
    };
    if let Err(error) = made() {
        return skipped(&format!("no setuid program can be made: {error}"));
    }
    let mut again = Command::new(&copy);
    again.args(child.get_args());
    again.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    again.env(DRIVER_VARIABLE, "nonsense").env(EXCLUDE_VARIABLE, "nonsense");
    let said = said(again);
    let _ = std::fs::remove_file(&copy);
    if said.starts_with("false") {
        return skipped("the file system of the tests has no setuid programs");
    }
    let chosen = Driver::ALL.iter().any(|driver| said.starts_with(&format!("true {driver} (")));
    assert!(chosen && !said.contains("says so"), "{said}");
}
