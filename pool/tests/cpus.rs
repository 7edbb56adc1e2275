//! The number of cores follows what the process may use.

use ec_test_support::limit;
use ec_unkind as _;
use std::process::Command;

#[test]
fn with_one_cpu_allowed_a_pool_has_one_core() {
    limit(60, || {
        if std::env::var_os("EC_TEST_ONE_CPU").is_some() {
            assert_eq!(ec_pool::available_cpus(), 1);
            assert_eq!(ec_pool::Pool::builder().build().unwrap().metrics().cores, 1);
            return;
        }
        // An allowed CPU: CPU 0 may not be one.
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        let cpu = list.trim().split([',', '-']).next().unwrap();
        let me = std::env::current_exe().unwrap();
        let test = "with_one_cpu_allowed_a_pool_has_one_core";
        let mut child = Command::new("taskset");
        child.args(["-c", cpu]).arg(me).args([test, "--exact"]);
        match child.env("EC_TEST_ONE_CPU", "1").status() {
            Ok(status) => assert!(status.success()),
            Err(error) => ec_test_support::skipped(&format!("taskset cannot be run here ({error})")),
        }
    });
}
