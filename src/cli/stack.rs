//! `hatchery stack`

use clap::{Args, ValueEnum};

use super::console::Console;
use super::{json, table};
use crate::failure::Failure;
use crate::stack;

#[derive(Debug, Args)]
pub(crate) struct StackArgs {
    /// Explain the parameters instead of printing the template
    #[arg(long)]
    parameters: bool,
    /// Print the script that turns an instance into an environment, which the template contains in compressed form
    #[arg(long, conflicts_with = "parameters")]
    bootstrap: bool,
    /// Print the CloudFormation template, or a Terraform module around it
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["parameters", "bootstrap"])]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Cloudformation,
    Terraform,
}

pub(crate) fn run(args: &StackArgs, console: &Console) -> Result<(), Failure> {
    if args.parameters {
        let parameters = stack::parameters();
        if console.is_json() {
            return console.print_json(&json::stack_parameters(&parameters));
        }
        let rows = parameters.into_iter().map(|parameter| {
            let default = parameter.default.map_or_else(
                || "required".to_owned(),
                |default| if default.is_empty() { "—".to_owned() } else { default },
            );
            vec![parameter.name, default, parameter.description]
        });
        return console.print(&table::render(&["PARAMETER", "DEFAULT", "MEANING"], rows.collect(), ""));
    }
    if args.bootstrap {
        return console.print(stack::BOOTSTRAP);
    }
    match args.format {
        Format::Cloudformation => console.print(&stack::template()),
        Format::Terraform => console.print(&stack::terraform()),
    }
}
