//! The data plane's processes: one role each, told by a file where the others are.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flashsale_dataplane::roles::main()
}
