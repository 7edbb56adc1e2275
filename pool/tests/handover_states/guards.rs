//! What keeps the protocol right, by name.

use crate::scenarios::*;

macro_rules! guards {
    ($($(#[$what:meta])* $guard:ident: $($scenario:ident)|+,)*) => {
        /// What the protocol relies on.
        #[derive(Clone, Copy)]
        pub(crate) struct Guards {
            $($(#[$what])* pub(crate) $guard: bool,)*
        }

        impl Guards {
            pub(crate) const ALL: Guards = Guards { $($guard: true,)* };
        }

        /// Each of them, how it is taken away, and where that shows.
        const GUARDS: &[(&str, fn(&mut Guards), &[Scenario])] =
            &[$((stringify!($guard), |guards| guards.$guard = false, &[$($scenario),+])),*];
    };
}

guards! {
    /// The lease: who takes looks whether the worker is out, recalls, and looks again.
    recall_looks_again: LOCK,
    /// The lease: who comes back and sees a recall waits for what comes of it.
    back_waits_for_verdict: LOCK,
    /// Who comes back looks whether it has its core still.
    stray_checks_lease: LOCK,
    /// A spare that was called does not leave, however late it is: its core or its task is on the way.
    called_spare_stays: RETIRE | LENT_STOP,
    /// When it wakes up it looks for that before it thinks of leaving.
    assignment_comes_first: LENT_STOP,
    /// If there is nothing for it after all, it waits on.
    dropped_call_returns_spare: RETIRE,
    /// What is written down is which core was taken: the holder may have another one by then than when it was looked up.
    files_the_core_that_was_taken: HINTS,
    monitor_hands_over: LOCK,
    monitor_grows: LOCK,
    /// If all cores are kept by workers that went out before the kernel refused the barrier, spare threads run what is ready.
    kept_cores_are_lent_for: KEPT | KEPT_CHILD,
    monitor_looks_after_ports: CAP,
    /// The monitor says that it sleeps and looks whether all sleep.
    monitor_rechecks_before_sleep: REQUEST,
    /// It does not sleep before it has looked once more if somebody has called meanwhile.
    call_is_sticky: HOLD,
    /// While new tasks are held, who comes back without a core has the monitor look whether that has to be.
    who_comes_back_calls: HOLD | LENT_HELD,
    /// When it has begun to hold them, or has stopped, it looks once more before it sleeps: who came back meanwhile has not called.
    fresh_hold_is_looked_at: LENT_AND_BACK,
    /// A worker that was asleep wakes the monitor.
    worker_rings_after_wake: REQUEST,
    /// When new tasks are no longer held, all come and look.
    release_of_hold_wakes: HOLD,
    /// Who has no core queues elsewhere, and wakes somebody for it.
    stray_notifies_after_injecting: CHILD | LENT,
    spawn_notifies: CAP_CHILD,
    /// Who counts as asleep looks for work once more.
    sleeper_looks_again: CHILD,
    /// Who has found work and sees more of it wakes the next one.
    found_work_is_passed_on: CAP_CHILDREN,
    /// A call to who is awake makes its next sleep fail.
    alarm_is_sticky: CHILD,
    /// A request at the port of a sleeper, from elsewhere, wakes it.
    request_rings_sleeper: REQUEST,
    /// A task that has blocked its thread runs with a core if there is no spare thread to lend it to.
    runs_without_a_spare: LENT_AT_CAP,
    /// Who was lent a task counts as a stray: it is no thread that waits for a core.
    lent_counts_as_stray: LENT_AND_BLOCKED,
    /// It counts before it has the task, since it may be back at once.
    counts_before_it_is_given: LENT,
    /// It is none any more when it is back.
    lent_counts_as_back: LENT_HELD,
    /// Who runs a task again at once, because it has blocked again, does not while new tasks are held: they have their turn
    /// when a thread waits again.
    held_have_their_turn: LENT_HELD,
    /// Nor does it once the pool is stopped.
    no_run_follows_a_stop: LENT_STOP,
    close_wakes_spares: STOP,
    stop_wakes_ports: STOP,
    stop_calls_monitor: STOP,
    /// The workers are waited for when there is no monitor any more that starts some.
    monitor_is_joined_first: STOP,
}

/// Each guard in each scenario where it shows that it is missing.
pub(crate) fn guards_and_scenarios() -> impl Iterator<Item = (&'static str, fn(&mut Guards), Scenario)> {
    let each = |&(name, take_away, scenarios): &(_, _, &'static [Scenario])| {
        scenarios.iter().map(move |scenario| (name, take_away, *scenario))
    };
    GUARDS.iter().flat_map(each)
}
