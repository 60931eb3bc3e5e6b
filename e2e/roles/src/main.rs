//! The same program as `flashsale-dataplane`, where this package's tests find it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flashsale_dataplane::roles::main()
}
