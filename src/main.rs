//! The binary: every face of hatchery.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "aws")]
    if hatchery::cli::lambda::is_lambda() {
        return hatchery::cli::lambda::main();
    }
    hatchery::cli::main(std::env::args_os())
}
