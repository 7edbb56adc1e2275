//! Under a CPU quota the threads of a process stand still for much of the time; the pool does not take that for blocking.

mod net_common;
mod pool_common;

use ec_test_support::skipped;
use event_channel::Runtime;
use pool_common::{Peak, alone, in_a_process_of_its_own, ordinary_load, two_cores};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A control group with a CPU quota, and whether this process is in it.
struct Group {
    path: PathBuf,
    entered: bool,
}

impl Group {
    /// One that may use so many hundredths of a CPU.
    fn with_quota(percent: u32) -> io::Result<Group> {
        let name = format!("event-channel-test-{}", std::process::id());
        let path = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"]
            .into_iter()
            .map(|top| Path::new(top).join(&name))
            .find(|path| fs::create_dir(path).is_ok())
            .ok_or_else(|| io::Error::other("no control group can be made"))?;
        let group = Group { path, entered: false };
        let quota = percent * 1_000;
        // Version 1, or version 2.
        fs::write(group.path.join("cpu.cfs_quota_us"), quota.to_string())
            .or_else(|_| fs::write(group.path.join("cpu.max"), format!("{quota} 100000")))?;
        Ok(group)
    }

    fn enter(mut self) -> io::Result<Group> {
        fs::write(self.path.join("cgroup.procs"), std::process::id().to_string())?;
        self.entered = true;
        Ok(self)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only an empty one can be removed.
        if let (true, Some(top)) = (self.entered, self.path.parent()) {
            let _ = fs::write(top.join("cgroup.procs"), std::process::id().to_string());
        }
        let _ = fs::remove_dir(&self.path);
    }
}

fn under_quota(percent: u32, test: impl FnOnce()) {
    match Group::with_quota(percent).and_then(Group::enter) {
        Ok(_group) => alone(50, test),
        Err(error) => skipped(&format!("no CPU quota can be set here ({error})")),
    }
}

#[test]
fn a_quota_of_one_cpu_makes_one_core() {
    if in_a_process_of_its_own("a_quota_of_one_cpu_makes_one_core") {
        under_quota(100, || {
            let runtime = Runtime::new().unwrap();
            assert_eq!(runtime.metrics().cores, 1);
            let peak = Peak::new();
            let slept = ordinary_load(&runtime);
            // (What the pool's threads have to say for the log is said by one more.)
            let most = 1 + 2 + usize::from(ec_unkind::is_installed()) + slept;
            assert!(peak.most() <= most, "{} threads, the monitor's included; {slept} sleeps", peak.most());
        });
    }
}

#[test]
fn more_cores_than_the_quota_has_cpus_bring_no_threads_either() {
    if in_a_process_of_its_own("more_cores_than_the_quota_has_cpus_bring_no_threads_either") {
        under_quota(50, || {
            let (runtime, said) = two_cores();
            let peak = Peak::new();
            let slept = ordinary_load(&runtime);
            assert!(
                peak.most() <= 2 + 3 + slept,
                "{} threads, the monitor's and the notifier's included; {slept} sleeps: {:?}",
                peak.most(),
                said.lock()
            );
        });
    }
}
