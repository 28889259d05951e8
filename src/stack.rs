//! The CloudFormation template of a fleet, its parameters, and a Terraform module around it.

use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use yaml_rust2::{Yaml, YamlLoader};

/// The template without the bootstrap script.
const TEMPLATE: &str = include_str!("stack/template.yaml");
/// Where the template contains the script.
const PLACEHOLDER: &str = "@bootstrap.sh@";
/// The script that makes an instance an environment.
pub const BOOTSTRAP: &str = include_str!("stack/bootstrap.sh");

/// Returns the template in YAML, with the bootstrap script in its user data.
#[must_use]
pub fn template() -> String {
    TEMPLATE.replace(PLACEHOLDER, &compress(BOOTSTRAP))
}

/// Returns the text in cloud-init's encoding `gz+b64`, because user data is limited to 16 KiB.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>
fn compress(text: &str) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writes to memory do not fail.
    let _ = encoder.write_all(text.as_bytes());
    STANDARD.encode(encoder.finish().unwrap_or_default())
}

/// A parameter of the template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    pub name: String,
    /// CloudFormation's type, such as `String` or `List<AWS::EC2::Subnet::Id>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `None` if the user must set it.
    pub default: Option<String>,
    pub description: String,
}

/// Returns the parameters in the order of the template.
#[must_use]
pub fn parameters() -> Vec<Parameter> {
    // The template is embedded, and a test parses it, so an error cannot occur.
    let documents = YamlLoader::load_from_str(TEMPLATE).unwrap_or_default();
    let parameters = documents.first().and_then(|document| document["Parameters"].as_hash());
    parameters.into_iter().flatten().filter_map(|(name, parameter)| parse(name, parameter)).collect()
}

fn parse(name: &Yaml, parameter: &Yaml) -> Option<Parameter> {
    Some(Parameter {
        name: name.as_str()?.to_owned(),
        kind: parameter["Type"].as_str()?.to_owned(),
        default: match &parameter["Default"] {
            Yaml::String(text) => Some(text.clone()),
            Yaml::Integer(number) => Some(number.to_string()),
            _ => None,
        },
        description: parameter["Description"].as_str()?.to_owned(),
    })
}

/// Returns a Terraform module with one variable per parameter, which deploys the template as a CloudFormation stack.
#[must_use]
pub fn terraform() -> String {
    let parameters = parameters();
    let variables: String = parameters.iter().map(terraform_variable).collect();
    let values: String = parameters.iter().map(terraform_value).collect();
    // Terraform interpolates heredocs.
    let template = template().replace("${", "$${").replace("%{", "%%{");
    format!(
        r#"# Deploys the CloudFormation template of a hatchery fleet. Print it again after an upgrade of hatchery.

terraform {{
  required_providers {{
    aws = {{ source = "hashicorp/aws", version = ">= 5.0" }}
  }}
}}
{variables}
resource "aws_cloudformation_stack" "hatchery" {{
  name         = "hatchery-${{var.fleet_name}}"
  capabilities = ["CAPABILITY_NAMED_IAM"]
  parameters = {{
{values}  }}
  template_body = <<TEMPLATE
{template}TEMPLATE
}}

output "hatchery" {{
  value = aws_cloudformation_stack.hatchery.outputs
}}
"#
    )
}

fn terraform_variable(parameter: &Parameter) -> String {
    let name = quote(&variable(&parameter.name));
    let description = quote(&parameter.description);
    let kind = if is_list(parameter) { "list(string)" } else { "string" };
    let default = parameter.default.as_ref();
    let default = default.map(|value| format!("  default     = {}\n", quote(value))).unwrap_or_default();
    format!("\nvariable {name} {{\n  description = {description}\n  type        = {kind}\n{default}}}\n")
}

fn terraform_value(parameter: &Parameter) -> String {
    let variable = variable(&parameter.name);
    let value =
        if is_list(parameter) { format!("join(\",\", var.{variable})") } else { format!("var.{variable}") };
    format!("    {} = {value}\n", parameter.name)
}

fn is_list(parameter: &Parameter) -> bool {
    parameter.kind.starts_with("List<") || parameter.kind == "CommaDelimitedList"
}

/// Converts a parameter's name to Terraform's style: `VpcId` to `vpc_id`.
fn variable(name: &str) -> String {
    let mut variable = String::new();
    let mut previous_is_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && previous_is_lower {
            variable.push('_');
        }
        previous_is_lower = c.is_lowercase();
        variable.extend(c.to_lowercase());
    }
    variable
}

/// Quotes a string of Terraform's language.
fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${").replace("%{", "%%{");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use flate2::read::GzDecoder;
    use rstest::rstest;

    use super::*;

    #[test]
    fn parameters_are_those_of_the_template() {
        let parameters = parameters();
        let in_groups: BTreeSet<_> = TEMPLATE
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Parameters: [")?.strip_suffix(']'))
            .flat_map(|names| names.split(", "))
            .collect();
        let names: BTreeSet<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, in_groups, "every parameter is in a group of the console's form");
        let required: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter.default.is_none())
            .map(|p| p.name.as_str())
            .collect();
        let expected = [
            "VpcId",
            "SubnetIds",
            "DatabaseSubnetIds",
            "VpnCidr",
            "SourceDatabase",
            "DatabaseSecretArn",
            "Registry",
            "Chart",
            "ArtifactBucket",
        ];
        assert_eq!(required, expected);
    }

    #[rstest]
    #[case("VpcId", "vpc_id")]
    #[case("SecondVpnCidr", "second_vpn_cidr")]
    #[case("KmsKeyArn", "kms_key_arn")]
    fn variables_have_terraform_names(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(variable(name), expected);
    }

    #[test]
    fn terraform_module_contains_the_template() {
        let module: hcl::Body = hcl::from_str(&terraform()).unwrap();
        let stack = module.blocks().find(|block| block.identifier() == "resource").unwrap();
        let body = stack.body().attributes().find(|attribute| attribute.key() == "template_body").unwrap();
        let context = hcl::eval::Context::new();
        let value = hcl::eval::Evaluate::evaluate(body.expr(), &context).unwrap();
        assert_eq!(value.as_str(), Some(template().as_str()));
        let variables = module.blocks().filter(|block| block.identifier() == "variable").count();
        assert_eq!(variables, parameters().len());
    }

    #[test]
    fn user_data_contains_the_script_and_fits() {
        let documents = YamlLoader::load_from_str(&template()).unwrap();
        let data =
            &documents[0]["Resources"]["FleetTemplate"]["Properties"]["LaunchTemplateData"]["UserData"];
        let data = data["Fn::Base64"].as_str().unwrap();
        let cloud_config = YamlLoader::load_from_str(data).unwrap();
        let file = &cloud_config[0]["write_files"][1];
        let content = STANDARD.decode(file["content"].as_str().unwrap()).unwrap();
        assert_eq!(std::io::read_to_string(GzDecoder::new(content.as_slice())).unwrap(), BOOTSTRAP);
        // Parameters of up to 200 characters.
        let length = data.len() + data.matches("${").count() * 200;
        assert!(length <= 16 * 1_024, "{length}");
    }

    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>
    #[test]
    fn template_can_be_deployed_without_a_bucket() {
        assert!(template().len() <= 51_200, "{}", template().len());
    }
}
