//! The rule that text from outside has a type of its own.

use std::collections::BTreeSet;
use std::path::Path;

use syn::visit::{self, Visit};

/// The structs of the domain and the port with plain text: what is validated or written by hatchery, what is sent to AWS, and names whose characters AWS
/// restricts. Text from outside is of the type `Untrusted`, so that no code can show it as it is.
const WITH_PLAIN_TEXT: [&str; 24] = [
    "BaseTemplate",
    "CloudError",
    "ConnectOptions",
    "InvalidName",
    "LaunchInstance",
    "LogLine",
    "LogQuery",
    "ManagedSession",
    "Message",
    "NewDatabase",
    "NewEnvironment",
    "NewFleet",
    "NewProofTemplate",
    "NewRecord",
    "Notice",
    "Placement",
    "Policy",
    "Problem",
    "Proof",
    "ProofResource",
    "SecurityGroup",
    "TagChanges",
    "Target",
    "Verdict",
];

#[test]
fn text_from_outside_has_its_type() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut plain, mut folders) = (BTreeSet::new(), vec![root.join("domain"), root.join("cloud")]);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            // The adapters of the port are folders beside its files.
            if path.is_dir() && folder.starts_with(root.join("domain")) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
                plain.extend(file.items.iter().filter_map(plain_struct));
                plain.extend(file.items.iter().flat_map(plain_functions));
            }
        }
    }
    assert_eq!(plain, WITH_PLAIN_TEXT.map(str::to_owned).into());
}

/// Returns the name of a struct with a field that others can read and that has plain text.
fn plain_struct(item: &syn::Item) -> Option<String> {
    let syn::Item::Struct(item) = item else { return None };
    let mut finder = FindString(false);
    item.fields
        .iter()
        .filter(|field| !matches!(field.vis, syn::Visibility::Inherited))
        .for_each(|field| finder.visit_type(&field.ty));
    finder.0.then(|| item.ident.to_string())
}

/// Returns the names of the functions of a trait that return plain text.
fn plain_functions(item: &syn::Item) -> Vec<String> {
    let syn::Item::Trait(item) = item else { return Vec::new() };
    let functions = item.items.iter().filter_map(|item| match item {
        syn::TraitItem::Fn(function) => Some(&function.sig),
        _ => None,
    });
    let returns_text = |signature: &&syn::Signature| {
        let mut finder = FindString(false);
        finder.visit_return_type(&signature.output);
        finder.0
    };
    functions.filter(returns_text).map(|signature| signature.ident.to_string()).collect()
}

/// Whether a type has a `String` in it.
struct FindString(bool);

impl<'ast> Visit<'ast> for FindString {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0 |= path.segments.last().is_some_and(|segment| segment.ident == "String");
        visit::visit_path(self, path);
    }
}
