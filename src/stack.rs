//! The CloudFormation template of a fleet, its parameters, and a Terraform module around it.

use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use yaml_rust2::{Yaml, YamlLoader};

/// The template with placeholders for the other files.
const TEMPLATE: &str = include_str!("stack/template.yaml");
/// The script that makes an instance an environment.
pub const BOOTSTRAP: &str = include_str!("stack/bootstrap.sh");
/// Arguments of `minikube start`, for the build of the image and for the bootstrap.
const MINIKUBE_FLAGS: &str = include_str!("stack/minikube.flags");
/// Kubernetes manifests of the dashboard, the log viewer and the shipping of logs.
const TOOLS: &str = include_str!("stack/tools.yaml");

/// Returns the template in YAML, with the bootstrap script in its user data and the components of the images.
#[must_use]
pub fn template() -> String {
    let base_image =
        include_str!("stack/base-image.yaml").replace("@minikube.flags@", MINIKUBE_FLAGS.trim_end());
    let base_image = insert(&base_image, "@tools.yaml@", TOOLS);
    let template = TEMPLATE.replace("@bootstrap.sh@", &compress(&without_comments(BOOTSTRAP)));
    let template = insert(&template, "@base-image.yaml@", &base_image);
    insert(&template, "@service-image.yaml@", include_str!("stack/service-image.yaml"))
}

/// Replaces a line with the text, which gets the indentation of the line.
fn insert(template: &str, placeholder: &str, text: &str) -> String {
    let expand = |line: &str| match line.strip_suffix(placeholder) {
        Some(indent) => text.lines().map(|line| format!("{indent}{line}").trim_end().to_owned()).collect(),
        None => vec![line.to_owned()],
    };
    template.lines().flat_map(expand).flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// Removes the lines of a shell script that are comments, except the first line.
fn without_comments(script: &str) -> String {
    let is_comment = |line: &str| line.trim_start().starts_with('#') && !line.starts_with("#!");
    script.lines().filter(|line| !is_comment(line)).flat_map(|line| [line, "\n"]).collect()
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
    let template = template();
    // A changed template gets another key, so that Terraform updates the stack.
    let hash = hex::encode(Sha256::digest(&template));
    let key = format!("hatchery-{}.yaml", &hash[..16]);
    // Terraform interpolates heredocs.
    let template = template.replace("${", "$${").replace("%{", "%%{");
    format!(
        r#"# Deploys the CloudFormation template of a hatchery fleet. Print it again after an upgrade of hatchery.

terraform {{
  required_providers {{
    aws = {{ source = "hashicorp/aws", version = ">= 5.0" }}
  }}
}}
{variables}
data "aws_s3_bucket" "artifacts" {{
  bucket = var.artifact_bucket
}}

resource "aws_cloudformation_stack" "hatchery" {{
  name         = "hatchery-${{var.fleet_name}}"
  capabilities = ["CAPABILITY_NAMED_IAM"]
  template_url = "https://${{data.aws_s3_bucket.artifacts.bucket_regional_domain_name}}/${{aws_s3_object.template.key}}"
  parameters = {{
{values}  }}
}}

output "hatchery" {{
  value = aws_cloudformation_stack.hatchery.outputs
}}

# CloudFormation takes a template of this size from a bucket only.
resource "aws_s3_object" "template" {{
  bucket  = var.artifact_bucket
  key     = "{key}"
  content = <<TEMPLATE
{template}TEMPLATE
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
            "SourceDatabase",
            "DatabaseSecretArn",
            "Registry",
            "Chart",
            "Services",
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
        let object = module
            .blocks()
            .find(|block| block.labels().first().is_some_and(|label| label.as_str() == "aws_s3_object"))
            .unwrap();
        let body = object.body().attributes().find(|attribute| attribute.key() == "content").unwrap();
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
        let script = std::io::read_to_string(GzDecoder::new(content.as_slice())).unwrap();
        assert_eq!(script, without_comments(BOOTSTRAP));
        assert!(script.starts_with("#!/bin/bash\n") && script.len() < BOOTSTRAP.len());
        // Parameters of up to 200 characters.
        let length = data.len() + data.matches("${").count() * 200;
        assert!(length <= 16 * 1_024, "{length}");
    }

    /// <https://docs.aws.amazon.com/imagebuilder/latest/APIReference/API_CreateComponent.html>
    #[rstest]
    #[case::base("BaseComponent", "hatchery-base")]
    #[case::service("ServiceComponent", "hatchery-service")]
    fn components_are_documents_that_fit(#[case] resource: &str, #[case] name: &str) {
        let documents = YamlLoader::load_from_str(&template()).unwrap();
        let data = documents[0]["Resources"][resource]["Properties"]["Data"].as_str().unwrap();
        assert!(data.chars().count() <= 16_000, "{}", data.len());
        let component = YamlLoader::load_from_str(data).unwrap();
        assert_eq!(component[0]["name"].as_str(), Some(name));
    }

    /// A cluster that gets another address at its next start, or whose certificate lacks the name by which it is reached, is broken by a stop of
    /// the instance. <https://github.com/kubernetes/minikube/issues/10593>
    #[test]
    fn cluster_keeps_its_address_and_name_after_a_stop() {
        let flag = |name: &str| MINIKUBE_FLAGS.split_whitespace().find_map(|flag| flag.strip_prefix(name));
        let (address, name) = (flag("--static-ip=").unwrap(), flag("--apiserver-names=").unwrap());
        assert!(TEMPLATE.contains(&format!("host: {address}\n")), "{address}");
        assert!(BOOTSTRAP.contains(&format!("https://{name}:8443")), "{name}");
        // The build of the service image ends with a stop, and an instance of the image starts the cluster before the image is used.
        let component = YamlLoader::load_from_str(include_str!("stack/service-image.yaml")).unwrap();
        let commands = |phase: usize| {
            let steps = component[0]["phases"][phase]["steps"].as_vec().unwrap();
            let commands = steps.iter().map(|step| step["inputs"]["commands"][0].as_str().unwrap());
            (component[0]["phases"][phase]["name"].as_str().unwrap(), commands.collect::<Vec<_>>())
        };
        let ((build, built), (test, tested)) = (commands(0), commands(1));
        assert_eq!((build, test), ("build", "test"));
        assert!(built.last().unwrap().ends_with("minikube stop"), "{built:?}");
        assert!(tested[0].contains("minikube start $(cat /etc/hatchery/minikube.flags)"), "{tested:?}");
        assert!(tested[0].contains("wait --for=condition=Ready node --all"), "{tested:?}");
    }

    #[test]
    fn base_image_contains_the_settings_of_the_bootstrap() {
        let documents = YamlLoader::load_from_str(&template()).unwrap();
        let data = documents[0]["Resources"]["BaseComponent"]["Properties"]["Data"].as_str().unwrap();
        let component = YamlLoader::load_from_str(data).unwrap();
        let steps = component[0]["phases"][0]["steps"].as_vec().unwrap();
        let file = steps.iter().find(|step| step["action"].as_str() == Some("CreateFile")).unwrap();
        let flags = MINIKUBE_FLAGS.trim_end();
        assert_eq!(file["inputs"][0]["content"].as_str(), Some(flags));
        assert_eq!(file["inputs"][1]["content"].as_str(), Some(TOOLS));
        assert!(BOOTSTRAP.contains(&format!("MINIKUBE_FLAGS='{flags}'")), "{flags}");
    }
}
