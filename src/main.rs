//! The binary: the command line, or the Lambda function if the Lambda runtime starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "aws")]
    if hatchery::cli::lambda::is_lambda() {
        return hatchery::cli::lambda::main();
    }
    hatchery::cli::main(std::env::args_os())
}
