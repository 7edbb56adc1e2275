//! Nothing is built here: cargo wants a build script beside `links`, which makes
//! two versions of this crate in one program a build error instead of a riddle at run time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
