//! Keeps the linker from dropping the section in which pgrx describes the SQL of the extension.
//! `cargo pgrx` would pass the same flag to every crate instead, which builds all of them twice.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    }
}
