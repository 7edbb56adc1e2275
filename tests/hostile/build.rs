//! Builds the suite's C and C++ libraries: static ones for the program, shared ones for `dlopen`, whose paths the
//! program gets in environment variables of the compiler.

use std::env;
use std::path::PathBuf;

/// Modules: variable, source, options, the first word of their image and their words.
const MODULES: &[(&str, &str, &[&str])] = &[
    ("EC_STATIC", "module.c", &["-ftls-model=initial-exec", "-DFIRST=0x57a71c", "-DWORDS=5"]),
    ("EC_STATIC_OTHER", "module.c", &["-ftls-model=initial-exec", "-DFIRST=0x07e4", "-DWORDS=7"]),
    ("EC_DYNAMIC", "module.c", &["-ftls-model=global-dynamic", "-DFIRST=0xd14a", "-DWORDS=40"]),
    ("EC_DYNAMIC_OTHER", "module.c", &["-ftls-model=global-dynamic", "-DFIRST=0x2d14a", "-DWORDS=400"]),
    ("EC_LARGE", "module.c", &["-ftls-model=global-dynamic", "-DFIRST=0x1a46e", "-DWORDS=131072"]),
    // Most of what libc has to spare for the static thread-locals of libraries.
    ("EC_STATIC_BIG", "module.c", &["-ftls-model=initial-exec", "-DFIRST=0xb16", "-DWORDS=150"]),
    ("EC_STATIC_HUGE", "module.c", &["-ftls-model=initial-exec", "-DFIRST=0x4063", "-DWORDS=440"]),
    ("EC_INNER", "module.c", &["-ftls-model=initial-exec", "-DFIRST=0x1223", "-DWORDS=3"]),
    // After the one that it opens.
    ("EC_OUTER", "opens.c", &["-ldl"]),
    ("EC_DESTRUCTOR", "module.cpp", &["-std=c++17", "-fno-gnu-unique"]),
];

fn main() {
    println!("cargo:rerun-if-changed=native");
    let warnings = |build: &mut cc::Build| {
        build.flag("-Wall").flag("-Wextra");
    };
    let mut c = cc::Build::new();
    warnings(&mut c);
    for file in ["locals", "mutexes", "libc_state", "signals", "processes"] {
        c.file(format!("native/{file}.c"));
    }
    // The recursion without end of `signals.c` is meant.
    c.std("c11").flag_if_supported("-Wno-infinite-recursion").compile("ec_hostile_c");

    let mut cxx = cc::Build::new();
    warnings(&mut cxx);
    cxx.cpp(true).std("c++17").file("native/objects.cpp").compile("ec_hostile_cxx");

    let place = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    for (variable, source, options) in MODULES {
        let path = place.join(format!("lib{}.so", variable.to_lowercase()));
        let mut build = cc::Build::new();
        warnings(&mut build);
        build.cpp(source.ends_with(".cpp")).pic(true);
        let mut command = build.get_compiler().to_command();
        command.arg(format!("-DINNER=\"{}\"", place.join("libec_inner.so").display()));
        command.args(*options).arg("-shared").arg("-o").arg(&path).arg(format!("native/{source}"));
        let status = command.status().expect("the C compiler");
        assert!(status.success(), "{command:?}: {status}");
        println!("cargo:rustc-env={variable}={}", path.display());
    }
}
