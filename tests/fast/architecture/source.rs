//! Reads Rust sources, resolves the paths in them, and tells which file uses which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// A module's place in the crate; empty for the root.
pub(super) type ModulePath = Vec<String>;

/// Resolution follows at most this many re-exports, so that `use` items that name each other end.
const MAX_DEPTH: usize = 16;

/// The modules of one crate, with unit tests left out.
#[derive(Default)]
pub(super) struct Sources {
    modules: BTreeMap<ModulePath, Module>,
    /// Modules behind `#[cfg(test)]`, whose files are left out.
    test_modules: BTreeSet<ModulePath>,
}

#[derive(Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    bindings: Vec<Binding>,
    paths: BTreeSet<Vec<String>>,
}

/// A name that a `use` item brings into a module.
struct Binding {
    /// `None` for `*` and `as _`.
    name: Option<String>,
    path: Vec<String>,
    is_reexport: bool,
}

/// A path in a file, and what it leads to.
pub(super) struct Reference {
    pub(super) file: String,
    /// The path from the root (`crate::…`) or from another crate, with `use` items and `super` resolved.
    pub(super) path: Vec<String>,
    /// The file that defines the item; `None` for a module as such and for other crates.
    pub(super) target: Option<String>,
    /// A mod file that re-exports an item of its own child.
    is_child_reexport: bool,
}

impl Sources {
    /// Reads every source file under a folder.
    pub(super) fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                    files.insert(name, std::fs::read_to_string(&path).unwrap());
                }
            }
        }
        Self::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// Parses files, each given by its path below `src` and its text.
    pub(super) fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sources = Self::default();
        for (name, text) in files {
            let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let module = module_of(name);
            sources.modules.entry(module.clone()).or_default();
            Reader { sources: &mut sources, file: name.to_owned(), module }.visit_file(&file);
        }
        let tests = std::mem::take(&mut sources.test_modules);
        sources.modules.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
        sources
    }

    /// Every path in every file.
    pub(super) fn references(&self) -> Vec<Reference> {
        let mut references = Vec::new();
        for (place, module) in &self.modules {
            for binding in &module.bindings {
                references.extend(self.reference(place, module, &binding.path, binding.is_reexport));
            }
            for path in &module.paths {
                references.extend(self.reference(place, module, path, false));
            }
        }
        references
    }

    /// The files that each file uses, with the paths by which it does.
    pub(super) fn imports(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut imports: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for reference in self.references() {
            let Some(target) = reference.target else { continue };
            if target != reference.file && !reference.is_child_reexport {
                let path = reference.path.join("::");
                imports.entry(reference.file).or_default().entry(target).or_insert(path);
            }
        }
        imports
    }

    fn reference(
        &self,
        place: &ModulePath,
        module: &Module,
        path: &[String],
        is_reexport: bool,
    ) -> Option<Reference> {
        let resolved = self.resolve(place, path, 0)?;
        let is_child = resolved.module.as_ref().is_some_and(|found| found.len() > place.len())
            && resolved.module.as_ref().is_some_and(|found| found.starts_with(place));
        Some(Reference {
            file: module.file.clone(),
            path: resolved.path,
            target: resolved
                .module
                .filter(|_| resolved.is_item)
                .map(|found| self.modules[&found].file.clone()),
            is_child_reexport: is_reexport && is_child,
        })
    }

    /// Resolves a path as it is written in a module; `None` for local variables, primitive types and the prelude.
    fn resolve(&self, place: &ModulePath, path: &[String], depth: usize) -> Option<Resolved> {
        let (head, rest) = path.split_first()?;
        match head.as_str() {
            "crate" | "hatchery" => return Some(self.walk(&Vec::new(), rest, depth)),
            "self" => return Some(self.walk(place, rest, depth)),
            "super" => {
                let parent = &place[..place.len().saturating_sub(1)];
                let path: Vec<_> = std::iter::once("self".to_owned()).chain(rest.iter().cloned()).collect();
                let path = if rest.first().is_some_and(|next| next == "super") { rest } else { &path };
                return self.resolve(&parent.to_vec(), path, depth);
            }
            "Self" => return None,
            _ => {}
        }
        let is_known = self.defines(place, head, depth);
        // A module alone is no expression and no type: it is a local variable of the same name.
        let is_module = rest.is_empty() && self.modules.contains_key(&child(place, head));
        if is_known && !is_module {
            return Some(self.walk(place, path, depth));
        }
        (path.len() > 1).then(|| Resolved { path: path.to_vec(), module: None, is_item: false })
    }

    /// Follows a path from a module through its children, its `use` items and its globs.
    fn walk(&self, place: &ModulePath, path: &[String], depth: usize) -> Resolved {
        let whole = || std::iter::once("crate").map(str::to_owned).chain(place.iter().cloned());
        let Some((head, rest)) = path.split_first().filter(|(head, _)| *head != "*") else {
            return Resolved { path: whole().collect(), module: Some(place.clone()), is_item: false };
        };
        let inner = child(place, head);
        if self.modules.contains_key(&inner) {
            return self.walk(&inner, rest, depth);
        }
        let module = &self.modules[place];
        let here = || Resolved {
            path: whole().chain(path.iter().cloned()).collect(),
            module: Some(place.clone()),
            is_item: true,
        };
        if module.items.contains(head) || depth > MAX_DEPTH {
            return here();
        }
        for binding in &module.bindings {
            if binding.name.as_ref() == Some(head) {
                let path: Vec<_> = binding.path.iter().chain(rest).cloned().collect();
                return self.resolve(place, &path, depth + 1).unwrap_or_else(here);
            }
        }
        for glob in self.globs(place, depth) {
            if self.defines(&glob, head, depth + 1) {
                return self.walk(&glob, path, depth + 1);
            }
        }
        here()
    }

    /// Whether a name is visible in a module: an item, a child, or brought in by `use`.
    fn defines(&self, place: &ModulePath, name: &str, depth: usize) -> bool {
        let module = &self.modules[place];
        module.items.contains(name)
            || self.modules.contains_key(&child(place, name))
            || module.bindings.iter().any(|binding| binding.name.as_deref() == Some(name))
            || depth < MAX_DEPTH
                && self.globs(place, depth).iter().any(|glob| self.defines(glob, name, depth + 1))
    }

    /// The modules of this crate that a module imports with `*`.
    fn globs(&self, place: &ModulePath, depth: usize) -> Vec<ModulePath> {
        let is_glob = |binding: &&Binding| binding.path.last().is_some_and(|last| last == "*");
        let globs = self.modules[place].bindings.iter().filter(is_glob);
        let modules = globs.filter_map(|glob| {
            let path = &glob.path[..glob.path.len() - 1];
            // `use Enum::*` and `use super::*` in a module of its own parent are no other module.
            let found = if depth < MAX_DEPTH { self.resolve_glob(place, path, depth + 1) } else { None };
            found.filter(|found| found != place)
        });
        modules.collect()
    }

    fn resolve_glob(&self, place: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let is_child = path.len() == 1 && self.modules.contains_key(&child(place, &path[0]));
        if is_child {
            return Some(child(place, &path[0]));
        }
        // Only paths from `crate`, `self` and `super`, and through children: others would need the globs themselves.
        let head = path.first()?;
        let is_internal = ["crate", "self", "super", "hatchery"].contains(&head.as_str())
            || self.modules.contains_key(&child(place, head));
        let resolved = if is_internal { self.resolve(place, path, depth)? } else { return None };
        resolved.module.filter(|_| !resolved.is_item)
    }
}

