//! Of runtimes and channels.

use super::*;

fn runtime() -> Runtime {
    Runtime::builder().cores(1).build().unwrap()
}

/// Of the runtime that the task is in; on a plain thread of another one, which is kept.
fn handle() -> Handle {
    Runtime::current().unwrap_or_else(|| {
        let runtime = Box::leak(Box::new(runtime()));
        runtime.run(|| Runtime::current().unwrap())
    })
}

fn timers() -> EventChannel {
    let channel = EventChannel::builder().ports(1).build().unwrap();
    channel.post(Request::timer(SHORT)).unwrap();
    channel
}

fn local_timers() -> LocalChannel {
    let channel = EventChannel::builder().single_threaded().build().unwrap();
    channel.post(Request::timer(SHORT)).unwrap();
    channel
}

pub const CALLS: &[Row] = &[
    (&["channel::EventChannel::get_event"], || {
        let channel = timers();
        call(move || channel.get_event().map(drop))
    }),
    (&["channel::EventChannel::get_event_timeout"], || {
        let channel = timers();
        call(move || channel.get_event_timeout(LONG).map(drop))
    }),
    (&["channel::EventChannel::get_events"], || {
        let channel = timers();
        call(move || channel.get_events(&mut Vec::<Event>::new(), 1, None).map(drop))
    }),
    (&["channel::LocalChannel::get_event"], || {
        let channel = local_timers();
        call(move || channel.get_event().map(drop))
    }),
    (&["channel::LocalChannel::get_event_timeout"], || {
        let channel = local_timers();
        call(move || channel.get_event_timeout(LONG).map(drop))
    }),
    (&["run", "runtime::Runtime::run", "runtime::Handle::run"], || {
        let (runtime, handle) = (runtime(), handle());
        calls(move || {
            event_channel::run(|| time::sleep(SHORT));
            runtime.run(|| time::sleep(SHORT));
            handle.run(|| time::sleep(SHORT));
        })
    }),
    (&["shutdown", "runtime::Runtime::shutdown", "runtime::Handle::shutdown"], || {
        calls(|| {
            let (first, second, third) = (runtime(), runtime(), runtime());
            first.run(|| event_channel::shutdown(LONG)).unwrap();
            drop(second.spawn(|| time::sleep(SHORT)));
            second.shutdown(LONG).unwrap();
            third.run(|| Runtime::current().unwrap()).shutdown(LONG).unwrap();
        })
    }),
    (
        &[
            "runtime::Runtime::new",
            "runtime::Runtime::builder",
            "runtime::Runtime::current",
            "runtime::Runtime::spawn",
            "runtime::Runtime::spawn_with",
            "runtime::Runtime::channel",
            "runtime::Runtime::metrics",
            "runtime::Runtime::dump",
            "runtime::Handle::spawn",
            "runtime::Handle::spawn_with",
            "runtime::Handle::channel",
            "runtime::Handle::metrics",
            "runtime::Handle::dump",
            "dump",
            "metrics",
            "runtime::Builder::cores",
            "runtime::Builder::max_threads",
            "runtime::Builder::keep_alive",
            "runtime::Builder::on_event",
            "runtime::Builder::stack_size",
            "runtime::Builder::driver",
            "runtime::Builder::on_internal_error",
            "runtime::Builder::interrupt_signal",
            "runtime::Builder::build",
        ],
        || {
            let handle = handle();
            call(move || {
                let builder =
                    Runtime::builder().cores(1).max_threads(10).keep_alive(SHORT).stack_size(64 << 10);
                let builder =
                    builder.on_event(|_| ()).on_internal_error(|_| ()).interrupt_signal(libc::SIGRTMAX());
                let built = builder.driver(handle.channel().driver().kind()).build()?;
                for runtime in [built, Runtime::new()?] {
                    drop(runtime.spawn(|| ()));
                    drop(runtime.spawn_with(Builder::new(), || ())?);
                    let _ =
                        (runtime.channel().ports(), runtime.metrics(), runtime.dump(), Runtime::current());
                }
                drop(handle.spawn(|| ()));
                drop(handle.spawn_with(Builder::new(), || ())?);
                let _ = (handle.metrics(), handle.dump(), event_channel::dump(), event_channel::metrics());
                Ok(())
            })
        },
    ),
    (
        &["channel::EventChannel::try_get_event", "channel::EventChannel::post", "channel::EventChannel"],
        || {
            let channel = timers();
            call(move || {
                let id = channel.post(Request::timer(LONG))?;
                channel.cancel(id);
                let _ = (channel.try_get_event()?, channel.metrics(), channel.in_flight());
                channel.shutdown();
                Ok(())
            })
        },
    ),
];