struct Resolved {
    path: Vec<String>,
    /// The module of this crate that the path leads into.
    module: Option<ModulePath>,
    /// Whether it names an item of the module and not the module as such.
    is_item: bool,
}

fn child(place: &[String], name: &str) -> ModulePath {
    place.iter().cloned().chain([name.to_owned()]).collect()
}

/// The module of a file: `tui/app.rs` is `tui::app`, `domain/mod.rs` is `domain`, `lib.rs` is the root.
pub(super) fn module_of(file: &str) -> ModulePath {
    let path = file.strip_suffix(".rs").unwrap();
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// Collects what one file has in its modules.
struct Reader<'a> {
    sources: &'a mut Sources,
    file: String,
    module: ModulePath,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        let module = self.sources.modules.entry(self.module.clone()).or_default();
        module.file.clone_from(&self.file);
        module
    }

    fn bind(&mut self, mut path: Vec<String>, name: Option<String>, is_reexport: bool) {
        // `use a::{self}` binds the module itself.
        let is_self = path.len() > 1 && path.last().is_some_and(|last| last == "self");
        let name = if is_self {
            path.pop().and(name.filter(|name| name != "self").or_else(|| path.last().cloned()))
        } else {
            name
        };
        self.module().bindings.push(Binding { name, path, is_reexport });
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String], is_reexport: bool) {
        match tree {
            UseTree::Path(path) => {
                self.use_tree(&path.tree, &child(prefix, &path.ident.to_string()), is_reexport);
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.bind(child(prefix, &name), Some(name), is_reexport);
            }
            UseTree::Rename(rename) => {
                let name = Some(rename.rename.to_string()).filter(|name| name != "_");
                self.bind(child(prefix, &rename.ident.to_string()), name, is_reexport);
            }
            UseTree::Glob(_) => self.bind(child(prefix, "*"), None, is_reexport),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.use_tree(tree, prefix, is_reexport));
            }
        }
    }

    /// Paths in the tokens of a macro or an attribute, which syn does not parse.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons == 2 => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.add_path(std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.add_path(path);
    }

    fn add_path(&mut self, path: Vec<String>) {
        if !path.is_empty() {
            self.module().paths.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if attributes(item).iter().any(is_cfg_test) {
            if let Item::Mod(module) = item {
                self.sources.test_modules.insert(child(&self.module, &module.ident.to_string()));
            }
            return;
        }
        match item {
            Item::Mod(module) => {
                self.module.push(module.ident.to_string());
                if let Some((_, items)) = &module.content {
                    self.module();
                    for item in items {
                        self.visit_item(item);
                    }
                }
                self.module.pop();
            }
            Item::Use(item) => {
                let is_reexport = !matches!(item.vis, Visibility::Inherited);
                self.use_tree(&item.tree, &[], is_reexport);
            }
            item => {
                if let Some(name) = item_name(item) {
                    self.module().items.insert(name);
                }
                visit::visit_item(self, item);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add_path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn item_name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}
